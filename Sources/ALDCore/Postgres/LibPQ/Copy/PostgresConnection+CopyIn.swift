import CLibPQ

extension PostgresConnection {
    /// Names one COPY, so that a writer or reader that was kept too long cannot touch a later one.
    struct CopyID: Hashable, Sendable {
        fileprivate let number: Int
    }

    /// A COPY between two calls of the one who feeds or drains it.
    struct OpenCopy {
        let id: CopyID
        var exchange: Exchange
        /// libpq holds data that the kernel did not take.
        var isUnsent = false
        /// Data have been sent to their end.
        var isFed = false
        /// What the columns of a `COPY … TO` are; `nil` for a `COPY … FROM`.
        var columns: [PostgresColumn]?
    }

    /// Stores rows with `COPY … FROM STDIN (FORMAT binary)`, the fastest way into a table.
    ///
    /// ```swift
    /// try await connection.copyIn("COPY history FROM STDIN (FORMAT binary)", deadline: deadline) { writer in
    ///     try await writer.write(samples) { sample, row in
    ///         row.append(sample.id)
    ///         try row.append(sample.time)
    ///     }
    /// }
    /// ```
    ///
    /// All or nothing: when `body` throws, the task is cancelled, the deadline passes or the server refuses a row, no
    /// row is stored, and the connection is clean or closed afterwards. A refusal is noticed while rows are still being
    /// written, not only at the end, and carries the row's number in ``PostgresError/context``
    /// (`COPY history, line 17, column value: …`). While `body` does something else, nobody watches the deadline.
    ///
    /// - Parameters:
    ///   - script: the `COPY`, alone or as one of several statements separated by semicolons, which then form one
    ///     transaction (simple protocol; see ``execute(script:deadline:)``).
    ///   - deadline: for everything together, as an instant of the connection's time source.
    ///   - body: writes the rows.
    /// - Returns: the results of all statements of the script; the `rowsAffected` of the `COPY` is the number of rows.
    /// - Throws: what `body` throws, or ``PostgresError`` as ``execute(script:deadline:)``; `misuse` when the script
    ///   starts no binary `COPY … FROM STDIN`.
    @discardableResult
    public nonisolated(nonsending) func copyIn(
        _ script: String, deadline: MonotonicInstant,
        _ body: (inout PostgresCopyWriter) async throws -> Void
    ) async throws -> [PostgresResult] {
        do {
            let (id, columns, preceding) = try await beginCopyIn(script, deadline: deadline)
            var writer = PostgresCopyWriter(
                connection: self, copy: id, columnCount: columns, precedingResults: preceding)
            do {
                try await body(&writer)
                try await writer.finish()
            } catch {
                await stopCopy(id)
                throw error
            }
            return try await endCopyIn(id)
        } catch let error as PostgresError {
            throw error.inDoubtIfDivided(script)
        }
    }

    // MARK: Steps

    private func beginCopyIn(
        _ script: String, deadline: MonotonicInstant
    ) async throws(PostgresError) -> (CopyID, columns: Int, preceding: [PostgresResult]) {
        var exchange = try begin(deadline: deadline, keepsAll: true) { PQsendQuery($0, script) == 1 }
        let verdict = await drive(&exchange, to: .copyIn)
        guard verdict == .reached, let start = exchange.answer.last else {
            defer { endOperation() }
            throw failure(of: exchange, verdict) ?? noCopy("FROM STDIN")
        }
        exchange.objection.isTrusted = !isPooled
        let id = open(exchange)
        guard start.isBinaryCopy else {
            await stopCopy(id)
            throw noCopy("FROM STDIN (FORMAT binary)")
        }
        return (id, start.copyColumnCount, exchange.answer.completed)
    }

    /// Queues a chunk. Waits first until the one before it is on its way, so that memory stays bounded.
    func copySend(_ chunk: CopyChunk, of id: CopyID) async throws(PostgresError) {
        var copy = try current(id)
        if copy.isUnsent || Task.isCancelled || systemClock.now >= copy.exchange.limit {
            try await makeRoom(&copy)
        }
        if copy.exchange.objection.look(at: copy.exchange.handle) { throw await refusal(&copy) }
        let connection = copy.exchange.handle.pointer
        let base = chunk.bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
        guard PQputCopyData(connection, base, Int32(truncatingIfNeeded: chunk.bytes.count)) == 1 else {
            throw await refusal(&copy)
        }
        copy.isUnsent = PQflush(connection) == 1
        self.copy = copy
    }

