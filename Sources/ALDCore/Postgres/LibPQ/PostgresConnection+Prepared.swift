import Logging

extension PostgresConnection {
    /// Prepared statements that a session keeps; beyond, the least recently used one is dropped.
    public static let maximumPreparedStatements = 64

    /// Runs a statement that is used again and again: the server parses and plans it once for each connection.
    ///
    /// It is prepared at its first use, in the same round trip, and found again by its text and the types of its
    /// parameters. Where prepared statements cannot work (behind a transaction pooler, or when the server turns out not
    /// to know what was prepared: 26000, 42P05) it is run as ``query(_:_:deadline:)`` does, from then on and without
    /// your noticing, except inside of a transaction, which has failed then. A plan that became impossible because a
    /// table was changed (0A000) is made anew.
    ///
    /// - Throws: ``PostgresError``, as ``query(_:_:deadline:)``.
    public func query(
        prepared sql: String, _ parameters: [PostgresValue] = [], deadline: MonotonicInstant
    ) async throws(PostgresError) -> PostgresResult {
        let buffer = try ParameterBuffer(parameters)
        let key = StatementCache.Key(sql: sql, types: buffer.types)
        let isInTransaction = transactionStatus != .idle
        do {
            switch statements.use(key, isInTransaction: isInTransaction) {
            case .unnamed: return try await query(sql, parameters, deadline: deadline)
            case .execute(let name):
                let answer = try await exchange(deadline: deadline) { connection in
                    PipelineRequest.runPrepared(name: name, buffer).send(to: connection)
                }
                return try single(answer)
            case .prepare(let name, let dropping):
                return try await prepareAndRun(key, name, buffer, dropping: dropping, deadline: deadline)
            }
        } catch {
            guard forgetsStatements(error, key), !isInTransaction, error.effect == .notApplied else { throw error }
            return try await query(sql, parameters, deadline: deadline)
        }
    }

    private func prepareAndRun(
        _ key: StatementCache.Key, _ name: String, _ buffer: ParameterBuffer, dropping: [String],
        deadline: MonotonicInstant
    ) async throws(PostgresError) -> PostgresResult {
        var requests: [PipelineRequest] = []
        let nothing = try ParameterBuffer([])
        for old in dropping {
            // Each behind a sync of its own: one that is gone already must not stop what follows.
            requests += [.run("DEALLOCATE \(old)", nothing), .sync]
        }
        requests += [.prepare(name: name, sql: key.sql, types: buffer), .runPrepared(name: name, buffer), .sync]
        let outcomes: [AnswerCollector.Outcome]
        do {
            outcomes = try await send(requests, isAtomic: true, drops: dropping.count, deadline: deadline)
        } catch {
            // The deadline may have passed after the preparing, which no cancellation undoes.
            if error.effect != .notSent { statements.inDoubt(name) }
            throw error
        }
        statements.dropped(dropping)
        let own = outcomes.dropFirst(dropping.count)
        if case .completed? = own.first { statements.prepared(key, as: name) }
        for case .failed(let error) in own { throw error }
        guard case .completed(let storage)? = own.last else {
            throw PostgresError(.connectionFailed, "libpq returned no result", effect: .unknown, place: place)
        }
        return PostgresResult(storage)
    }

    /// Whether the error is about the statement being prepared; draws the consequences.
    private func forgetsStatements(_ error: PostgresError, _ key: StatementCache.Key) -> Bool {
        switch error.sqlState {
        case .some(.invalidStatementName), .some(.duplicateStatement):
            logger.info("prepared statements are switched off for this session", metadata: ["error": "\(error)"])
            statements.disable()
            return true
        case .some(.featureNotSupported):
            guard statements.isPrepared(key) else { return false }
            statements.forget(key)
            return true
        default: return false
        }
    }
}
