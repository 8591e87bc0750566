public import ALDCore

/// Stretches of time in a database without readings.
public enum RecordingHoles {
    /// How many are longer than so long and not explained by the gap records in them.
    ///
    /// - Parameter period: from one instant to the next: each that a gap record tells of explains so much of a hole.
    public static func unexplained(
        longerThan length: Duration, everyInstantOf period: Duration, in database: PostgresConfiguration
    ) async throws -> Int {
        try await TestDatabase.number(
            """
            WITH instant AS (SELECT DISTINCT sampled_at AS at FROM ald.parameter_value_history),
                hole AS (SELECT at, lead(at) OVER (ORDER BY at) AS next FROM instant),
                long AS (SELECT at, next, next - at - make_interval(secs => \(length.inSeconds)) AS excess FROM hole)
            SELECT count(*) FROM long WHERE excess > interval '0' AND excess > make_interval(secs => \(period.inSeconds))
                * (SELECT coalesce(sum(instants), 0)::float8 FROM ald.collection_gaps g
                    WHERE g.first_missed_at > at AND g.last_missed_at < next)
            """, database)
    }
}
