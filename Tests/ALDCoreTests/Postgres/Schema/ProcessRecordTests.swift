import Testing

@testable import ALDCore

extension SchemaServerTests {
    /// A process, the machine's state that follows it, and what is kept of its steps.
    @Suite struct ProcessRecord {
        private static let start = """
            INSERT INTO ald.recipe_commands (machine_id, kind, recipe_id, recipe_version) VALUES (1, 'start', 1, 1);
            INSERT INTO ald.process_executions (machine_id, recipe_id, recipe_version, command_id, operator)
            VALUES (1, 1, 1, 1, 'operator');
            INSERT INTO ald.process_execution_state (machine_id, process_id, total_steps) VALUES (1, 1, 3);
            UPDATE ald.process_executions SET status = 'running';
            """

        @Test func machineStateAndStepsFollowTheProcess() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(SchemaDatabase.plant + Self.start)
                let state = "SELECT status, process_id, failure FROM ald.machine_state WHERE machine_id = 1"
                #expect(try await connection.rows(state) == ["processing|1"])
                for iteration in 1...2 {
                    try await connection.accept(
                        """
                        SELECT ald.apply_process_event_batch(1, 1, \(iteration), 1, sha256('\(iteration)'), '{1}',
                            '{\(iteration)}', ARRAY[clock_timestamp()], '{step_began}', '{2}', ARRAY['{\(iteration)}'],
                            '{""}', ARRAY['{"occurrence": \(iteration), "completed": \(iteration - 1)}'])
                        """)
                }
                try await connection.accept("UPDATE ald.process_execution_state SET completed_steps = 2")
                #expect(
                    try await connection.rows(
                        "SELECT recipe, status, step_kind, loop_iterations, completed_steps, total_steps "
                            + "FROM ald.process_progress") == ["TMA pulse|running|valve|[2]|2|3"])
                let back = "UPDATE ald.process_execution_state SET completed_steps = 1"
                #expect(try await connection.refusal(of: back)?.state == "AL011")
                try await connection.accept(
                    "UPDATE ald.process_executions SET status = 'failed', error = 'valve stuck'")
                #expect(try await connection.rows(state) == ["error|valve stuck"])
                #expect(
                    try await connection.rows(
                        "SELECT occurrence, loop_iterations, outcome FROM ald.step_execution_history ORDER BY 1") == [
                            "1|[1]|completed", "2|[2]|failed",
                        ])
                #expect(
                    try await connection.refusal(of: "UPDATE ald.process_executions SET description = 'x'")?.state
                        == "AL011")
                // Nothing runs on a machine in error until somebody has cleared it.
                let again = "INSERT INTO ald.process_executions (machine_id, operator) VALUES (1, 'o')"
                #expect(try await connection.refusal(of: again)?.state == "AL010")
                try await connection.accept("UPDATE ald.machine_state SET status = 'idle', failure = NULL")
                #expect(try await connection.refusal(of: again) == nil)
            }
        }

        @Test func aReleasedRecipeNeverChangesAndOnlyASoundOneIsReleased() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(SchemaDatabase.plant)
                let kept = [
                    "UPDATE ald.recipe_steps SET duration_ms = 60 WHERE version = 1 AND step_id = 2",
                    "DELETE FROM ald.recipe_steps WHERE version = 1",
                    "INSERT INTO ald.recipe_steps (machine_id, recipe_id, version, step_id, position, kind, duration_ms) "
                        + "VALUES (1, 1, 1, 3, 2, 'wait', 1)",
                    "UPDATE ald.recipe_steps SET version = 2, step_id = 9 WHERE version = 1 AND step_id = 2",
                    "UPDATE ald.recipe_versions SET note = 'x' WHERE version = 1",
                    "DELETE FROM ald.recipe_versions WHERE version = 1", "TRUNCATE ald.recipe_steps",
                    "TRUNCATE ald.recipe_versions CASCADE",
                ]
                for statement in kept {
                    #expect(try await connection.refusal(of: statement)?.state == "AL011", "\(statement)")
                }
                #expect(
                    try await connection.rows(
                        "SELECT steps_sha256 = ald.recipe_digest(1, 1, 1) FROM ald.recipe_versions WHERE version = 1")
                        == ["true"])
                let release =
                    "; UPDATE ald.recipe_versions SET status = 'released', released_by = 'e' WHERE version = 2"
                #expect(try await connection.refusal(of: "SELECT 1" + release) == nil)
                let unsound = [
                    ("DELETE FROM ald.recipe_steps WHERE version = 2", "it has no steps"),
                    ("DELETE FROM ald.recipe_steps WHERE version = 2 AND step_id = 2", "step 1: the loop is empty"),
                    (
                        "UPDATE ald.recipe_steps SET parameter_id = 1 WHERE version = 2 AND step_id = 2",
                        "step 2: Heater.temperature is no valve, its type is float"
                    ),
                    (
                        "INSERT INTO ald.recipe_steps (machine_id, recipe_id, version, step_id, position, kind, "
                            + "parameter_id, target_value, hold_ms) VALUES (1, 1, 2, 3, 2, 'parameter', 1, 101, 0)",
                        "step 3: 101 for Heater.temperature is outside of 0 to 100"
                    ),
                    (
                        "INSERT INTO ald.recipe_steps (machine_id, recipe_id, version, step_id, position, kind, "
                            + "parameter_id, target_value, hold_ms) VALUES (1, 1, 2, 3, 2, 'parameter', 3, 1, 0)",
                        "step 3: Heater.pid_output cannot be written"
                    ),
                ]
                for (edit, problem) in unsound {
                    let refusal = try await connection.refusal(of: edit + release)
                    #expect(refusal?.constraint == "recipe_versions_is_sound")
                    #expect(refusal?.message == "recipe 1, version 2 cannot be released: \(problem)")
                }
            }
        }

        @Test func loopsNestToEightAndAParentIsALoopOneLevelUp() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(
                    SchemaDatabase.plant
                        + "INSERT INTO ald.recipe_versions (machine_id, recipe_id, version) VALUES (1, 1, 3);")
                func loop(_ id: Int, in parent: Int?, depth: Int) -> String {
                    """
                    INSERT INTO ald.recipe_steps (machine_id, recipe_id, version, step_id, parent_step_id, depth, position,
                        kind, iterations) VALUES (1, 1, 3, \(id), \(parent.map(String.init) ?? "NULL"), \(depth), \(id),
                        'loop', 2);
                    """
                }
                for level in 1...8 {
                    try await connection.accept(loop(level, in: level == 1 ? nil : level - 1, depth: level - 1))
                }
                #expect(try await connection.refusal(of: loop(9, in: 8, depth: 8))?.constraint == "recipe_steps_depth")
                let wait = """
                    INSERT INTO ald.recipe_steps (machine_id, recipe_id, version, step_id, parent_step_id, depth, position,
                        kind, duration_ms) VALUES (1, 1, 3, 10, 8, 8, 1, 'wait', 1);
                    """
                #expect(try await connection.refusal(of: wait) == nil)
                for (statement, constraint) in [
                    (wait.replacing("8, 8", with: "8, 7"), "recipe_steps_parent_is_loop"),
                    (wait + loop(11, in: 10, depth: 7), "recipe_steps_parent_is_loop"),
                    (
                        "UPDATE ald.recipe_steps SET parent_step_id = 8 WHERE version = 3 AND step_id = 2",
                        "recipe_steps_parent_is_loop"
                    ),
                    (
                        loop(1, in: nil, depth: 0).replacing("3, 1,", with: "3, 12,"),
                        "recipe_steps_machine_id_recipe_id_version_parent_step_id_po_key"
                    ),
                ] {
                    #expect(try await connection.refusal(of: statement)?.constraint == constraint, "\(statement)")
                }
            }
        }
    }
}
