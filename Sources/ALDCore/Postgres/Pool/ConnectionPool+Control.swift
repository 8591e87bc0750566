import Synchronization

/// What an operator does to a pool.
extension ConnectionPool {
    /// Replaces all connections, for instance after a fail-over or a change of roles: idle ones now, leased ones when
    /// they come back.
    public func evictAll(reason: String) {
        update { $0.machine.evictAll(reason, now: $1) }
    }

    /// Lends nothing and closes what is free until ``resume()``, for a planned fail-over or restart of the server.
    /// Callers wait, and fail at their deadline with ``PostgresError/Code/poolPaused``.
    ///
    /// - Parameter reason: shown to those who fail.
    public func pause(reason: String) {
        update { $0.machine.pause(reason, now: $1) }
    }

    public func resume() {
        update { $0.machine.resume(now: $1) }
    }

    /// Waits until a paused pool has no connection open any more.
    ///
    /// - Parameter deadline: an instant of the pool's time source.
    /// - Throws: ``PostgresError/Code/misuse`` unless the pool is paused and stays so, ``PostgresError/Code/timedOut``
    ///   with the oldest lease, or `cancelled`.
    public func waitUntilDrained(deadline: MonotonicInstant) async throws(PostgresError) {
        let bell = Wakeup()
        state.withLock { $0.drainers.append(bell) }
        defer { state.withLock { $0.drainers.removeAll { $0 === bell } } }
        while true {
            let (isPaused, isEmpty) = state.withLock {
                ($0.machine.pauseReason != nil || $0.machine.isShutDown, $0.machine.connections.isEmpty)
            }
            guard isPaused else {
                throw PostgresError(.misuse, "the pool is not paused", remedy: "Pause it before, and resume it later.")
            }
            if isEmpty { return }
            if Task.isCancelled { throw PostgresError(.cancelled, "cancelled while the pool was being drained") }
            guard time.now < deadline else { throw notDrained() }
            await bell.wait(until: deadline, time: time)
        }
    }

    private func notDrained() -> PostgresError {
        let now = time.now
        return state.withLock { state in
            let error = PostgresError(.timedOut, "connections are still lent: \(state.machine.usage(now: now))")
            return state.machine.explained(error, .exhausted, now: now)
        }
    }
}
