import CLibPQ
import Logging

extension PostgresConnection {
    /// Runs one statement with parameters `$1`, `$2`, … in one round trip: extended protocol, unnamed statement,
    /// parameters and results in binary. Works behind a transaction pooler.
    ///
    /// When the deadline passes or the task is cancelled while the statement runs, it is cancelled on the server.
    /// The connection is clean afterwards if the server confirms within ``cancellationGrace``, else it is closed. If
    /// the statement turns out to have finished, its result is returned after all.
    ///
    /// - Parameter deadline: an instant of the connection's time source.
    /// - Throws: ``PostgresError``; its `effect` says whether the statement may have changed anything. Only the codes
    ///   `connectionLost`, and in doubt `timedOut` and `cancelled`, end the connection: see ``isUsable``.
    public func query(
        _ sql: String, _ parameters: [PostgresValue] = [], deadline: MonotonicInstant
    ) async throws(PostgresError) -> PostgresResult {
        let buffer = try ParameterBuffer(parameters)
        let answer = try await exchange(deadline: deadline) { connection in
            buffer.withPointers { types, values, lengths, formats in
                PQsendQueryParams(connection, sql, buffer.count, types, values, lengths, formats, 1) == 1
            }
        }
        guard let answer else {
            throw PostgresError(.connectionFailed, "libpq returned no result", effect: .unknown, place: place)
        }
        return PostgresResult(answer)
    }

    /// Runs several statements separated by semicolons in one round trip (simple protocol, no parameters). They form
    /// one transaction unless they contain `BEGIN`/`COMMIT` or commands that refuse one. Results are discarded.
    ///
    /// - Throws: ``PostgresError``, as ``query(_:_:deadline:)``; the first error, after which the rest was skipped. Its
    ///   `effect` is `unknown` when the script may have committed a part of itself before.
    public func execute(script: String, deadline: MonotonicInstant) async throws(PostgresError) {
        do {
            _ = try await exchange(deadline: deadline) { PQsendQuery($0, script) == 1 }
        } catch {
            guard error.effect == .notApplied, !ScriptTransaction.isWhole(script) else { throw error }
            var doubtful = error
            doubtful.effect = .unknown
            throw doubtful
        }
    }

    // MARK: One exchange

    private func exchange(
        deadline: MonotonicInstant, send: (OpaquePointer) -> Bool
    ) async throws(PostgresError) -> ResultStorage? {
        guard !isBusy else {
            throw PostgresError(
                .misuse, "this connection is already running a statement", place: place,
                remedy: "Await one statement before the next, or take two connections.")
        }
        handle?.absorbIdleInput()
        guard let handle, !isClosing, handle.isReady else { throw closedError() }
        if Task.isCancelled { throw PostgresError(.cancelled, "cancelled before the statement was sent", place: place) }
        let limit = systemInstant(of: deadline)
        guard limit > systemClock.now else {
            throw PostgresError(.timedOut, "the deadline had passed before the statement was sent", place: place)
        }
        guard send(handle.pointer) else { throw sendError(handle) }
        isBusy = true
        defer { endOperation() }
        var answer = AnswerCollector(place: place, redaction: handle.notices.redaction)
        let outcome = await drive(handle, &answer, until: limit, heedingCancellation: true)
        if outcome != .ready { return try await abandon(handle, answer, after: outcome) }
        if !handle.isAlive || answer.isStuckInCopy { release() }
        if let error = answer.firstError { throw error }
        return answer.last
    }

    /// Sends what is left to send and reads until the server is ready for the next statement. `ready` also when the
    /// link broke: then the collector holds the reason.
    private func drive(
        _ handle: LibPQHandle, _ answer: inout AnswerCollector, until limit: MonotonicInstant,
        heedingCancellation: Bool
    ) async -> Reactor.Outcome {
        while true {
            let isUnsent = PQflush(handle.pointer) == 1
            while PQisBusy(handle.pointer) == 0 || !handle.isAlive {
                guard let result = PQgetResult(handle.pointer) else { return .ready }
                answer.take(result, isAlive: handle.isAlive)
                if answer.isStuckInCopy { return .ready }
            }
            let outcome = await waitForSocket(
                handle.socket, isUnsent ? .both : .readable, until: limit, heedingCancellation: heedingCancellation)
            guard outcome == .ready else { return outcome }
            // A failure shows in the status, which the loop above looks at.
            PQconsumeInput(handle.pointer)
        }
    }

    // MARK: Abandoning

    /// Cancels the running statement on the server and finds out what became of it.
    ///
    /// The connection is kept only with a ``CancellationProof``.
    private func abandon(
        _ handle: LibPQHandle, _ gathered: AnswerCollector, after outcome: Reactor.Outcome
    ) async throws(PostgresError) -> ResultStorage? {
        var answer = gathered
        let limit = systemClock.now + grace
        var isDelivered = false
        var end = Reactor.Outcome.timedOut
        // Again and again: a busy server may receive the request before it has read the statement, and forgets it.
        while end != .ready, systemClock.now < limit {
            isDelivered = await requestCancel(handle, until: limit)
            let next = min(limit, systemClock.now + Self.cancellationInterval)
            end = await drive(handle, &answer, until: next, heedingCancellation: false)
        }
        let isCancelled = answer.firstError?.sqlState == .queryCanceled
        let proof = CancellationProof(
            isDelivered: isDelivered, isAnswered: end == .ready, isCancelled: isCancelled, isAlive: handle.isAlive)
        if !proof.isClean { release() }
        if end == .ready {
            guard let error = answer.firstError else { return answer.last }
            if !isCancelled { throw error }
        }
        throw abandonment(after: outcome, isConfirmed: end == .ready, cause: answer.firstError)
    }

    private func requestCancel(_ handle: LibPQHandle, until limit: MonotonicInstant) async -> Bool {
        guard let request = CancelRequest(handle) else { return false }
        do {
            return try await reactor.offload(.cancelRequest, until: limit, heedingCancellation: false) {
                request.send()
            } ?? false
        } catch {
            logger.warning("cannot cancel a statement on the server", metadata: ["error": "\(error)"])
            return false
        }
    }

    private func abandonment(
        after outcome: Reactor.Outcome, isConfirmed: Bool, cause: PostgresError?
    ) -> PostgresError {
        let (code, reason): (PostgresError.Code, String) =
            switch outcome {
            case .interrupted where isClosing: (.connectionLost, "the connection was closed during the statement")
            case .interrupted: (.cancelled, "the task was cancelled during the statement")
            default: (.timedOut, "the deadline passed during the statement")
            }
        let fate = isConfirmed ? "the server cancelled it" : "the server did not confirm its end"
        var error = PostgresError(
            code, "\(reason); \(fate)", effect: isConfirmed ? .notApplied : .unknown, place: place, cause: cause)
        error.sqlState = cause?.sqlState
        return error
    }

    // MARK: Errors before anything was sent

    private func closedError() -> PostgresError {
        if let farewell = handle?.notices.farewell {
            var error = farewell
            error.code = .connectionLost
            error.effect = .notSent
            release()
            return error
        }
        release()
        return .linkLost("the connection is closed", place: place, effect: .notSent)
    }

    private func sendError(_ handle: LibPQHandle) -> PostgresError {
        guard handle.isAlive else { return closedError() }
        return PostgresError(
            .misuse, handle.notices.redaction.redact(handle.errorText).trimmed, effect: .notSent, place: place)
    }
}
