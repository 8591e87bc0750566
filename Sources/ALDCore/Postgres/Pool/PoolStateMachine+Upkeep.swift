/// What time does to connections that nobody uses, and to leases that last too long.
extension PoolStateMachine {
    // MARK: Idle connections

    mutating func makeIdle(_ id: ConnectionID, since: MonotonicInstant, provedAt proved: MonotonicInstant) {
        move(id, to: .idle(since: since))
        idle.append(id)
        guard let index = connections.index(forKey: id) else { return }
        connections.values[index].proved = proved
        let expires = connections.values[index].expires
        idleDue = min(idleDue, expires, keepAliveDue(connections.values[index]), idleEnd(since))
        // There may be one too many now, of those that were kept for the minimum only.
        if keepsStale, alive > configuration.minimumConnections { idleDue = since }
    }

    private func keepAliveDue(_ connection: Connection) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: connection.proved.nanoseconds &+ connection.keepAlive)
    }

    private func idleEnd(_ since: MonotonicInstant) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: since.nanoseconds &+ idleTimeout)
    }

    /// Lifetime is a hard rule; idle time only thins out what is above the minimum, the least recently used first.
    mutating func tendIdle(now: MonotonicInstant) -> [Action] {
        var actions: [Action] = []
        idleDue = MonotonicInstant(nanoseconds: .max)
        keepsStale = false
        // Whoever gets one has it proved alive himself.
        let isWanted = nextToServe() != nil
        for id in idle {
            guard let connection = connections[id], case .idle(let since) = connection.state else { continue }
            let isStale = idleEnd(since) <= now
            let keepAliveDue = keepAliveDue(connection)
            if connection.expires <= now {
                actions += startClosing(id, .lifetime, now: now)
            } else if isStale, alive > configuration.minimumConnections {
                actions += startClosing(id, .idle, now: now)
            } else if keepAliveDue <= now, !isWanted {
                idle.removeAll { $0 == id }
                move(id, to: .checking(idleSince: since))
                actions.append(.check(id))
            } else {
                if isStale { keepsStale = true }
                idleDue = min(idleDue, connection.expires, keepAliveDue)
                if !isStale { idleDue = min(idleDue, idleEnd(since)) }
            }
        }
        return actions
    }

    // MARK: Leaks

    mutating func tendLeases(now: MonotonicInstant) -> [Action] {
        var actions: [Action] = []
        leakDue = MonotonicInstant(nanoseconds: .max)
        for id in connections.keys.sorted() {
            guard case .leased(var lease)? = connections[id]?.state else { continue }
            while let next = lease.request.limits.next(after: lease.stage, since: lease.since) {
                guard next.at <= now else {
                    leakDue = min(leakDue, next.at)
                    break
                }
                lease.stage = next.stage
                note(.leak(next.stage, describe(lease, now: now)))
                switch next.stage {
                case .warned: break
                case .cancelled: actions.append(.cancelStatement(id))
                case .reclaimed:
                    counters.reclaimed += 1
                    actions += startClosing(id, .leaked, now: now)
                }
            }
            if case .leased? = connections[id]?.state { connections[id]?.state = .leased(lease) }
        }
        return actions
    }

    func describe(_ lease: Lease, now: MonotonicInstant) -> PoolLease {
        PoolLease(holder: lease.request.holder, lane: lease.request.lane, age: now - lease.since)
    }
}
