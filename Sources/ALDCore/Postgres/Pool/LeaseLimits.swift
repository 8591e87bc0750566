/// How long a connection may be held before the pool takes it for leaked, and what happens then. All from the
/// beginning of the lease; `nil` leaves a step out.
public struct LeaseLimits: Sendable, Hashable {
    // Nanoseconds, the largest number for never: every lease carries them, and is compared with them.
    private var warningAfter: Int64
    private var cancellationAfter: Int64
    private var reclaimAfter: Int64

    /// The holder is named in the log. Defaults to 1 minute.
    public var warning: Duration? {
        get { Self.duration(warningAfter) }
        set { warningAfter = Self.nanoseconds(newValue) }
    }

    /// The statement that runs is cancelled on the server, and the connection is closed when it comes back. Defaults
    /// to 10 minutes.
    public var cancellation: Duration? {
        get { Self.duration(cancellationAfter) }
        set { cancellationAfter = Self.nanoseconds(newValue) }
    }

    /// The connection is closed under its holder and its place given to the next one. What the holder does with it
    /// afterwards fails and harms nobody. Defaults to 10 minutes and 10 seconds.
    public var reclaim: Duration? {
        get { Self.duration(reclaimAfter) }
        set { reclaimAfter = Self.nanoseconds(newValue) }
    }

    public init() {
        self.init(warning: .seconds(60), cancellation: .seconds(600), reclaim: .seconds(610))
    }

    public init(warning: Duration?, cancellation: Duration?, reclaim: Duration?) {
        warningAfter = Self.nanoseconds(warning)
        cancellationAfter = Self.nanoseconds(cancellation)
        reclaimAfter = Self.nanoseconds(reclaim)
    }

    private static func duration(_ nanoseconds: Int64) -> Duration? {
        nanoseconds == .max ? nil : .nanoseconds(nanoseconds)
    }

    private static func nanoseconds(_ duration: Duration?) -> Int64 {
        duration?.wholeNanoseconds ?? .max
    }

    /// For who holds a connection as long as it lives, such as a listener.
    public static let none = LeaseLimits(warning: nil, cancellation: nil, reclaim: nil)

    /// Nothing happens to a lease of that beginning before.
    func firstStep(since: MonotonicInstant) -> MonotonicInstant {
        let (instant, overflow) = since.nanoseconds.addingReportingOverflow(
            min(warningAfter, cancellationAfter, reclaimAfter))
        return MonotonicInstant(nanoseconds: overflow ? .max : instant)
    }

    /// What is wrong with these limits, one sentence each.
    func problems(named name: String) -> [String] {
        let steps = [("warning", warning), ("cancellation", cancellation), ("reclaim", reclaim)]
        let given = steps.compactMap { step in step.1.map { (step.0, $0) } }
        var problems = given.filter { $0.1 <= .zero }.map { "\(name).\($0.0) must be positive, it is \($0.1)" }
        for (earlier, later) in zip(given, given.dropFirst()) where later.1 < earlier.1 {
            problems.append("\(name).\(later.0) (\(later.1)) must not come before \(name).\(earlier.0) (\(earlier.1))")
        }
        return problems
    }
}

/// What the pool has done about a lease that lasts too long.
public enum LeakStage: String, Sendable, CaseIterable {
    case warned
    case cancelled
    case reclaimed
}

extension LeaseLimits {
    /// The step that follows `stage`, and when it is due.
    func next(after stage: LeakStage?, since: MonotonicInstant) -> (stage: LeakStage, at: MonotonicInstant)? {
        let steps: [(LeakStage, Duration?)] =
            switch stage {
            case nil: [(.warned, warning), (.cancelled, cancellation), (.reclaimed, reclaim)]
            case .warned: [(.cancelled, cancellation), (.reclaimed, reclaim)]
            case .cancelled: [(.reclaimed, reclaim)]
            case .reclaimed: []
            }
        for case (let stage, let after?) in steps { return (stage, since + after) }
        return nil
    }

}
