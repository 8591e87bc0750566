import Synchronization

/// Does what the machine decides.
extension ConnectionPool {
    /// What `run()` does for the machine.
    enum Command: Sendable {
        case connect(Machine.ConnectionID)
        case close(Machine.ConnectionID)
        case check(Machine.ConnectionID)
        case cancelStatement(Machine.ConnectionID)
        case finish
    }

    /// What an event leads to, gathered under the lock and carried out without it.
    struct Effects {
        private(set) var commands: [Command] = []
        private(set) var resumed: [(CheckedContinuation<Verdict, Never>, Verdict)] = []
        private(set) var drainers: [Wakeup] = []
        private(set) var events: [PoolEvent] = []
        private(set) var ringsAlarm = false

        mutating func perform(_ actions: ArraySlice<Machine.Action>, in state: inout State) {
            for action in actions {
                switch action {
                case .connect(let id): commands.append(.connect(id))
                case .close(let id): commands.append(.close(id))
                case .check(let id): commands.append(.check(id))
                case .cancelStatement(let id): commands.append(.cancelStatement(id))
                case .drained: drainers = state.drainers
                case .finish:
                    drainers = state.drainers
                    commands.append(.finish)
                case .wakeUp(let instant):
                    state.alarm = instant
                    ringsAlarm = true
                case .lease(let id, let request, let proof):
                    guard let connection = state.connections[id] else { continue }
                    settle(request, .success(Grant(id: id, connection: connection, proof: proof)), in: &state)
                case .fail(let request, let error): settle(request, .failure(error), in: &state)
                }
            }
            if !state.machine.events.isEmpty {
                events = state.machine.events
                state.machine.events.removeAll()
            }
        }

        private mutating func settle(_ request: Machine.RequestID, _ verdict: Verdict, in state: inout State) {
            if case .waiting(let continuation)? = state.callers[request] {
                state.callers[request] = nil
                resumed.append((continuation, verdict))
            } else {
                state.callers[request] = .settled(verdict)
            }
        }
    }

    /// The one doorway to the machine: lock, one event, unlock, perform what it decided.
    func update(_ event: (inout State, MonotonicInstant) -> [Machine.Action]) {
        var effects = Effects()
        state.withLock { state in
            let actions = event(&state, time.now)
            effects.perform(actions[...], in: &state)
        }
        carryOut(effects)
    }

    func carryOut(_ effects: Effects) {
        // Before anybody goes on: what he does next is reported after what made it possible.
        for event in effects.events { report(event) }
        for (continuation, verdict) in effects.resumed { continuation.resume(returning: verdict) }
        for command in effects.commands { commands.append(command) }
        if effects.ringsAlarm { alarm.signal() }
        for drainer in effects.drainers { drainer.signal() }
    }

    // MARK: Tasks of run()

    func connect(_ id: Machine.ConnectionID) async {
        let deadline = time.now + pool.connectTimeout
        do {
            let current = try await currentConfiguration(deadline: deadline)
            let connection = try await PostgresConnection.connect(
                current, deadline: deadline, time: time, logger: logger, lookUp: lookUp)
            update { state, now in
                state.connections[id] = connection
                return state.machine.connected(id, chance: .random(in: 0..<1), now: now)
            }
        } catch {
            update { $0.machine.connectFailed(id, error, chance: .random(in: 0..<1), now: $1) }
        }
    }

    private func currentConfiguration(deadline: MonotonicInstant) async throws(PostgresError) -> PostgresConfiguration {
        guard let credentials else { return configuration }
        do {
            return try await withThrowingTaskGroup(of: PostgresConfiguration.self) { group in
                group.addTask { try await credentials(self.configuration) }
                group.addTask {
                    try await self.time.sleep(until: deadline)
                    throw PostgresError(.timedOut, "the credentials did not come in time")
                }
                defer { group.cancelAll() }
                return try await group.next() ?? self.configuration
            }
        } catch let error as PostgresError {
            throw error
        } catch {
            throw PostgresError(.connectionFailed, "there are no credentials to connect with: \(error)")
        }
    }

    func close(_ id: Machine.ConnectionID) async {
        let connection = state.withLock { $0.connections[id] }
        await connection?.close()
        update { state, now in
            state.connections[id] = nil
            return state.machine.closed(id, now: now)
        }
    }

    func check(_ id: Machine.ConnectionID) async {
        let connection = state.withLock { $0.connections[id] }
        let isAlive = await connection?.answers(by: time.now + pool.pingTimeout) ?? false
        update { $0.machine.checked(id, isAlive: isAlive, now: $1) }
    }

    func cancelStatement(_ id: Machine.ConnectionID) async {
        let connection = state.withLock { $0.connections[id] }
        await connection?.cancelStatement()
    }

    // MARK: Time

    func ring(at instant: MonotonicInstant) async {
        do {
            try await time.sleep(until: instant)
        } catch {
            return
        }
        update { $0.machine.advance(now: max($1, instant)) }
    }

    /// The one alarm of `run()`: sleeps until the instant that was ordered last.
    func keepTime() async {
        while !Task.isCancelled {
            guard let instant = state.withLock(\.alarm) else {
                await alarm.wait()
                continue
            }
            if time.now < instant { await alarm.wait(until: instant, time: time) }
            if Task.isCancelled { return }
            let now = time.now
            let isDue = state.withLock { state in
                guard let ordered = state.alarm, ordered <= now else { return false }
                state.alarm = nil
                return true
            }
            if isDue { update { $0.machine.advance(now: $1) } }
        }
    }
}
