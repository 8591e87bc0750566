/// How much of a disk the spool may take, and what follows from how much it has taken.
///
/// ```
/// green ──0.6── yellow ──0.85── orange ──1── red
///   all well      people are told   the retained window shrinks   acceptance is refused
/// ```
struct SpoolQuota: Sendable {
    static let yellowFrom = 0.6
    static let orangeFrom = 0.85

    /// What all files of the spool may take together, in bytes.
    var maximumBytes: Int64
    /// What must stay free on the disk for everybody else, in bytes.
    var freeSpaceFloor: Int64

    /// What may still be written, in bytes; never negative.
    func available(used: Int64, free: Int64) -> Int64 {
        max(0, min(maximumBytes - used, free - freeSpaceFloor))
    }

    /// Between 0 and 1: the part of what the spool can have at all that it has taken.
    func fraction(used: Int64, free: Int64) -> Double {
        let available = available(used: used, free: free)
        return available == 0 ? 1 : Double(used) / Double(used + available)
    }

    /// - Parameter needed: what is about to be written; red when it does not fit any more.
    func level(used: Int64, free: Int64, needed: Int64 = 0) -> SpoolLevel {
        if available(used: used, free: free) < max(1, needed) { return .red }
        let fraction = fraction(used: used, free: free)
        if fraction < Self.yellowFrom { return .green }
        return fraction < Self.orangeFrom ? .yellow : .orange
    }
}

/// How near the spool is to its limit.
public enum SpoolLevel: String, Sendable, Codable, Comparable, CaseIterable {
    /// Less than 60 % of what it may take is taken.
    case green
    /// From 60 %: people should look why the database does not take the records.
    case yellow
    /// From 85 %: what is only retained to guard against a forgetful database is given up, oldest first.
    case orange
    /// Full: records are refused with ``SpoolError/Code/full``; what was accepted stays.
    case red

    public static func < (left: SpoolLevel, right: SpoolLevel) -> Bool {
        allCases.firstIndex(of: left) ?? 0 < allCases.firstIndex(of: right) ?? 0
    }
}

/// When a segment whose batches are all in the database may be deleted.
///
/// The age is counted by the monotonic clock, so a step of civil time deletes nothing early. Only for the time
/// before this process opened the file the civil clocks of then and now are compared. It is the age at the last instant
/// at which the database was known to have everything: nothing grows too old while it is away, since it may come back as
/// it was before. What takes too much space is deleted all the same.
struct RetainedWindow: Sendable {
    var length: Duration
    /// What retained segments may take together, in bytes.
    var maximumBytes: Int64

    /// How old the last acknowledgement in a file counts to be when it is opened: never negative, never more than the
    /// window.
    func credit(lastSettledAt: Timestamp, openedAt: Timestamp) -> Duration {
        let (age, overflow) = openedAt.microseconds.subtractingReportingOverflow(lastSettledAt.microseconds)
        if overflow || age <= 0 { return .zero }
        return min(length, .microseconds(age))
    }

    /// - Parameters:
    ///   - settledSince: when the last acknowledgement came, moved back by the credit.
    ///   - comparedAt: when the database was known last to have all that it had confirmed; `nil`: not yet.
    func isOver(settledSince: MonotonicInstant, comparedAt: MonotonicInstant?) -> Bool {
        comparedAt.map { $0 - settledSince >= length } ?? false
    }
}
