import CLibPQ
import Logging

/// What an exchange works with while ``ExchangeMachine`` decides.
struct Exchange {
    let handle: LibPQHandle
    /// Real time.
    let limit: MonotonicInstant
    var answer: AnswerCollector
    /// The server sends rows of a COPY.
    var isCopyingOut = false
    /// Rows of a COPY that nobody has taken.
    var rows = CopyParser()
    var objection = CopyObjection()
    /// Warnings that had come when it began.
    let warnings: Int

    init(handle: LibPQHandle, limit: MonotonicInstant, answer: AnswerCollector) {
        self.handle = handle
        self.limit = limit
        self.answer = answer
        warnings = handle.notices.warnings
    }

    /// Takes one thing out of libpq's input.
    mutating func collect() -> ExchangeMachine.Collected {
        let connection = handle.pointer
        if isCopyingOut, let rows = collectRows() { return rows }
        guard PQisBusy(connection) == 0 || !handle.isAlive else { return .pending }
        guard let result = PQgetResult(connection) else {
            // Between two statements of a pipeline there is nothing, too.
            return answer.pendingSyncs > 0 && handle.isAlive
                ? .result(isCancellation: false) : .end(isAlive: handle.isAlive)
        }
        let collected = answer.take(result, isAlive: handle.isAlive)
        if collected == .copyOut { isCopyingOut = true }
        return collected
    }

    /// - Returns: `nil` when the rows have ended and a result follows.
    private mutating func collectRows() -> ExchangeMachine.Collected? {
        var data: UnsafeMutablePointer<CChar>?
        let length = PQgetCopyData(handle.pointer, &data, 1)
        guard length > 0 else {
            if length == 0 { return .pending }
            isCopyingOut = false
            return nil
        }
        rows.append(UnsafeRawBufferPointer(start: data, count: Int(length)))
        PQfreemem(data)
        return .rows(isBatchFull: rows.isBatchFull)
    }
}

extension PostgresConnection {
    /// Checks that a request can be made, and lets `send` put it into libpq's buffer. The exchange that begins must
    /// end with ``endOperation()``.
    func begin(
        deadline: MonotonicInstant, keepsAll: Bool = false, syncs: Int = 0, send: (OpaquePointer) -> Bool
    ) throws(PostgresError) -> Exchange {
        try begin(until: systemInstant(of: deadline), keepsAll: keepsAll, syncs: syncs, send: send)
    }

    /// - Parameter limit: an instant of real time.
    func begin(
        until limit: MonotonicInstant, keepsAll: Bool = false, syncs: Int = 0, send: (OpaquePointer) -> Bool
    ) throws(PostgresError) -> Exchange {
        guard !isBusy else {
            throw PostgresError(
                .misuse, "this connection is already running a statement", place: place,
                remedy: "Await one statement before the next, or take two connections.")
        }
        handle?.absorbIdleInput()
        guard let handle, !isClosing, handle.isReady else { throw closedError() }
        if Task.isCancelled { throw PostgresError(.cancelled, "cancelled before the statement was sent", place: place) }
        guard limit > systemClock.now else {
            throw PostgresError(.timedOut, "the deadline had passed before the statement was sent", place: place)
        }
        guard send(handle.pointer) else { throw sendError(handle) }
        isBusy = true
        let answer = AnswerCollector(
            place: place, redaction: handle.notices.redaction, keepsAll: keepsAll, syncs: syncs)
        return Exchange(handle: handle, limit: limit, answer: answer)
    }

