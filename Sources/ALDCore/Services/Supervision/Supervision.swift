/// Decides what becomes of a service that has failed: it is started again, after pauses that grow while it does not
/// hold out, and for ever, because somebody may be repairing what it needs.
struct Supervision: Sendable {
    struct Configuration: Hashable, Sendable {
        /// Between an end and the next start. Defaults to 0.5 to 30 s.
        var backoff = Backoff.Configuration(base: .milliseconds(500), cap: .seconds(30))
        /// A service that has run for so long has held out: the next pause is a short one. Defaults to 1 min.
        var holdingOut: Duration = .seconds(60)
    }

    private let configuration: Configuration
    private var backoff: Backoff
    private var startedAt: MonotonicInstant?
    private(set) var failures = 0

    init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
        backoff = Backoff(configuration.backoff)
    }

    mutating func started(now: MonotonicInstant) {
        startedAt = now
    }

    /// - Parameter chance: from 0..<1.
    /// - Returns: when to start it again.
    mutating func failed(now: MonotonicInstant, chance: Double) -> MonotonicInstant {
        failures += 1
        if let startedAt, now - startedAt >= configuration.holdingOut { backoff.reset() }
        startedAt = nil
        return now + backoff.next(chance: chance)
    }
}
