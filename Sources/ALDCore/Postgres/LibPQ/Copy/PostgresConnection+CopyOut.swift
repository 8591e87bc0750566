import CLibPQ

extension PostgresConnection {
    /// Reads rows with `COPY … TO STDOUT (FORMAT binary)`: a table or a query of any size in bounded memory.
    ///
    /// ```swift
    /// let sum = try await connection.copyOut(
    ///     "COPY (SELECT id, value FROM history) TO STDOUT (FORMAT binary)", columns: [.int4, .float8],
    ///     deadline: deadline
    /// ) { rows in
    ///     var sum = 0.0
    ///     for try await row in rows { sum += try row.decode(1, as: Double.self) }
    ///     return sum
    /// }
    /// ```
    ///
    /// `body` may stop early: the rest is cancelled on the server, and the connection is clean or closed afterwards.
    ///
    /// - Parameters:
    ///   - columns: the types of the columns, which a `COPY` does not tell. A wrong one of the same size is not noticed.
    ///   - deadline: for everything together, as an instant of the connection's time source.
    /// - Throws: what `body` throws, or ``PostgresError`` as ``query(_:_:deadline:)``; `misuse` when the statement
    ///   starts no binary `COPY … TO STDOUT` or has another number of columns.
    public nonisolated(nonsending) func copyOut<R>(
        _ statement: String, columns: [PostgresType], deadline: MonotonicInstant,
        _ body: (PostgresCopyRows) async throws -> R
    ) async throws -> R {
        let id = try await beginCopyOut(statement, columns, deadline: deadline)
        do {
            let result = try await body(PostgresCopyRows(connection: self, copy: id))
            await stopCopy(id)
            return result
        } catch {
            await stopCopy(id)
            throw error
        }
    }

    private func beginCopyOut(
        _ statement: String, _ types: [PostgresType], deadline: MonotonicInstant
    ) async throws(PostgresError) -> CopyID {
        var exchange = try begin(deadline: deadline) { PQsendQuery($0, statement) == 1 }
        let verdict = await drive(&exchange, to: .copyOut)
        guard verdict == .reached, let start = exchange.answer.last else {
            defer { endOperation() }
            throw failure(of: exchange, verdict) ?? noCopy("TO STDOUT")
        }
        let columns = types.enumerated().map { PostgresColumn(name: "\($0)", type: $1) }
        let id = open(exchange, columns: columns)
        guard start.isBinaryCopy, start.copyColumnCount == columns.count else {
            await stopCopy(id)
            guard start.isBinaryCopy else { throw noCopy("TO STDOUT (FORMAT binary)") }
            throw PostgresError(
                .misuse, "\(columns.count) column types were given, the COPY has \(start.copyColumnCount)",
                effect: .notApplied, place: place)
        }
        return id
    }

    /// - Returns: `nil` at the end.
    func copyReceive(of id: CopyID) async throws(PostgresError) -> CopyBatch? {
        if let endedCopy, endedCopy.id == id, endedCopy.failure == nil { return nil }
        var copy = try current(id)
        let verdict = await drive(&copy, to: .rows)
        let columns = copy.columns ?? []
        let (bytes, rows) = copy.exchange.rows.takeRows()
        switch verdict {
        case .reached: self.copy = copy
        case .answered where copy.exchange.answer.firstError == nil: end(copy, nil)
        default: throw end(copy, after: verdict)
        }
        let problem =
            copy.exchange.rows.problem
            ?? rows.first { $0.columns != columns.count }.map { "a row has \($0.columns) columns" }
        if let problem { throw PostgresError(.decodingFailed, problem, effect: .notApplied, place: place) }
        return rows.isEmpty ? nil : CopyBatch(columns: columns, bytes: bytes, rows: rows)
    }
}
