/// The history has one partition per UTC day.
enum HistoryPartitions {
    /// The days that `ald.ensure_history_partitions` makes partitions for, 2000 to 2199: a clock that was never set says
    /// 1970 or worse.
    static let days =
        Timestamp(microseconds: 946_684_800_000_000)...Timestamp(microseconds: 7_258_118_399_999_999)

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

    /// Returns when those that others were just making are there for everybody: they are seen a moment before a row finds
    /// its place in them.
    ///
    /// - Throws: `PostgresError`.
    static func awaitOthers(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        _ = try await connection.query("SELECT ald.await_history_partitions()", deadline: deadline)
    }
}
