extension PoolStateMachine {
    // MARK: Who is failed

    mutating func fail(_ request: Request, _ error: PostgresError, now: MonotonicInstant) -> Action {
        if isObserved, let reason = error.pool?.reason {
            note(.failed(request.lane, reason, waited: now - request.since))
        }
        return .fail(request.id, error)
    }

    mutating func failOverdue(now: MonotonicInstant) -> [Action] {
        guard let earliest = queue.earliestDeadline, earliest <= now else { return [] }
        let overdue = queue.removeOverdue(now: now)
        counters.timeouts += overdue.count
        return overdue.map { fail($0, timeoutError($0, now: now), now: now) }
    }

    /// Those who cannot be served any more, whatever happens until their deadline.
    mutating func failHopeless(now: MonotonicInstant) -> [Action] {
        guard !hasUsable, let cause = gate.lastError, let retryAt = gate.retryAt(now: now) else { return [] }
        let hopeless = cause.isConfigurationFault ? queue.removeAll() : queue.removeAll { $0.deadline <= retryAt }
        counters.failures += hopeless.count
        return hopeless.map { fail($0, hopelessError(cause, $0, now: now), now: now) }
    }

    /// Why a caller is turned away on arrival, if it is.
    func refusal(of request: Request, now: MonotonicInstant) -> PostgresError? {
        if isShutDown { return shutDownError(now: now) }
        if request.deadline <= now {
            let error = PostgresError(.timedOut, "the deadline had passed before a connection was asked for")
            return explained(error, .late, now: now)
        }
        if !hasUsable, let retryAt = gate.retryAt(now: now) {
            if let cause = gate.lastError, cause.isConfigurationFault {
                return hopelessError(cause, request, now: now)
            }
            if request.deadline <= retryAt { return breakerError(retryAt, request, now: now) }
        }
        let waiting = queue.count(request.lane)
        guard waiting >= configuration.maximumWaiters else { return nil }
        let error = PostgresError(
            .poolExhausted,
            "\(waiting) callers of the lane \(request.lane) wait for a connection already; \(usage(now: now))",
            remedy: "Raise maximumWaiters, or ask less often while the database is slow.")
        return explained(error, .queueFull, now: now)
    }

    // MARK: What it is called

    func shutDownError(now: MonotonicInstant) -> PostgresError {
        explained(Self.shutDownError, .shutDown, now: now)
    }

    static let shutDownError = PostgresError(
        .poolShutDown, "the connection pool has been shut down", remedy: "Stop its users before the pool.")

    /// Why a caller got no connection in time: a pause, the last failed connect, a connect that takes long, or other
    /// holders.
    func timeoutError(_ request: Request, now: MonotonicInstant) -> PostgresError {
        let waited = "\(request.holder) got no connection within \(Self.text(now - request.since))"
        if let pauseReason {
            let error = PostgresError(
                .poolPaused, "\(waited): the pool is paused: \(pauseReason)", remedy: "Resume the pool.")
            return explained(error, .paused(pauseReason), now: now)
        }
        if let cause = gate.lastError {
            let error = PostgresError(cause.code, "\(waited): connecting fails; \(usage(now: now))", cause: cause)
            return explained(error, PoolFailure.Reason(connecting: cause), now: now)
        }
        if counters.leased > 0 {
            let error = PostgresError(
                .poolExhausted, "\(waited): \(usage(now: now))",
                remedy: "Hold connections for a shorter time, or raise maximumConnections.")
            return explained(error, .exhausted, now: now)
        }
        let error = PostgresError(.timedOut, "\(waited): the connect is still under way; \(usage(now: now))")
        return explained(error, .connecting, now: now)
    }

    private func hopelessError(_ cause: PostgresError, _ request: Request, now: MonotonicInstant) -> PostgresError {
        let fate =
            cause.isConfigurationFault
            ? "connecting fails for a reason that time does not heal"
            : "connecting fails, and it is tried again only after the deadline"
        let error = PostgresError(cause.code, "\(request.holder) gets no connection: \(fate)", cause: cause)
        return explained(error, PoolFailure.Reason(connecting: cause), now: now)
    }

    private func breakerError(
        _ retryAt: MonotonicInstant, _ request: Request, now: MonotonicInstant
    ) -> PostgresError {
        let pause = retryAt - now
        let error = PostgresError(
            .breakerOpen,
            "\(request.holder) gets no connection: connecting fails, and it is tried again in \(Self.text(pause)) only",
            cause: gate.lastError)
        return explained(error, .breakerOpen(retryAfter: pause), now: now)
    }

    /// The error together with how the pool stands.
    func explained(_ error: PostgresError, _ reason: PoolFailure.Reason, now: MonotonicInstant) -> PostgresError {
        var error = error
        error.pool = PoolFailure(reason: reason, statistics: statistics, oldestLease: oldestLease(now: now))
        return error
    }

    private func oldestLease(now: MonotonicInstant) -> PoolLease? {
        let leases = connections.values.compactMap { connection -> Lease? in
            if case .leased(let lease) = connection.state { lease } else { nil }
        }
        return leases.min { ($0.since, $0.request.id.number) < ($1.since, $1.request.id.number) }
            .map { describe($0, now: now) }
    }

    func usage(now: MonotonicInstant) -> String {
        let leased = "\(counters.leased) of \(configuration.maximumConnections) are leased"
        guard let oldest = oldestLease(now: now) else { return leased }
        return "\(leased), the longest by \(oldest.holder) for \(Self.text(oldest.age))"
    }

    static func text(_ duration: Duration) -> String {
        let milliseconds = duration.wholeNanoseconds / 1_000_000
        return milliseconds < 10_000 ? "\(milliseconds) ms" : "\(milliseconds / 1000) s"
    }

    var statistics: PoolStatistics {
        var result = counters
        result.waiting = queue.count
        result.breaker = gate.state
        return result
    }
}
