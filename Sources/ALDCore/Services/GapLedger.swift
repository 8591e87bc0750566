/// Keeps what has been missed until it is recorded.
///
/// Consecutive misses of one cause make one gap that grows. It is due for recording at once when it opens, then every
/// ``interval``, when the cause changes, when recording resumes and at the end, so an outage of a day leaves some
/// hundred rows and a crash leaves a minute of it at most to the next start, which counts it as stopped. That works
/// because nothing younger is recorded before it: what is ``pending`` goes into one commit with the first readings after
/// it. What could not be recorded, because the disk is full, stays here until it can.
struct GapLedger: Sendable {
    /// How long a growing gap may wait for its next record.
    static let interval: Duration = .seconds(60)
    /// Gaps kept while none can be recorded; beyond that a new one joins the youngest of its cause.
    static let maximumKept = 1000

    /// What is being missed now; `nil` while recording works.
    private var cause: CollectionGap.Cause?
    /// The part of it that has not been taken for recording yet.
    private var open: CollectionGap?
    private var lastTaken: MonotonicInstant?
    private var kept: [CollectionGap] = []

    /// Instants went by without readings.
    mutating func missed(_ gap: CollectionGap) {
        if cause != gap.cause {
            close()
            cause = gap.cause
        }
        guard var growing = open else {
            open = gap
            return
        }
        growing.extend(by: gap)
        open = growing
    }

    /// An earlier collector has accounted for everything up to `last`, and this one begins at `start`: what lies between
    /// was missed. The grid begins anew, so an instant less than a quarter of a period before the start is the start's.
    ///
    /// - Returns: the gap, `nil` when nothing was missed or the clock stood at `last` already.
    mutating func wasStopped(since last: Timestamp, until start: Timestamp, period: Duration) -> CollectionGap? {
        let step = max(1, period.wholeNanoseconds / 1000)
        let (away, isTooFar) = start.microseconds.subtractingReportingOverflow(last.microseconds)
        guard !isTooFar, away > 0 else { return nil }
        let instants = (away - step / 4) / step
        guard instants > 0 else { return nil }
        let gap = CollectionGap(
            firstMissedAt: Timestamp(microseconds: last.microseconds + step),
            lastMissedAt: Timestamp(microseconds: last.microseconds + step * instants),
            instants: Int32(clamping: instants), cause: .stopped, detail: "no collector was running")
        keep(gap)
        return gap
    }

    /// All that is not recorded yet, the part of a growing gap included. Asking changes nothing, so a gap goes on growing
    /// while the disk takes neither it nor the readings.
    var pending: [CollectionGap] { kept + (open.map { [$0] } ?? []) }

    /// An instant was recorded, and all that was ``pending`` with it.
    mutating func settled() {
        close()
        kept = []
    }

    /// An instant was recorded: whatever was open has ended.
    mutating func resumed() {
        close()
    }

    private mutating func close() {
        if let open { keep(open) }
        open = nil
        cause = nil
        lastTaken = nil
    }

    private mutating func keep(_ gap: CollectionGap) {
        if kept.count >= Self.maximumKept, let last = kept.lastIndex(where: { $0.cause == gap.cause }) {
            kept[last].extend(by: gap)
        } else {
            kept.append(gap)
        }
    }

    /// What is to be recorded now. Whoever could not record it gives it back with ``giveBack(_:)``.
    mutating func take(now: MonotonicInstant, final: Bool = false) -> [CollectionGap] {
        if let growing = open {
            let isDue = lastTaken.map { now - $0 >= Self.interval } ?? true
            if isDue || final {
                keep(growing)
                open = nil
                lastTaken = now
            }
        }
        defer { kept = [] }
        return kept
    }

    mutating func giveBack(_ gaps: [CollectionGap]) {
        kept = gaps + kept
    }
}

extension CollectionGap {
    /// At a thousand instants a second a disk that stays full has more than a number holds after 24 days: it then stays at
    /// the highest.
    fileprivate mutating func extend(by later: CollectionGap) {
        lastMissedAt = later.lastMissedAt
        instants = Int32(clamping: Int64(instants) + Int64(later.instants))
    }
}
