public import ALDCore

/// Stretches of time in a database without readings.
public enum RecordingHoles {
    /// How many are longer than so long and have no gap record in them that says why.
    public static func unexplained(longerThan length: Duration, in database: PostgresConfiguration) async throws -> Int
    {
        try await TestDatabase.number(
            """
            WITH instant AS (SELECT DISTINCT sampled_at AS at FROM ald.parameter_value_history),
                hole AS (SELECT at, lead(at) OVER (ORDER BY at) AS next FROM instant)
            SELECT count(*) FROM hole WHERE next - at > make_interval(secs => \(length.inSeconds)) AND NOT EXISTS (
                SELECT FROM ald.collection_gaps g WHERE g.first_missed_at > at AND g.last_missed_at < next)
            """, database)
    }
}
