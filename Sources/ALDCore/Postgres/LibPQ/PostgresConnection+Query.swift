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
        return try single(answer)
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
            throw error.inDoubtIfDivided(script)
        }
    }

    // MARK: One exchange

    /// One request and its whole answer.
    ///
    /// - Parameter grace: as ``drive(_:to:from:isCopyingIn:grace:)``.
    func exchange(
        deadline: MonotonicInstant, grace: Duration? = nil, send: (OpaquePointer) -> Bool
    ) async throws(PostgresError) -> AnswerCollector {
        var exchange = try begin(deadline: deadline, send: send)
        defer { endOperation() }
        let verdict = await drive(&exchange, to: .answer, grace: grace)
        if let error = failure(of: exchange, verdict) { throw error }
        return exchange.answer
    }

    func single(_ answer: AnswerCollector) throws(PostgresError) -> PostgresResult {
        guard let last = answer.last else {
            throw PostgresError(.connectionFailed, "libpq returned no result", effect: .unknown, place: place)
        }
        return PostgresResult(last)
    }
}