    private func makeRoom(_ copy: inout OpenCopy) async throws(PostgresError) {
        let first: ExchangeMachine.Event =
            if Task.isCancelled {
                .stopped(.cancellation)
            } else if systemClock.now >= copy.exchange.limit {
                .stopped(.deadline)
            } else {
                .began
            }
        let verdict = await drive(&copy, to: .room, from: first)
        guard verdict != .reached else { return }
        throw end(copy, after: verdict)
    }

    /// The server said no, or the link broke: hears the reason.
    private func refusal(_ copy: inout OpenCopy) async -> PostgresError {
        let verdict = await drive(&copy, to: .answer, from: .stopped(.stop))
        guard let reason = copy.exchange.answer.firstError else { return end(copy, after: verdict) }
        end(copy, reason)
        return reason
    }

    private func endCopyIn(_ id: CopyID) async throws(PostgresError) -> [PostgresResult] {
        var copy = try current(id)
        // Whether it is too late was asked just before, when the last chunk was taken.
        PQputCopyEnd(copy.exchange.handle.pointer, nil)
        copy.isFed = true
        let verdict = await drive(&copy, to: .answer)
        if let error = failure(of: copy.exchange, verdict) {
            end(copy, error)
            throw error
        }
        end(copy, nil)
        return copy.exchange.answer.completed
    }

    // MARK: The open COPY

    func open(_ exchange: Exchange, columns: [PostgresColumn]? = nil) -> CopyID {
        lastCopy += 1
        let id = CopyID(number: lastCopy)
        copy = OpenCopy(id: id, exchange: exchange, columns: columns)
        return id
    }

    func current(_ id: CopyID) throws(PostgresError) -> OpenCopy {
        if let copy, copy.id == id { return copy }
        if let endedCopy, endedCopy.id == id, let failure = endedCopy.failure { throw failure }
        throw hasEnded
    }

    func drive(
        _ copy: inout OpenCopy, to goal: ExchangeMachine.Goal, from first: ExchangeMachine.Event = .began
    ) async -> ExchangeMachine.Verdict {
        isDriving = true
        defer { isDriving = false }
        let isCopyingIn = copy.columns == nil && !copy.isFed
        return await drive(&copy.exchange, to: goal, from: first, isCopyingIn: isCopyingIn)
    }

    /// Gives the rest of a COPY up, unless it is over.
    func stopCopy(_ id: CopyID) async {
        guard var copy, copy.id == id else { return }
        _ = await drive(&copy, to: .answer, from: .stopped(Task.isCancelled ? .cancellation : .stop))
        end(copy, hasEnded)
    }

    /// Forgets a COPY whose exchange is over; later calls of its writer or reader hear the reason.
    func end(_ copy: OpenCopy, _ failure: PostgresError?) {
        endedCopy = (copy.id, failure)
        self.copy = nil
        endOperation()
    }

    func end(_ copy: OpenCopy, after verdict: ExchangeMachine.Verdict) -> PostgresError {
        let error =
            failure(of: copy.exchange, verdict)
            ?? .linkLost("the server ended the COPY by itself", place: place, effect: .unknown)
        end(copy, error)
        return error
    }

    private var hasEnded: PostgresError {
        PostgresError(
            .misuse, "this COPY has ended", place: place, remedy: "Write and read inside of its closure only.")
    }

    func noCopy(_ form: String) -> PostgresError {
        PostgresError(
            .misuse, "the statement is no COPY … \(form)", effect: .unknown, place: place,
            remedy: "Use query or execute for other statements.")
    }
}

extension AnswerCollector {
    var completed: [PostgresResult] {
        outcomes.compactMap { outcome in
            if case .completed(let storage) = outcome { PostgresResult(storage) } else { nil }
        }
    }
}
