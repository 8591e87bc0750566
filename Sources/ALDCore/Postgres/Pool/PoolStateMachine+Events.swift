extension PoolStateMachine {
    /// The pool begins to work: opens the minimum.
    mutating func start(now: MonotonicInstant) -> [Action] {
        settle(now: now)
    }

    // MARK: Callers

    /// Somebody wants a connection.
    mutating func acquire(_ request: Request, now: MonotonicInstant) -> [Action] {
        counters.requests += 1
        if queue.isEmpty, let action = lendAtOnce(request, now: now) {
            let rest = settle(now: now)
            return rest.isEmpty ? [action] : [action] + rest
        }
        if let refusal = refusal(of: request, now: now) {
            counters.refusals += 1
            return [fail(request, refusal, now: now)]
        }
        queue.append(request)
        return settle(now: now)
    }

    /// A caller stopped waiting. Without effect when it was served or failed meanwhile.
    mutating func cancel(_ id: RequestID, now: MonotonicInstant) -> [Action] {
        guard let request = queue.remove(id) else { return [] }
        counters.cancellations += 1
        let error = PostgresError(.cancelled, "cancelled while waiting for a connection")
        return [fail(request, explained(error, .cancelled, now: now), now: now)] + settle(now: now)
    }

    /// A holder returned its connection. Without effect when the pool has taken it back meanwhile.
    ///
    /// - Parameter isClean: whether somebody else can use it.
    mutating func release(
        _ id: ConnectionID, by request: RequestID, isClean: Bool, now: MonotonicInstant
    ) -> [Action] {
        guard let connection = connections[id], case .leased(let lease) = connection.state, lease.request.id == request
        else {
            counters.lateReturns += 1
            note(.lateReturn)
            return []
        }
        counters.use.add(from: lease.since, to: now)
        if isObserved { note(.returned(lease.request.lane, used: now - lease.since)) }
        if let cause = causeToClose(connection, isClean: isClean && lease.stage != .cancelled) {
            return startClosing(id, cause, now: now) + settle(now: now)
        }
        // Its lifetime may be over: then it retires like any idle one, before anybody gets it.
        makeIdle(id, since: now, provedAt: now)
        return settle(now: now)
    }

    /// A connection was found dead before the caller it was lent to got hold of it: it is replaced, and the caller
    /// waits on at its place in the queue.
    mutating func foundDead(_ id: ConnectionID, for request: Request, now: MonotonicInstant) -> [Action] {
        counters.deadAtLease += 1
        counters.leases -= 1
        var actions: [Action] = []
        if case .leased(let lease)? = connections[id]?.state, lease.request.id == request.id {
            actions = startClosing(id, .dead, now: now)
        } else {
            // Taken back in the meantime, and counted as reclaimed.
            counters.reclaimed -= 1
        }
        if isShutDown {
            counters.failures += 1
            actions.append(fail(request, shutDownError(now: now), now: now))
        } else {
            queue.putBack(request)
        }
        return actions + settle(now: now)
    }

    // MARK: Connections

    /// A connect succeeded.
    ///
    /// - Parameter chance: random in 0..<1; shortens lifetime and keep-alive.
    mutating func connected(_ id: ConnectionID, chance: Double, now: MonotonicInstant) -> [Action] {
        guard let connection = connections[id], case .connecting = connection.state else { return [] }
        if connection.generation < counters.generation { outdatedConnects -= 1 }
        counters.connectsSucceeded += 1
        counters.create.add(from: connection.begun, to: now)
        note(.connected(took: now - connection.begun))
        let outage = gate.outage
        gate.succeeded(id, chance: chance, now: now)
        if let outage, gate.outage == nil {
            note(.outageEnded(failures: outage.failures, lasted: now - outage.since))
        }
        if let cause = causeToClose(connection, isClean: true) {
            return startClosing(id, cause, now: now) + settle(now: now)
        }
        let share = 1 - configuration.lifetimeJitter * chance
        connections[id]?.expires = now + .seconds(configuration.maximumLifetime.inSeconds * share)
        let pause = 1 - configuration.keepAliveJitter * chance
        connections[id]?.keepAlive = Duration.seconds(configuration.keepAlive.inSeconds * pause).wholeNanoseconds
        makeIdle(id, since: now, provedAt: now)
        return settle(now: now)
    }

    /// A connect failed.
    ///
    /// - Parameter chance: random in 0..<1; draws the pause before the next one.
    mutating func connectFailed(
        _ id: ConnectionID, _ error: PostgresError, chance: Double, now: MonotonicInstant
    ) -> [Action] {
        guard let connection = connections[id], case .connecting = connection.state else { return [] }
        if connection.generation < counters.generation { outdatedConnects -= 1 }
        move(id, to: nil)
        counters.connectsFailed += 1
        note(.connectFailed(error, took: now - connection.begun))
        guard !isShutDown else { return settle(now: now) }
        if gate.outage == nil { note(.outageBegan(error)) }
        gate.failed(id, error, chance: chance, now: now)
        return failHopeless(now: now) + settle(now: now)
    }

    /// The server has answered on an idle connection, or it has not.
    mutating func checked(_ id: ConnectionID, isAlive: Bool, now: MonotonicInstant) -> [Action] {
        guard let connection = connections[id], case .checking(let since) = connection.state else { return [] }
        if let cause = isAlive ? causeToClose(connection, isClean: true) : .dead {
            return startClosing(id, cause, now: now) + settle(now: now)
        }
        makeIdle(id, since: since, provedAt: now)
        return settle(now: now)
    }

    /// A connection has been closed.
    mutating func closed(_ id: ConnectionID, now: MonotonicInstant) -> [Action] {
        guard case .closing? = connections[id]?.state else { return [] }
        move(id, to: nil)
        counters.closed += 1
        return settle(now: now)
    }

    /// Time has passed.
    mutating func advance(now: MonotonicInstant) -> [Action] {
        if let scheduledWakeUp, scheduledWakeUp <= now { self.scheduledWakeUp = nil }
        return settle(now: now)
    }
}