    /// Performs what the machine decides until it is at its goal or the exchange is over.
    ///
    /// - Parameter grace: how long an abandoned exchange waits for the server's confirmation. With none, the server is
    ///   not asked to cancel anything either: the session is closed at once. Defaults to the connection's.
    func drive(
        _ exchange: inout Exchange, to goal: ExchangeMachine.Goal, from first: ExchangeMachine.Event = .began,
        isCopyingIn: Bool = false, grace: Duration? = nil
    ) async -> ExchangeMachine.Verdict {
        let handle = exchange.handle
        var machine = ExchangeMachine(
            goal: goal, deadline: exchange.limit, grace: grace ?? self.grace, interval: Self.cancellationInterval,
            isCopyingIn: isCopyingIn)
        var event = first
        while true {
            switch machine.handle(event, now: systemClock.now) {
            case .flush: event = .flushed(isComplete: PQflush(handle.pointer) != 1)
            case .collect: event = .collected(exchange.collect())
            case .wait(let interest, let limit, let heedsCancellation):
                let outcome = await waitForSocket(
                    handle.socket, interest == .both ? .both : .readable, until: limit,
                    heedingCancellation: heedsCancellation)
                event = .waited(machineOutcome(outcome))
            case .consume:
                if goal == .room {
                    event = exchange.objection.look(at: handle) ? .objected : .consumed
                } else {
                    // A failure shows in the status, which `collect` looks at.
                    PQconsumeInput(handle.pointer)
                    event = .consumed
                }
            case .failCopy:
                PQputCopyEnd(handle.pointer, "the client gave up before its last row")
                event = .copyFailed
            case .requestCancel(let limit):
                event = .cancelRequested(isDelivered: await requestCancel(handle, until: limit))
            case .finish(let verdict):
                if exchange.answer.hasTrace { hasTrace = true }
                settle(verdict)
                return verdict
            }
        }
    }

    private func machineOutcome(_ outcome: Reactor.Outcome) -> ExchangeMachine.Outcome {
        switch outcome {
        case .ready: .ready
        case .timedOut: .timedOut
        case .interrupted: isClosing ? .closed : .cancelled
        }
    }

    /// The one place that decides whether the session outlives an exchange.
    private func settle(_ verdict: ExchangeMachine.Verdict) {
        switch verdict {
        case .reached, .answered(isAlive: true), .abandoned(_, isConfirmed: _, isClean: true): break
        case .answered, .stuck, .abandoned: release()
        }
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

    // MARK: Errors

    /// The error of an exchange that is over, or `nil` when it went well.
    func failure(of exchange: Exchange, _ verdict: ExchangeMachine.Verdict) -> PostgresError? {
        switch verdict {
        case .reached: return nil
        case .answered: return exchange.answer.firstError
        case .stuck:
            return exchange.answer.firstError
                ?? PostgresError(
                    .misuse, "COPY to or from the client needs a function of its own", effect: .notApplied,
                    place: place, remedy: "Use copyIn or copyOut.")
        case .abandoned(let reason, let isConfirmed, _):
            let cause = exchange.answer.firstError
            if isConfirmed, cause?.sqlState != .queryCanceled {
                if let cause { return cause }
                // "canceling wait for synchronous replication": committed here, and perhaps nowhere else.
                if exchange.handle.notices.warnings == exchange.warnings { return nil }
                return abandonment(reason, isConfirmed: false, cause: nil)
            }
            return abandonment(reason, isConfirmed: isConfirmed, cause: cause)
        }
    }

    func abandonment(
        _ reason: ExchangeMachine.Reason, isConfirmed: Bool, cause: PostgresError?
    ) -> PostgresError {
        let (code, text): (PostgresError.Code, String) =
            switch reason {
            case .close: (.connectionLost, "the connection was closed during the statement")
            case .cancellation: (.cancelled, "the task was cancelled during the statement")
            case .deadline: (.timedOut, "the deadline passed during the statement")
            case .stop: (.cancelled, "the rest was not wanted")
            }
        let fate = isConfirmed ? "the server cancelled it" : "the server did not confirm its end"
        var error = PostgresError(
            code, "\(text); \(fate)", effect: isConfirmed ? .notApplied : .unknown, place: place, cause: cause)
        error.sqlState = cause?.sqlState
        return error
    }

    func closedError(effect: PostgresError.Effect = .notSent) -> PostgresError {
        if let farewell = handle?.notices.farewell {
            var error = farewell
            if error.code != .tooManyConnections { error.code = .connectionLost }
            error.effect = effect
            release()
            return error
        }
        release()
        return .linkLost("the connection is closed", place: place, effect: effect)
    }

    private func sendError(_ handle: LibPQHandle) -> PostgresError {
        guard handle.isAlive else { return closedError() }
        return PostgresError(
            .misuse, handle.notices.redaction.redact(handle.errorText).trimmed, effect: .notSent, place: place)
    }
}
