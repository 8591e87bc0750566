/// When the pool may connect, and how many connects may be under way: pauses that grow while connecting fails, a long
/// one when the server is full, and a slow start afterwards so that a server that has just come back is not buried.
struct ConnectGate: Sendable {
    private let configuration: PoolConfiguration
    private var backoff: Backoff
    /// How many connects may be under way. One after a failure; every success doubles it.
    private var allowance: Int
    private(set) var pausedUntil: MonotonicInstant?
    /// Why the last connect failed; `nil` since one succeeded.
    private(set) var lastError: PostgresError?
    /// Since when connecting fails, and how often it has.
    private(set) var outage: (since: MonotonicInstant, failures: Int)?

    init(_ configuration: PoolConfiguration) {
        self.configuration = configuration
        backoff = Backoff(
            Backoff.Configuration(base: configuration.initialBackoff, cap: configuration.maximumBackoff))
        allowance = configuration.maximumConcurrentConnects
    }

    /// - Parameter chance: random in 0..<1; draws the pause.
    mutating func failed(_ error: PostgresError, chance: Double, now: MonotonicInstant) {
        lastError = error
        outage = (outage?.since ?? now, (outage?.failures ?? 0) + 1)
        allowance = 1
        var pause = backoff.next(chance: chance)
        if error.code == .tooManyConnections { pause = max(pause, configuration.saturationCooldown) }
        pausedUntil = max(pausedUntil ?? now, now + pause)
    }

    mutating func succeeded() {
        backoff.reset()
        allowance = min(allowance * 2, configuration.maximumConcurrentConnects)
        lastError = nil
        outage = nil
        pausedUntil = nil
    }

    /// Many connects are about to follow each other: begin with one.
    mutating func startSlowly() {
        allowance = 1
    }

    func isPausing(now: MonotonicInstant) -> Bool {
        pausedUntil.map { now < $0 } ?? false
    }

    /// How many connects may begin now.
    func room(connecting: Int, now: MonotonicInstant) -> Int {
        isPausing(now: now) ? 0 : max(0, allowance - connecting)
    }
}
