extension PoolStateMachine {
    /// Replaces all connections: idle ones now, leased ones when they come back.
    mutating func evictAll(_ reason: String, now: MonotonicInstant) -> [Action] {
        guard !isShutDown else { return [] }
        lastEviction = now
        counters.generation += 1
        outdatedConnects = counters.connecting
        note(.evicted(reason: reason, generation: counters.generation))
        // Everybody needs a new one now: that is a storm like the one after an outage.
        gate.startSlowly()
        return closeIdle(.evicted, now: now) + settle(now: now)
    }

    /// A server answered that it is read-only (25006): connections to it lead nowhere for a writer, and the names may
    /// mean another server by now. All of the generation are replaced, but not again and again for the sake of
    /// callers who insist on writing to a standby.
    mutating func foundNotPrimary(_ id: ConnectionID, by request: RequestID, now: MonotonicInstant) -> [Action] {
        guard let connection = connections[id], case .leased(let lease) = connection.state, lease.request.id == request,
            connection.generation == counters.generation
        else { return [] }
        if let lastEviction, now - lastEviction < configuration.maximumBackoff { return [] }
        return evictAll("the server is no primary", now: now)
    }

    /// Lends nothing and connects to nothing until ``resume(now:)``: idle connections are closed now, leased ones when
    /// they come back. Callers wait until their deadline.
    mutating func pause(_ reason: String, now: MonotonicInstant) -> [Action] {
        guard !isShutDown else { return [] }
        if pauseReason == nil { hasReportedDrained = false }
        pauseReason = reason
        note(.paused(reason: reason))
        return closeIdle(.paused, now: now) + settle(now: now)
    }

    mutating func resume(now: MonotonicInstant) -> [Action] {
        guard pauseReason != nil else { return [] }
        pauseReason = nil
        note(.resumed)
        gate.startSlowly()
        return settle(now: now)
    }

    /// No new callers; those waiting fail, idle connections close, leased ones close when they are returned.
    ///
    /// - Parameter reclaimsLeased: close leased connections now; what their holders do with them then fails.
    mutating func shutDown(reclaimsLeased: Bool, now: MonotonicInstant) -> [Action] {
        isShutDown = true
        let waiting = queue.removeAll()
        counters.failures += waiting.count
        var actions = waiting.map { fail($0, shutDownError(now: now), now: now) }
        actions += closeIdle(.shutDown, now: now)
        if reclaimsLeased {
            for id in connections.keys.sorted() {
                guard case .leased? = connections[id]?.state else { continue }
                counters.reclaimed += 1
                actions += startClosing(id, .shutDown, now: now)
            }
        }
        return actions + settle(now: now)
    }

    private mutating func closeIdle(_ cause: PoolCloseCause, now: MonotonicInstant) -> [Action] {
        idle.flatMap { startClosing($0, cause, now: now) }
    }
}
