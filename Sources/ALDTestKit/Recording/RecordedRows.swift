import ALDCore

/// The readings of one recorder in a database, counted in a way in which one that is lost and one that is doubled do not
/// make up for each other.
struct RecordedRows: Sendable {
    /// All there are.
    var rows: Int
    /// Those that differ in parameter or instant.
    var distinct: Int

    init(rows: Int, distinct: Int) {
        (self.rows, self.distinct) = (rows, distinct)
    }

    /// - Parameter machine: `nil` for those of all machines.
    init(of machine: Int32? = nil, in database: PostgresConfiguration) async throws {
        self = try await TestDatabase.withConnection(database) { connection, deadline in
            let counts = try await connection.query(
                """
                SELECT coalesce(sum(count), 0)::bigint, count(*) FROM (
                    SELECT count(*) FROM ald.parameter_value_history
                    WHERE machine_id = coalesce($1, machine_id)
                    GROUP BY machine_id, parameter_id, sampled_at) AS reading
                """, [machine.map { .int4($0) } ?? .null], deadline: deadline)
            guard let row = counts.first else { throw NeverHappened(description: "the readings were not counted") }
            return RecordedRows(
                rows: Int(try row.decode(0, as: Int64.self)), distinct: Int(try row.decode(1, as: Int64.self)))
        }
    }

    /// - Parameter accepted: how many the recorder has accepted.
    /// - Returns: by how many those that differ are more or fewer, and every repetition.
    func lostOrDoubled(of accepted: Int) -> Int { abs(accepted - distinct) + rows - distinct }
}
