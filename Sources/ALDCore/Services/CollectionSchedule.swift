/// When to collect: at `origin`, one period later, two periods later, and so on, for ever.
///
/// The instants are fixed once. A slow cycle makes its successors missed, which is counted, and never shifts them; what
/// was missed is never made up for by collecting twice as fast.
public struct CollectionSchedule: Sendable {
    public enum Action: Equatable, Sendable {
        /// Nothing is due before this instant.
        case wait(until: MonotonicInstant)
        /// Collect now. `lateness` is how long ago the instant was due, `missed` how many instants since the last
        /// collection went by without one.
        case collect(instant: Int64, lateness: Duration, missed: Range<Int64>)
    }

    public let origin: MonotonicInstant
    public let period: Duration
    /// How late an instant may still be collected. Beyond that it is missed, and the next one is on time.
    public let tolerance: Duration
    private var last: Int64 = -1

    /// - Parameters:
    ///   - period: longer than zero.
    ///   - tolerance: less than a period. Defaults to a quarter of it.
    public init(origin: MonotonicInstant, period: Duration, tolerance: Duration? = nil) {
        self.origin = origin
        self.period = max(period, .nanoseconds(1))
        self.tolerance = tolerance ?? period / 4
    }

    /// The instant with this number.
    public func time(of instant: Int64) -> MonotonicInstant {
        origin + .nanoseconds(period.wholeNanoseconds * instant)
    }

    /// The first instant that comes after `now`.
    func first(after now: MonotonicInstant) -> Int64 {
        now < origin ? 0 : (now - origin).wholeNanoseconds / period.wholeNanoseconds + 1
    }

    /// What to do at `now`.
    public mutating func next(now: MonotonicInstant) -> Action {
        guard now >= origin else { return .wait(until: origin) }
        let elapsed = (now - origin).wholeNanoseconds
        let current = elapsed / period.wholeNanoseconds
        guard current > last else { return .wait(until: time(of: last + 1)) }
        let lateness = now - time(of: current)
        guard lateness <= tolerance else { return .wait(until: time(of: current + 1)) }
        let missed = (last + 1)..<current
        last = current
        return .collect(instant: current, lateness: lateness, missed: missed)
    }

    /// The instants that were due by `now` and have not been collected; for the account at the end.
    public func outstanding(now: MonotonicInstant) -> Range<Int64> {
        guard now >= origin else { return 0..<0 }
        let due = (now - origin).wholeNanoseconds / period.wholeNanoseconds
        return due > last ? (last + 1)..<(due + 1) : 0..<0
    }
}
