import Logging
import Synchronization

extension ConnectionPool {
    struct Lease {
        let id: Machine.ConnectionID
        let connection: PostgresConnection
    }

    /// The one doorway to the machine: lock, one event, unlock, perform what it decided.
    func update(_ event: (inout State, MonotonicInstant) -> [Machine.Action]) {
        var effects: [() -> Void] = []
        state.withLock { state in
            for action in event(&state, time.now) {
                switch action {
                case .connect(let id): effects.append { self.commands.append(.connect(id)) }
                case .close(let id): effects.append { self.commands.append(.close(id)) }
                case .wakeUp(let instant): effects.append { self.commands.append(.wakeUp(at: instant)) }
                case .finish: effects.append { self.commands.append(.finish) }
                case .lease(let id, let request): settle(request, .success(id), in: &state, &effects)
                case .fail(let request, let error): settle(request, .failure(error), in: &state, &effects)
                }
            }
        }
        for effect in effects { effect() }
    }

    private func settle(
        _ request: Machine.RequestID, _ result: Result<Machine.ConnectionID, PostgresError>, in state: inout State,
        _ effects: inout [() -> Void]
    ) {
        if case .waiting(let continuation)? = state.callers[request] {
            state.callers[request] = nil
            effects.append { continuation.resume(returning: result) }
        } else {
            state.callers[request] = .settled(result)
        }
    }

    // MARK: Callers

    func acquire(holder: String, deadline: MonotonicInstant) async throws(PostgresError) -> Lease {
        let now = time.now
        let id = state.withLock { state in
            state.lastRequest += 1
            return Machine.RequestID(number: state.lastRequest)
        }
        let request = Machine.Request(id: id, holder: holder, deadline: deadline, since: now)
        update { state, now in
            state.callers[id] = .announced
            return state.machine.acquire(request, now: now)
        }
        while true {
            let connectionID = try await outcome(of: request).get()
            guard let connection = state.withLock({ $0.connections[connectionID] }) else {
                throw Machine.shutDownError
            }
            if connection.seemsClean { return Lease(id: connectionID, connection: connection) }
            if await connection.isClean { return Lease(id: connectionID, connection: connection) }
            logger.info("an idle connection was dead", metadata: ["holder": "\(holder)"])
            update { state, now in
                state.callers[id] = .announced
                return state.machine.foundDead(connectionID, for: request, now: now)
            }
        }
    }

    /// Waits for the machine's verdict. The alarm belongs to the caller and not to `run()`, so that deadlines are
    /// kept even when nobody runs the pool.
    private func outcome(of request: Machine.Request) async -> Result<Machine.ConnectionID, PostgresError> {
        let immediate = state.withLock { state -> Result<Machine.ConnectionID, PostgresError>? in
            guard case .settled(let result)? = state.callers[request.id] else { return nil }
            state.callers[request.id] = nil
            return result
        }
        if let immediate { return immediate }
        async let _: Void = ring(at: request.deadline)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                update { state, _ in
                    if case .settled(let result)? = state.callers[request.id] {
                        state.callers[request.id] = .waiting(continuation)
                        return [Self.replay(result, for: request.id)]
                    }
                    state.callers[request.id] = .waiting(continuation)
                    return []
                }
            }
        } onCancel: {
            update { $0.machine.cancel(request.id, now: $1) }
        }
        return result
    }

    /// The verdict came between announcing and waiting: deliver it the usual way.
    private static func replay(
        _ result: Result<Machine.ConnectionID, PostgresError>, for request: Machine.RequestID
    ) -> Machine.Action {
        switch result {
        case .success(let id): .lease(id, to: request)
        case .failure(let error): .fail(request, error)
        }
    }

    func giveBack(_ lease: Lease) async {
        var isClean = lease.connection.seemsClean
        if !isClean { isClean = await lease.connection.isClean }
        update { $0.machine.release(lease.id, isClean: isClean, now: $1) }
    }

    // MARK: Tasks of run()

    func connect(_ id: Machine.ConnectionID) async {
        do {
            let connection = try await PostgresConnection.connect(
                configuration, deadline: time.now + pool.connectTimeout, time: time, logger: logger)
            update { state, now in
                state.connections[id] = connection
                return state.machine.connected(id, chance: .random(in: 0..<1), now: now)
            }
        } catch {
            let isFirst = state.withLock { $0.machine.backoff.lastError == nil }
            logger.log(
                level: isFirst ? .warning : .debug, "cannot connect to the database", metadata: ["error": "\(error)"])
            update { $0.machine.connectFailed(id, error, chance: .random(in: 0..<1), now: $1) }
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

    func ring(at instant: MonotonicInstant) async {
        do {
            try await time.sleep(until: instant)
        } catch {
            return
        }
        update { $0.machine.advance(now: max($1, instant)) }
    }
}
