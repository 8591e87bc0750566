import DequeModule

extension PoolStateMachine {
    /// What follows from the state as it is now. The one place that lends, opens and retires connections.
    mutating func settle(now: MonotonicInstant) -> [Action] {
        guard !isShutDown else { return finishIfEmpty() }
        var actions = failOverdue(now: now)
        actions += retireIdle(now: now)
        actions += lendIdle(now: now)
        actions += openMissing(now: now)
        if let wakeUp = nextWakeUp(now: now), scheduledWakeUp.map({ wakeUp < $0 }) ?? true {
            scheduledWakeUp = wakeUp
            actions.append(.wakeUp(at: wakeUp))
        }
        return actions
    }

    mutating func makeIdle(_ id: ConnectionID, now: MonotonicInstant) {
        connections[id]?.state = .idle(since: now)
        idle.append(id)
    }

    mutating func startClosing(_ id: ConnectionID) -> [Action] {
        connections[id]?.state = .closing
        idle.removeAll { $0 == id }
        return [.close(id)]
    }

    func finishIfEmpty() -> [Action] {
        isShutDown && connections.isEmpty ? [.finish] : []
    }

    private mutating func failOverdue(now: MonotonicInstant) -> [Action] {
        guard waiting.contains(where: { $0.deadline <= now }) else { return [] }
        let overdue = waiting.filter { $0.deadline <= now }
        waiting.removeAll { $0.deadline <= now }
        counters.timeouts += overdue.count
        return overdue.map { .fail($0.id, timeoutError($0, now: now)) }
    }

    /// Lifetime is a hard rule; idle time only thins out what is above the minimum, the least recently used first.
    private mutating func retireIdle(now: MonotonicInstant) -> [Action] {
        var actions: [Action] = []
        for id in idle {
            guard let connection = connections[id], case .idle(let since) = connection.state else { continue }
            let isStale = since + configuration.idleTimeout <= now && alive > configuration.minimumConnections
            if isStale || connection.expires <= now { actions += startClosing(id) }
        }
        return actions
    }

    private mutating func lendIdle(now: MonotonicInstant) -> [Action] {
        var actions: [Action] = []
        while let id = idle.last, let request = waiting.popFirst() {
            idle.removeLast()
            connections[id]?.state = .leased(Lease(request: request, since: now))
            counters.leases += 1
            actions.append(.lease(id, to: request.id))
        }
        return actions
    }

    /// Opens what is missing: one connection per waiting caller and whatever the minimum wants, within the maximum
    /// and the number of concurrent connects. After a failed connect there is a pause, then one attempt at a time.
    private mutating func openMissing(now: MonotonicInstant) -> [Action] {
        guard !backoff.isPausing(now: now) else { return [] }
        let connecting = count { if case .connecting = $0 { true } else { false } }
        let wanted = max(waiting.count - connecting, configuration.minimumConnections - alive)
        let concurrent = backoff.lastError == nil ? configuration.maximumConcurrentConnects : 1
        let number = min(wanted, configuration.maximumConnections - connections.count, concurrent - connecting)
        return (0..<max(0, number)).map { _ in
            lastConnectionNumber += 1
            let id = ConnectionID(number: lastConnectionNumber)
            connections[id] = Connection(state: .connecting)
            counters.connectsStarted += 1
            return .connect(id)
        }
    }

    private func nextWakeUp(now: MonotonicInstant) -> MonotonicInstant? {
        var earliest: MonotonicInstant?
        func consider(_ instant: MonotonicInstant) {
            if instant > now { earliest = min(earliest ?? instant, instant) }
        }
        for request in waiting { consider(request.deadline) }
        for id in idle {
            guard let connection = connections[id], case .idle(let since) = connection.state else { continue }
            consider(connection.expires)
            if alive > configuration.minimumConnections { consider(since + configuration.idleTimeout) }
        }
        if !waiting.isEmpty || alive < configuration.minimumConnections, let until = backoff.pausedUntil {
            consider(until)
        }
        return earliest
    }

    /// Connections that are or will be of use.
    private var alive: Int { count { if case .closing = $0 { false } else { true } } }

    /// Whether somebody can still be served without a new connection.
    var hasUsable: Bool {
        count {
            switch $0 {
            case .idle, .leased: true
            case .connecting, .closing: false
            }
        } > 0
    }

    func count(where predicate: (Connection.State) -> Bool) -> Int {
        connections.values.count { predicate($0.state) }
    }

    mutating func failAll(
        counting counter: WritableKeyPath<PoolStatistics, Int>, _ error: (Request) -> PostgresError
    ) -> [Action] {
        let actions = waiting.map { Action.fail($0.id, error($0)) }
        counters[keyPath: counter] += waiting.count
        waiting.removeAll()
        return actions
    }
}
