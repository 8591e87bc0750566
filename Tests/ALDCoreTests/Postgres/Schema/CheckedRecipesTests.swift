import ALDTestKit
import Testing

@testable import ALDCore

extension SchemaServerTests {
    /// Recipes and set points are held to the limits that commands are held to, whenever they are used.
    @Suite struct CheckedRecipes {
        private static func withPlant(_ body: @Sendable (PostgresConnection) async throws -> Void) async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(SchemaDatabase.plant)
                try await body(connection)
            }
        }

        private static let request = "SELECT ald.request_recipe_command(1, '00000000-0000-0000-0000-00000000000"
        private static let start = request + "1', 'start', 1, 1, NULL, 30, 'operator', 'because')"
        private static let claim = "SELECT command_id FROM ald.claim_recipe_commands(1, 'w', 5, 60)"
        private static let begin = "SELECT ald.begin_recipe_command(1, 1, 'w', 60)"
        private static let process =
            "INSERT INTO ald.process_executions (machine_id, recipe_id, recipe_version, operator) VALUES (1, 1, 1, 'o')"
        private static let lockValve = "UPDATE ald.component_parameters SET max_value = 0 WHERE parameter_id = 2;"
        private static let obstacle =
            "recipe 1, version 1 cannot be run: step 2: 1 for Valve.valve_state is outside of 0 to 0"

        @Test(arguments: [(1, "100.5"), (1, "-1"), (2, "0.5"), (2, "2"), (3, "1")])
        func whatNoCommandMayWriteIsInNoReleasedRecipe(parameter: Int, value: String) async throws {
            try await Self.withPlant { connection in
                let command = try await connection.refusal(
                    of: "INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value) "
                        + "VALUES (1, \(parameter), \(value))")
                let problem = try #require(command?.message)
                for (kind, columns, values) in [
                    ("parameter", "hold_ms", "0"), ("purge", "duration_ms, gas", "1, 'N2'"),
                ] {
                    let release = try await connection.refusal(
                        of: """
                            INSERT INTO ald.recipe_steps (machine_id, recipe_id, version, step_id, position, kind,
                                parameter_id, target_value, \(columns))
                            VALUES (1, 1, 2, 3, 2, '\(kind)', \(parameter), \(value), \(values));
                            UPDATE ald.recipe_versions SET status = 'released', released_by = 'e' WHERE version = 2
                            """)
                    #expect(release?.message == "recipe 1, version 2 cannot be released: step 3: \(problem)")
                }
            }
        }

        @Test func aValveThatCouldNotBeClosedIsNotOpened() async throws {
            try await Self.withPlant { connection in
                let release = try await connection.refusal(
                    of: """
                        UPDATE ald.component_parameters SET min_value = 1 WHERE parameter_id = 2;
                        UPDATE ald.recipe_versions SET status = 'released', released_by = 'e' WHERE version = 2
                        """)
                #expect(
                    release?.message
                        == "recipe 1, version 2 cannot be released: step 2: 0 for Valve.valve_state is outside of 1 to 1"
                )
            }
        }

        @Test func limitsTightenedSinceTheReleaseStopItWhereverItIs() async throws {
            try await Self.withPlant { connection in
                // Asked for and claimed while everything was well.
                #expect(try await connection.rows(Self.start) == ["1"])
                #expect(try await connection.rows(Self.claim) == ["1"])
                try await connection.accept(Self.lockValve)
                #expect(try await connection.rows(Self.begin) == ["false"])
                #expect(
                    try await connection.rows("SELECT status, executing_at, error FROM ald.recipe_commands") == [
                        "failed|\(Self.obstacle)"
                    ])
                for statement in [Self.process, Self.start.replacing("01'", with: "02'")] {
                    let refusal = try await connection.refusal(of: statement)
                    #expect(refusal?.state == "23514" && refusal?.message == Self.obstacle, "\(statement)")
                }
            }
        }

        @Test func aVersionWithdrawnSinceItWasAskedForDoesNotBegin() async throws {
            try await Self.withPlant { connection in
                #expect(try await connection.rows(Self.start) == ["1"])
                #expect(try await connection.rows(Self.claim) == ["1"])
                try await connection.accept("UPDATE ald.recipe_versions SET status = 'withdrawn' WHERE version = 1")
                #expect(try await connection.rows(Self.begin) == ["false"])
                #expect(
                    try await connection.rows("SELECT status, error FROM ald.recipe_commands") == [
                        "failed|recipe 1, version 1 is not released"
                    ])
            }
        }

        @Test func aRequestIsOneCommandHoweverOftenItIsSent() async throws {
            try await Self.withPlant { connection in
                #expect(try await connection.rows(Self.start) == ["1"])
                #expect(try await connection.rows(Self.start) == ["1"])
                // What is known already is not judged again.
                try await connection.accept(Self.lockValve)
                #expect(try await connection.rows(Self.start) == ["1"])
                for other in [
                    Self.start.replacing("1, 1, NULL", with: "1, 2, NULL"),
                    Self.request + "1', 'stop', NULL, NULL, 1, 30, 'operator', 'because')",
                ] {
                    let refusal = try await connection.refusal(of: other)
                    #expect(refusal?.state == "23505" && refusal?.message.contains("something else") == true)
                }
                #expect(
                    try await connection.rows(
                        "SELECT kind, recipe_id, recipe_version, requested_by, reason, "
                            + "extract(epoch FROM not_after - created_at) BETWEEN 29 AND 31 AS ok FROM ald.recipe_commands"
                    )
                        == ["start|1|1|operator|because|true"])
            }
        }

        @Test func onlyWhatIsThereToRunOrToStopIsAskedFor() async throws {
            try await Self.withPlant { connection in
                try await connection.accept("INSERT INTO ald.process_executions (machine_id, operator) VALUES (1, 'o')")
                let stop = Self.request + "5', 'stop', NULL, NULL, 1, 30, 'o', 'r')"
                #expect(try await connection.refusal(of: stop) == nil)
                try await connection.accept("UPDATE ald.process_executions SET status = 'aborted'")
                let refused = [
                    (stop, "process 1 has ended", "recipe_commands_is_allowed"),
                    (
                        Self.start.replacing("1, 1, NULL", with: "1, 2, NULL"),
                        "recipe 1, version 2 is not released", "recipe_commands_is_allowed"
                    ),
                    (
                        Self.start.replacing("1, 1, NULL", with: "1, 7, NULL"),
                        "recipe 1, version 7 is not released", "recipe_commands_is_allowed"
                    ),
                ]
                for (statement, message, constraint) in refused {
                    let refusal = try await connection.refusal(of: statement)
                    #expect(refusal?.message == message && refusal?.constraint == constraint, "\(statement)")
                }
                let shapeless = Self.request + "6', 'start', NULL, NULL, NULL, 30, 'o', 'r')"
                #expect(try await connection.refusal(of: shapeless)?.constraint == "recipe_commands_object")
            }
        }

        @Test func aSetPointIsWhatACommandCouldWrite() async throws {
            try await Self.withPlant { connection in
                func set(_ parameter: Int, _ value: String) -> String {
                    "UPDATE ald.component_parameters SET set_value = \(value) "
                        + "WHERE machine_id = 1 AND parameter_id = \(parameter)"
                }
                for (parameter, value, message) in [
                    (1, "100.5", "100.5 for Heater.temperature is outside of 0 to 100"),
                    (1, "'NaN'", "NaN for Heater.temperature is outside of 0 to 100"),
                    (2, "0.5", "0.5 for Valve.valve_state is not whole, its type is binary"),
                    (3, "1", "Heater.pid_output cannot be written"),
                ] {
                    let refusal = try await connection.refusal(of: set(parameter, value))
                    #expect(refusal?.constraint == "component_parameters_set_value_is_allowed")
                    #expect(refusal?.message == message)
                }
                for (parameter, value) in [(1, "50.5"), (2, "1"), (1, "NULL"), (3, "NULL")] {
                    #expect(try await connection.refusal(of: set(parameter, value)) == nil)
                }
                // Limits may be tightened below a set point that is there: that is how a heater is taken back.
                try await connection.accept(set(1, "90"))
                #expect(
                    try await connection.refusal(of: "SELECT ald.change_parameter_limits(1, 1, 0, 50, 'worn')") == nil)
            }
        }
    }
}
