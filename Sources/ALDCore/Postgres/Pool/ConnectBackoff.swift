/// The pause between failed connects, and why the last one failed.
struct ConnectBackoff: Sendable {
    private var backoff: Backoff
    private(set) var pausedUntil: MonotonicInstant?
    /// Why the last connect failed; `nil` since one succeeded.
    private(set) var lastError: PostgresError?

    init(initial: Duration, maximum: Duration) {
        backoff = Backoff(Backoff.Configuration(base: initial, cap: maximum))
    }

    /// - Parameter chance: random in 0..<1; draws the pause.
    mutating func failed(_ error: PostgresError, chance: Double, now: MonotonicInstant) {
        lastError = error
        pausedUntil = now + backoff.next(chance: chance)
    }

    mutating func reset() {
        backoff.reset()
        lastError = nil
        pausedUntil = nil
    }

    func isPausing(now: MonotonicInstant) -> Bool {
        pausedUntil.map { now < $0 } ?? false
    }
}
