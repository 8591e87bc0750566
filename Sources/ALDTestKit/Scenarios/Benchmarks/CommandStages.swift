import ALDCore

/// Where the time of commands goes, stage by stage, as their traces in the database say: created, detected, write begun,
/// written, confirmed, recorded.
enum CommandStages {
    private static let stages = [
        ("created to detected", "t1_detection_ms"), ("detected to write begun", "t2_validation_ms"),
        ("write begun to written", "t3_write_ms"), ("written to confirmed", "t4_confirmation_ms"),
        ("confirmed to recorded", "t5_finalisation_ms"), ("created to recorded", "total_ms"),
    ]

    /// Notes every stage's distribution, and what has become of the commands.
    static func note(_ run: ScenarioRun, _ database: PostgresConfiguration) async throws {
        for (name, column) in stages {
            run.note(
                name,
                try await TestDatabase.durations(
                    "SELECT \(column)::float8 / 1000 FROM ald.parameter_command_traces WHERE status = 'succeeded'",
                    database))
        }
        func count(_ condition: String) async throws -> Int {
            try await TestDatabase.number(
                "SELECT count(*) FROM ald.parameter_command_traces WHERE \(condition)", database)
        }
        let (all, succeeded) = (try await count("true"), try await count("status = 'succeeded'"))
        run.note("commands", count: all)
        run.note("commands without success", count: all - succeeded)
        run.note("success", Double(succeeded) / Double(max(1, all)), .ratio)
        let unknown = stages.map { "\($0.1) IS NULL" }.joined(separator: " OR ")
        run.note("traces with a stage missing", count: try await count("status = 'succeeded' AND (\(unknown))"))
        run.note(
            "further attempts",
            count: try await TestDatabase.number(
                "SELECT coalesce(sum(attempts - 1), 0)::bigint FROM ald.parameter_control_commands WHERE attempts > 0",
                database))
        try await sayBottleneck(run)
    }

    /// Names the stage that takes longest.
    private static func sayBottleneck(_ run: ScenarioRun) async throws {
        let medians = stages.dropLast().compactMap { stage in run.value("\(stage.0) p50").map { (stage.0, $0) } }
        guard let longest = medians.max(by: { $0.1 < $1.1 }) else { return }
        run.say("the longest stage is \(longest.0), \(Quantity.seconds.text(longest.1)) at p50")
    }
}
