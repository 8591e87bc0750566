extension PoolStateMachine {
    static let shutDownError = PostgresError(
        .poolShutDown, "the connection pool has been shut down", remedy: "Stop its users before the pool.")

    /// Why a caller is turned away on arrival, if it is.
    func refusal(of request: Request, now: MonotonicInstant) -> PostgresError? {
        if isShutDown { return Self.shutDownError }
        if request.deadline <= now {
            return PostgresError(.timedOut, "the deadline had passed before a connection was asked for")
        }
        // Nobody can be served before the pause is over, and what failed was no accident.
        if let error = backoff.lastError, error.isConfigurationFault, backoff.isPausing(now: now), !hasUsable {
            return Self.hopeless(error, request)
        }
        guard waiting.count >= configuration.maximumWaiters else { return nil }
        return PostgresError(
            .poolExhausted, "\(waiting.count) callers wait for a connection already; \(usage(now: now))",
            remedy: "Raise maximumWaiters, or ask less often while the database is slow.")
    }

    /// Why a caller got no connection in time: the last failed connect, a connect that takes long, or other holders.
    func timeoutError(_ request: Request, now: MonotonicInstant) -> PostgresError {
        let waited = "\"\(request.holder)\" got no connection within \(Self.text(now - request.since))"
        if let cause = backoff.lastError {
            return PostgresError(cause.code, "\(waited): connecting fails", cause: cause)
        }
        if connections.values.contains(where: { if case .leased = $0.state { true } else { false } }) {
            return PostgresError(
                .poolExhausted, "\(waited): \(usage(now: now))",
                remedy: "Hold connections for a shorter time, or raise maximumConnections.")
        }
        return PostgresError(.timedOut, "\(waited): the connect is still under way; \(usage(now: now))")
    }

    static func hopeless(_ cause: PostgresError, _ request: Request) -> PostgresError {
        PostgresError(
            cause.code,
            "\"\(request.holder)\" gets no connection: connecting fails for a reason that time does not heal",
            cause: cause)
    }

    private func usage(now: MonotonicInstant) -> String {
        let leases = connections.values.compactMap { connection -> Lease? in
            if case .leased(let lease) = connection.state { lease } else { nil }
        }
        let maximum = configuration.maximumConnections
        guard let oldest = leases.min(by: { $0.since < $1.since }) else { return "0 of \(maximum) are leased" }
        return "\(leases.count) of \(maximum) are leased, the longest by \"\(oldest.request.holder)\""
            + " for \(Self.text(now - oldest.since))"
    }

    private static func text(_ duration: Duration) -> String {
        let milliseconds = duration.wholeNanoseconds / 1_000_000
        return milliseconds < 10_000 ? "\(milliseconds) ms" : "\(milliseconds / 1000) s"
    }

    var statistics: PoolStatistics {
        var result = counters
        result.waiting = waiting.count
        for connection in connections.values {
            switch connection.state {
            case .connecting: result.connecting += 1
            case .idle: result.idle += 1
            case .leased: result.leased += 1
            case .closing: result.closing += 1
            }
        }
        return result
    }
}
