/// When the pool may connect, and how many connects may be under way: a breaker whose open times are the pauses
/// between failed connects, a long pause when the server is full, and a slow start afterwards, so that a server that
/// has just come back is not buried.
struct ConnectGate: Sendable {
    typealias ConnectionID = PoolStateMachine.ConnectionID

    /// Connecting went well for so long: the next outage is a new one, and begins with a short pause again.
    static let sustainedHealth: Duration = .seconds(60)

    private let configuration: PoolConfiguration
    private var breaker: CircuitBreaker
    private var permits: [ConnectionID: CircuitBreaker.Permit] = [:]
    /// How many connects may be under way. One after a failure; every success doubles it.
    private var allowance: Int
    private var recovered: MonotonicInstant?
    /// Why the last connect failed; `nil` when connecting is known to work again.
    private(set) var lastError: PostgresError?
    /// Since when connecting fails, and how often it has.
    private(set) var outage: (since: MonotonicInstant, failures: Int)?

    init(_ configuration: PoolConfiguration) {
        self.configuration = configuration
        breaker = CircuitBreaker(valid: configuration.breaker)
        allowance = configuration.maximumConcurrentConnects
    }

    var state: CircuitBreaker.StateName { breaker.state.name }

    /// Until when nobody connects; `nil` when somebody may.
    func retryAt(now: MonotonicInstant) -> MonotonicInstant? {
        guard case .open(let until, _) = breaker.state, until > now else { return nil }
        return until
    }

    /// How many connects may begin now. The breaker may still refuse some of them.
    func room(connecting: Int, now: MonotonicInstant) -> Int {
        retryAt(now: now) == nil ? max(0, allowance - connecting) : 0
    }

    /// - Returns: whether this connect may begin.
    mutating func begin(_ id: ConnectionID, now: MonotonicInstant) -> Bool {
        if permits.isEmpty, state == .closed, let recovered, now - recovered >= Self.sustainedHealth {
            breaker = CircuitBreaker(valid: configuration.breaker)
        }
        // Chance matters only to leases that run out, and every connect ends before its lease does.
        guard case .permitted(let permit) = breaker.acquire(now: now, chance: 0.5) else { return false }
        permits[id] = permit
        return true
    }

    /// - Parameter chance: random in 0..<1; draws the pause.
    mutating func failed(_ id: ConnectionID, _ error: PostgresError, chance: Double, now: MonotonicInstant) {
        lastError = error
        outage = (outage?.since ?? now, (outage?.failures ?? 0) + 1)
        recovered = nil
        allowance = 1
        guard let permit = permits.removeValue(forKey: id) else { return }
        breaker.complete(permit, outcome(of: error), now: now, chance: chance)
    }

    /// Only silence may be an accident. Whoever answers means it, and says the same a moment later.
    private func outcome(of error: PostgresError) -> CircuitBreaker.Outcome {
        switch error.code {
        case .timedOut: .failure
        case .cancelled: .ignored
        case .tooManyConnections: .immediateFailure(atLeast: configuration.saturationCooldown)
        default: .immediateFailure()
        }
    }

    mutating func succeeded(_ id: ConnectionID, chance: Double, now: MonotonicInstant) {
        if let permit = permits.removeValue(forKey: id),
            !breaker.complete(permit, .success, now: now, chance: chance)
        {
            // One that was begun before the breaker opened: a sign, but the pause was ordered after it.
            breaker.evidenceOfHealth(now: now)
        }
        guard state == .closed else { return }
        allowance = min(allowance * 2, configuration.maximumConcurrentConnects)
        lastError = nil
        outage = nil
        recovered = recovered ?? now
    }

    /// Many connects are about to follow each other: begin with one.
    mutating func startSlowly() {
        allowance = 1
    }

    mutating func takeEvents() -> [CircuitBreaker.Event] {
        breaker.hasEvents ? breaker.takeEvents() : []
    }
}

extension PoolConfiguration {
    /// The breaker on connecting.
    var breaker: CircuitBreaker.Configuration {
        var result = CircuitBreaker.Configuration()
        result.consecutiveFailures = timeoutsUntilOpen
        // A pool connects seldom: shares of a window and usual durations mean nothing here.
        result.countWindow = nil
        result.timeWindow = nil
        result.slowCalls = nil
        // The pool starts slowly by itself.
        result.ramp = nil
        result.openTime = Backoff.Configuration(base: initialBackoff, cap: maximumBackoff)
        result.maximumConcurrentCalls = max(1, maximumConnections)
        // Every connect ends by itself; a lease only guards against a bug.
        result.lease = connectTimeout * 10 + .seconds(60)
        return result
    }
}
