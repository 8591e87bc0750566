extension PoolStateMachine {
    /// What follows from the state as it is now. The one place that lends, opens and retires connections.
    mutating func settle(now: MonotonicInstant) -> [Action] {
        var actions = now < leakDue ? [] : tendLeases(now: now)
        if isShutDown {
            if connections.isEmpty { actions.append(.finish) }
        } else {
            actions += failOverdue(now: now)
            if now >= idleDue { actions += tendIdle(now: now) }
            if pauseReason == nil {
                actions += lendIdle(now: now)
                actions += openMissing(now: now)
            } else if connections.isEmpty, !hasReportedDrained {
                hasReportedDrained = true
                actions.append(.drained)
            }
        }
        if isObserved { events += gate.takeEvents().map(PoolEvent.breaker) }
        if let wakeUp = nextWakeUp(now: now), scheduledWakeUp.map({ wakeUp < $0 }) ?? true {
            scheduledWakeUp = wakeUp
            actions.append(.wakeUp(at: wakeUp))
        }
        return actions
    }

    // MARK: Lending

    /// Whether a lane may have one more connection: one of its own, or one that every lane may have.
    func mayLend(to lane: PoolLane) -> Bool {
        leasedByLane[lane] < reserved[lane] || sharedInUse < shared
    }

    /// The way of most callers: nobody waits, and a connection is free.
    mutating func lendAtOnce(_ request: Request, now: MonotonicInstant) -> Action? {
        guard !isShutDown, pauseReason == nil, request.deadline > now, now < idleDue, mayLend(to: request.lane),
            let id = idle.popLast()
        else { return nil }
        return lend(id, to: request, now: now)
    }

    private mutating func lendIdle(now: MonotonicInstant) -> [Action] {
        var actions: [Action] = []
        while !queue.isEmpty, let id = idle.last, let request = nextToServe() {
            idle.removeLast()
            _ = queue.remove(request.id)
            actions.append(lend(id, to: request, now: now))
        }
        return actions
    }

    private mutating func lend(_ id: ConnectionID, to request: Request, now: MonotonicInstant) -> Action {
        let proved = connections[id]?.proved ?? now
        move(id, to: .leased(Lease(request: request, since: now)))
        leakDue = min(leakDue, request.limits.firstStep(since: now))
        counters.leases += 1
        counters.wait.add(from: request.since, to: now)
        if isObserved { note(.leased(request.lane, waited: now - request.since)) }
        let isFresh = now.nanoseconds &- proved.nanoseconds <= pingAfter
        return .lease(id, to: request.id, isFresh ? .glance : .answer)
    }

    /// Of the lanes that may have a connection, the one whose first caller came earliest, head starts granted.
    func nextToServe() -> Request? {
        PoolLane.allCases
            .compactMap { mayLend(to: $0) ? queue.first($0) : nil }
            .min { ($0.since - $0.lane.headStart, $0.id.number) < ($1.since - $1.lane.headStart, $1.id.number) }
    }

    // MARK: Opening

    /// Opens what is missing: one connection per caller who may have one, and whatever the minimum wants, within the
    /// maximum and what the gate allows.
    private mutating func openMissing(now: MonotonicInstant) -> [Action] {
        guard isShort else { return [] }
        let connecting = counters.connecting - outdatedConnects
        let kept = alive - outdatedConnects
        let wanted = max(servable - connecting - counters.checking, configuration.minimumConnections - kept)
        let room = gate.room(connecting: connecting, now: now)
        let number = min(wanted, configuration.maximumConnections - connections.count, room)
        var actions: [Action] = []
        for _ in 0..<max(0, number) {
            let id = ConnectionID(number: lastConnectionNumber + 1)
            guard gate.begin(id, now: now) else { break }
            lastConnectionNumber += 1
            connections[id] = Connection(state: .connecting, generation: counters.generation, begun: now)
            tally(.connecting, by: 1)
            counters.connectsStarted += 1
            actions.append(.connect(id))
        }
        return actions
    }

    private var isShort: Bool { !queue.isEmpty || alive - outdatedConnects < configuration.minimumConnections }

    /// How many of those who wait could be served if there were connections enough.
    private var servable: Int {
        var own = 0
        var others = 0
        for lane in PoolLane.allCases {
            let waiting = queue.count(lane)
            let mine = min(waiting, max(0, reserved[lane] - leasedByLane[lane]))
            own += mine
            others += waiting - mine
        }
        return own + min(others, max(0, shared - sharedInUse))
    }

    /// Connections that are or will be of use.
    var alive: Int { connections.count - counters.closing }

    /// Whether somebody can still be served without a new connection.
    var hasUsable: Bool { counters.idle + counters.leased + counters.checking > 0 }

    // MARK: Closing

    mutating func startClosing(_ id: ConnectionID, _ cause: PoolCloseCause, now: MonotonicInstant) -> [Action] {
        guard let connection = connections[id] else { return [] }
        if case .idle = connection.state { idle.removeAll { $0 == id } }
        move(id, to: .closing(cause))
        counters.closes.count(cause)
        note(.closed(cause, age: now - connection.begun))
        return [.close(id)]
    }

    /// Why a connection that is free now must not be lent again, if it must not.
    func causeToClose(_ connection: Connection, isClean: Bool) -> PoolCloseCause? {
        if !isClean { return .unclean }
        if isShutDown { return .shutDown }
        if pauseReason != nil { return .paused }
        return connection.generation < counters.generation ? .evicted : nil
    }

    // MARK: Time

    private func nextWakeUp(now: MonotonicInstant) -> MonotonicInstant? {
        var earliest = leakDue
        if !isShutDown {
            if counters.idle > 0 { earliest = min(earliest, idleDue) }
            if let deadline = queue.earliestDeadline { earliest = min(earliest, deadline) }
            if isShort, pauseReason == nil, let until = gate.retryAt(now: now) { earliest = min(earliest, until) }
        }
        return earliest.nanoseconds == .max ? nil : max(earliest, now)
    }
}
