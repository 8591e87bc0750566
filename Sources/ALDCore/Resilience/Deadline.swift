/// The instant by which something must be done. An absolute point: handed down from call to call it never grows.
public struct Deadline: Hashable, Comparable, Sendable {
    public let instant: MonotonicInstant

    public init(_ instant: MonotonicInstant) {
        self.instant = instant
    }

    /// `duration` from `now`; at once if that is negative.
    public static func after(_ duration: Duration, now: MonotonicInstant) -> Deadline {
        Deadline(now + max(duration, .zero))
    }

    /// What is left, never below zero.
    public func remaining(now: MonotonicInstant) -> Duration {
        max(instant - now, .zero)
    }

    public func hasPassed(now: MonotonicInstant) -> Bool {
        instant <= now
    }

    /// The earlier one of this and `limit` from `now`: for one step of something longer.
    public func limited(to limit: Duration, now: MonotonicInstant) -> Deadline {
        min(self, .after(limit, now: now))
    }

    public static func < (left: Deadline, right: Deadline) -> Bool {
        left.instant < right.instant
    }
}

/// It was not done in time. Whether it was done at all is unknown.
public struct DeadlineExceeded: Error, Hashable, Sendable, CustomStringConvertible {
    public let deadline: Deadline

    public init(_ deadline: Deadline) {
        self.deadline = deadline
    }

    public var description: String {
        "not done by its deadline, and whether it took effect is unknown; look before you repeat it, or allow more time"
    }
}
