import CLibPQ

extension PostgresConnection {
    /// The most statements of one pipeline: libpq keeps all of them, and all their results, in memory.
    public static let maximumPipelineLength = 10_000

    /// Runs several statements in one round trip, all or nothing: outside of a transaction they form an implicit one,
    /// inside of one they belong to it.
    ///
    /// When a statement fails, those before it are undone, those after it are not run, and its error is thrown; its
    /// ``PostgresError/context`` says which one it was, counted from 1. Inside of a transaction you began, that
    /// transaction has failed and waits for your `ROLLBACK`. `BEGIN` and `COMMIT` have no place in a pipeline: what they
    /// commit cannot be undone; the effect of a failure is then `unknown`.
    ///
    /// - Returns: one result for each statement.
    /// - Throws: ``PostgresError``, as ``query(_:_:deadline:)``; `misuse` for more than ``maximumPipelineLength``.
    public func pipeline(
        _ statements: [PostgresStatement], deadline: MonotonicInstant
    ) async throws(PostgresError) -> [PostgresResult] {
        let outcomes = try await runPipeline(statements, isAtomic: true, deadline: deadline)
        let failed = outcomes.firstIndex { if case .failed = $0 { true } else { false } }
        if let failed, case .failed(var error) = outcomes[failed] {
            let place =
                failed < statements.count
                ? "statement \(failed + 1) of \(statements.count) in a pipeline"
                : "the commit of a pipeline of \(statements.count) statements"
            error.context = [error.context, place].compactMap(\.self).joined(separator: "; ")
            throw error.inDoubtIfDivided(statements.map(\.sql).joined(separator: ";"))
        }
        return outcomes.compactMap { outcome in
            if case .completed(let storage) = outcome { PostgresResult(storage) } else { nil }
        }
    }

    /// Runs several statements in one round trip, each in a transaction of its own: one that fails does not touch the
    /// others. (Inside of a transaction you began there is only that one: after a failure all others fail with 25P02.)
    ///
    /// When the exchange as a whole fails (deadline, cancellation, lost link), what was done of it is unknown: some
    /// statements may be committed.
    ///
    /// - Returns: one outcome for each statement, in order.
    /// - Throws: ``PostgresError``, as ``query(_:_:deadline:)``, when the exchange failed; `misuse` for more than
    ///   ``maximumPipelineLength``.
    public func pipelineEach(
        _ statements: [PostgresStatement], deadline: MonotonicInstant
    ) async throws(PostgresError) -> [Result<PostgresResult, PostgresError>] {
        let outcomes = try await runPipeline(statements, isAtomic: false, deadline: deadline)
        return outcomes.map { outcome in
            switch outcome {
            case .completed(let storage): .success(PostgresResult(storage))
            case .failed(let error): .failure(error)
            case .skipped: .failure(PostgresError(.queryFailed, "the server did not run it", place: place))
            }
        }
    }

    private func runPipeline(
        _ statements: [PostgresStatement], isAtomic: Bool, deadline: MonotonicInstant
    ) async throws(PostgresError) -> [AnswerCollector.Outcome] {
        guard !statements.isEmpty else { return [] }
        guard statements.count <= Self.maximumPipelineLength else {
            throw PostgresError(
                .misuse, "\(statements.count) statements are too many for one pipeline", place: place,
                remedy: "Send at most \(Self.maximumPipelineLength) at once.")
        }
        var requests: [PipelineRequest] = []
        for statement in statements {
            requests.append(.run(statement.sql, try ParameterBuffer(statement.parameters)))
            if !isAtomic { requests.append(.sync) }
        }
        if isAtomic { requests.append(.sync) }
        return try await send(requests, isAtomic: isAtomic, deadline: deadline)
    }

    /// Sends requests in libpq's pipeline mode and leaves the mode again, or the connection is closed.
    ///
    /// - Parameter drops: see ``AnswerCollector/drops``.
    /// - Throws: when the exchange as a whole failed; errors of single requests are outcomes.
    func send(
        _ requests: [PipelineRequest], isAtomic: Bool, drops: Int = 0, deadline: MonotonicInstant
    ) async throws(PostgresError) -> [AnswerCollector.Outcome] {
        let syncs = requests.count { if case .sync = $0 { true } else { false } }
        var exchange = try begin(deadline: deadline, keepsAll: true, syncs: syncs) { connection in
            guard PQenterPipelineMode(connection) == 1 else { return false }
            let isSent = requests.allSatisfy { $0.send(to: connection) }
            // Half a pipeline cannot be taken back.
            if !isSent { release() }
            return isSent
        }
        defer { endOperation() }
        exchange.answer.drops = drops
        let verdict = await drive(&exchange, to: .answer)
        let hasLeft = PQexitPipelineMode(exchange.handle.pointer) == 1
        if !hasLeft { release() }
        switch verdict {
        case .answered(isAlive: true) where hasLeft: return exchange.answer.outcomes
        case .answered, .reached, .stuck:
            throw exchange.answer.firstError ?? .linkLost("", place: place, effect: .unknown)
        case .abandoned(_, isConfirmed: true, _) where exchange.answer.firstError == nil:
            return exchange.answer.outcomes
        case .abandoned:
            guard var error = failure(of: exchange, verdict) else { return exchange.answer.outcomes }
            if !isAtomic { error.effect = .unknown }
            throw error
        }
    }
}

/// One thing to send in pipeline mode.
enum PipelineRequest {
    case run(String, ParameterBuffer)
    case prepare(name: String, sql: String, types: ParameterBuffer)
    case runPrepared(name: String, ParameterBuffer)
    /// The end of an implicit transaction: after an error, the server goes on behind it.
    case sync

    func send(to connection: OpaquePointer) -> Bool {
        switch self {
        case .run(let sql, let buffer):
            buffer.withPointers { types, values, lengths, formats in
                PQsendQueryParams(connection, sql, buffer.count, types, values, lengths, formats, 1) == 1
            }
        case .prepare(let name, let sql, let buffer):
            buffer.withPointers { types, _, _, _ in PQsendPrepare(connection, name, sql, buffer.count, types) == 1 }
        case .runPrepared(let name, let buffer):
            buffer.withPointers { _, values, lengths, formats in
                PQsendQueryPrepared(connection, name, buffer.count, values, lengths, formats, 1) == 1
            }
        case .sync: PQpipelineSync(connection) == 1
        }
    }
}
