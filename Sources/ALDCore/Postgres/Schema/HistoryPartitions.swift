/// The history has one partition per UTC day.
enum HistoryPartitions {
    /// Creates those of `days` days from `first` on that are missing. Others may do the same at the same time.
    ///
    /// - Throws: `PostgresError`; for a day before 2000 or after 2199 with SQLSTATE 22008.
    static func ensure(
        from first: Timestamp, days: Int32 = 1, _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws {
        _ = try await connection.query(
            "SELECT ald.ensure_history_partitions(($1 AT TIME ZONE 'UTC')::date, $2)",
            [.timestamptz(first), .int4(days)], deadline: deadline)
    }
}
