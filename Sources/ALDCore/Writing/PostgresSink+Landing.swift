import Synchronization

/// The two ways into the database. A few rows are faster as arrays, in one round trip; many are faster by `COPY`, which
/// the server need not unpack first, and which names the row that it refuses.
///
/// A `COPY` whose client falls silent keeps its session until the server's keep-alives end it. It holds nobody up: the
/// machine's turn and the batches' names are taken when its rows have arrived. But a pooler would answer the keep-alives
/// and keep one of its few connections to the server for such a client, so nothing is copied through one.
extension PostgresSink {
    /// From so many rows on a delivery is copied.
    package static let copiedRows = 2000

    /// `AL005`: the function has to be called.
    private static let refusesCopy = "AL005"

    private static let insufficientPrivilege = "42501"

    func land(
        _ batches: [Batch], _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> [BatchLanding] {
        let rows = batches.reduce(0) { $0 + $1.records.count }
        // Whether a part of a batch that was cut may land is asked for each; they are few.
        if rows >= copiedRows, batches.allSatisfy({ $0.parent == nil }), await !connection.isBehindPooler,
            let landings = try await copy(batches, connection, deadline: deadline)
        {
            return landings
        }
        // Whoever claims several names claims them in their order, so that no two writers wait for each other.
        let order = batches.indices.sorted { batches[$0].id < batches[$1].id }
        let statement = try BatchStatement(order.map { batches[$0] }, recording: recording)
        let found = try await landings(statement, connection, deadline: deadline)
        var landings = found
        for (place, index) in order.enumerated() { landings[index] = found[place] }
        return landings
    }

    /// - Returns: `nil` when nothing was done, because this user may not copy or there is more to do.
    private func copy(
        _ batches: [Batch], _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> [BatchLanding]? {
        guard let delivery = HistoryCopy(batches, recording: recording),
            try await mayCopy(connection, deadline: deadline)
        else { return nil }
        do {
            // Asked first: a refusal behind the rows costs all their work, and the server logs the whole script.
            let (question, parameters) = delivery.question
            let answer = try await connection.query(question, parameters, deadline: deadline)
            guard try answer.first?.decode(0, as: String?.self) == nil else { return nil }
            try await connection.copyIn(delivery.script, deadline: deadline) { writer in
                try await writer.write(columns: delivery.columns)
                self.failPoints.pass(.copyWritten)
            }
        } catch let error as PostgresError where error.sqlState?.rawValue == Self.refusesCopy {
            return nil
        } catch let error as PostgresError where error.sqlState?.rawValue == Self.insufficientPrivilege {
            // Somebody has taken the right since it was asked for; the functions may be called nonetheless.
            prepared.withLock { $0.mayCopy = false }
            return nil
        }
        return Array(repeating: .landed, count: batches.count)
    }

    /// Row-level security knows no `COPY`: only those with the rights of the table's owner are exempt from it.
    private func mayCopy(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws -> Bool {
        if let known = prepared.withLock(\.mayCopy) { return known }
        let result = try await connection.query(
            """
            SELECT pg_has_role(c.relowner, 'USAGE') AND NOT c.relforcerowsecurity
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'ald_history' AND c.relname = 'parameter_value_history'
            """, deadline: deadline)
        let may = try result.first?.decode(0, as: Bool.self) ?? false
        prepared.withLock { $0.mayCopy = may }
        return may
    }
}
