import Synchronization

/// The way of a caller to a connection and back.
extension ConnectionPool {
    struct Lease {
        let id: Machine.ConnectionID
        let request: Machine.RequestID
        let connection: PostgresConnection
    }

    struct Grant: Sendable {
        let id: Machine.ConnectionID
        let connection: PostgresConnection
        let proof: Machine.Proof
    }

    typealias Verdict = Result<Grant, PostgresError>

    /// Where a caller is who could not be served at once.
    enum Caller {
        /// Has asked and does not wait yet.
        case announced
        /// Served or failed before it began to wait.
        case settled(Verdict)
        case waiting(CheckedContinuation<Verdict, Never>)
    }

    nonisolated(nonsending) func acquire(
        _ holder: PoolHolder, _ lane: PoolLane, deadline: MonotonicInstant, limits: LeaseLimits
    ) async throws(PostgresError) -> Lease {
        var (request, known) = announce(holder, lane, deadline, limits)
        while true {
            let grant: Grant
            if let known {
                if known.proof == .glance, known.connection.seemsClean {
                    return Lease(id: known.id, request: request.id, connection: known.connection)
                }
                grant = known
            } else {
                grant = try await outcome(of: request).get()
            }
            if await isAlive(grant, deadline: deadline) {
                return Lease(id: grant.id, request: request.id, connection: grant.connection)
            }
            known = nil
            update { state, now in
                state.callers[request.id] = .announced
                return state.machine.foundDead(grant.id, for: request, now: now)
            }
        }
    }

    /// Asks the machine. Most callers are served at once, by taking the lock once.
    private func announce(
        _ holder: PoolHolder, _ lane: PoolLane, _ deadline: MonotonicInstant, _ limits: LeaseLimits
    ) -> (Machine.Request, Grant?) {
        let now = time.now
        var effects = Effects()
        let result = state.withLock { state -> (Machine.Request, Grant?) in
            state.lastRequest += 1
            let request = Machine.Request(
                id: Machine.RequestID(number: state.lastRequest), holder: holder, lane: lane, deadline: deadline,
                since: now, limits: limits)
            let actions = state.machine.acquire(request, now: now)
            if case .lease(let id, request.id, let proof)? = actions.first, let connection = state.connections[id] {
                effects.perform(actions.dropFirst(), in: &state)
                return (request, Grant(id: id, connection: connection, proof: proof))
            }
            state.callers[request.id] = .announced
            effects.perform(actions[...], in: &state)
            return (request, nil)
        }
        carryOut(effects)
        return result
    }

    private nonisolated(nonsending) func isAlive(_ grant: Grant, deadline: MonotonicInstant) async -> Bool {
        var isClean = grant.connection.seemsClean
        if !isClean { isClean = await grant.connection.isClean }
        guard isClean, grant.proof == .answer else { return isClean }
        return await grant.connection.answers(by: min(deadline, time.now + pool.pingTimeout))
    }

    /// Waits for the machine's verdict. The alarm belongs to the caller and not to `run()`, so that deadlines are
    /// kept even when nobody runs the pool.
    private nonisolated(nonsending) func outcome(of request: Machine.Request) async -> Verdict {
        let immediate = state.withLock { state -> Verdict? in
            guard case .settled(let verdict)? = state.callers[request.id] else { return nil }
            state.callers[request.id] = nil
            return verdict
        }
        if let immediate { return immediate }
        async let _: Void = ring(at: request.deadline)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let early = state.withLock { state -> Verdict? in
                    if case .settled(let verdict)? = state.callers[request.id] {
                        state.callers[request.id] = nil
                        return verdict
                    }
                    state.callers[request.id] = .waiting(continuation)
                    return nil
                }
                if let early { continuation.resume(returning: early) }
            }
        } onCancel: {
            update { $0.machine.cancel(request.id, now: $1) }
        }
    }

    private func needsReset(_ connection: PostgresConnection) -> Bool {
        switch pool.sessionReset {
        case .never: false
        case .whenTouched: connection.bearsTrace
        case .always: true
        }
    }

    /// - Parameter error: what the holder failed with.
    nonisolated(nonsending) func giveBack(_ lease: Lease, after error: PostgresError? = nil) async {
        let isNotPrimary = error?.code == .notPrimary
        if isNotPrimary {
            update { $0.machine.foundNotPrimary(lease.id, by: lease.request, now: $1) }
        }
        var isClean = lease.connection.wasClean
        if !isClean { isClean = await lease.connection.isClean }
        if isClean, !isNotPrimary, needsReset(lease.connection) {
            isClean = await lease.connection.resetSession(deadline: time.now + pool.pingTimeout)
        }
        update { $0.machine.release(lease.id, by: lease.request, isClean: isClean && !isNotPrimary, now: $1) }
    }
}
