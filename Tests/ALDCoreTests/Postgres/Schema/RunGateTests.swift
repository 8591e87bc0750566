import ALDTestKit
import Testing

@testable import ALDCore

extension SchemaServerTests {
    /// A run and a command that opens a valve exclude each other in the database, for terminals that are processes of
    /// their own; and what was taken is given again to who has lost the answer.
    @Suite struct RunGate {
        /// Both machines have a second valve, 4, that no recipe opens.
        private static let plant =
            SchemaDatabase.plant + """
                INSERT INTO ald.component_parameters (machine_id, parameter_id, component, name, data_type, min_value,
                    max_value, read_location, write_location)
                SELECT m, 4, 'Valve', 'bypass', 'binary', 0, 1, 'c 1', 'c 1' FROM unnest('{1,2}'::int[]) m;
                """
        private static let start = """
            SELECT ald.request_recipe_command(1, gen_random_uuid(), 'start', 1, 1, NULL, 600, 'o', '');
            SELECT ald.take_recipe_command(1, 'w', '{}', 60);
            """
        private static let begin = "SELECT process_id, problem FROM ald.begin_process(1, 1, 'w', 6, '{4}')"
        private static let take = "SELECT command_id, status FROM ald.take_parameter_commands(1, 'c', 10, 60)"

        private static func ask(_ parameter: Int, _ value: Int = 1, of machine: Int = 1) -> String {
            "SELECT ald.request_parameter_command(\(machine), gen_random_uuid(), \(parameter), \(value), 600, 'o', 'r');"
        }

        private static func withPlant(
            _ body: @Sendable (PostgresConnection, PostgresConfiguration) async throws -> Void
        ) async throws {
            try await SchemaDatabase.with { connection, database in
                try await connection.accept(plant)
                try await body(connection, database)
            }
        }

        /// Moves the deadline of a command into the past, behind the back of the rules.
        private static func age(_ command: Int, _ connection: PostgresConnection) async throws {
            try await connection.accept(
                """
                SET session_replication_role = replica;
                UPDATE ald.recipe_commands SET created_at = created_at - interval '2 hours',
                    not_after = not_after - interval '1 hour' WHERE command_id = \(command);
                SET session_replication_role = origin;
                """)
        }

        @Test func aRunThatComesLateToItsBeginningDoesNotBegin() async throws {
            try await Self.withPlant { connection, _ in
                try await connection.accept(Self.start)
                try await Self.age(1, connection)
                let answer = try await connection.rows(Self.begin)
                #expect(answer.count == 1 && answer[0].hasPrefix("it was to begin by "), "\(answer)")
                #expect(try await connection.rows("SELECT count(*) FROM ald.process_executions") == ["0"])
            }
            try await Self.withPlant { connection, _ in
                try await connection.accept(Self.start)
                #expect(try await connection.rows(Self.begin) == ["1"])
                try await Self.age(1, connection)
                #expect(try await connection.rows(Self.begin) == ["1"], "it is under way, and the answer was lost")
            }
        }

        @Test func whileARecipeRunsNobodyOpensAValveOfItsInterlocks() async throws {
            try await Self.withPlant { connection, _ in
                try await connection.accept(Self.start)
                #expect(try await connection.rows("SELECT ald.is_valve(1, 4)") == ["false"])
                #expect(try await connection.rows(Self.begin) == ["1"])
                #expect(try await connection.rows(Self.begin) == ["1"], "the answer may have been lost")
                #expect(
                    try await connection.refusal(of: Self.ask(4))?.message
                        == "Valve.bypass is a valve, and process 1 runs a recipe: stop it first")
                #expect(try await connection.refusal(of: Self.ask(4, 0)) == nil, "to close one is always allowed")
                #expect(try await connection.refusal(of: Self.ask(4, of: 2)) == nil, "another machine")
                #expect(
                    try await connection.refusal(
                        of: "UPDATE ald.process_executions SET interlocked_valves = '{}'")?.state == "AL011")
                try await connection.accept("UPDATE ald.process_executions SET status = 'aborted'")
                #expect(try await connection.refusal(of: Self.ask(4)) == nil)
            }
        }

        @Test func aRunDoesNotBeginWhileACommandOpensAValveOfItsInterlocks() async throws {
            try await Self.withPlant { connection, _ in
                try await connection.accept(Self.ask(4) + Self.start)
                #expect(try await connection.rows(Self.take) == ["1|executing"])
                #expect(try await connection.rows(Self.begin) == ["a command is just opening a valve"])
            }
        }

        /// Story: neither has committed when the other looks. One of them has to wait.
        @Test(arguments: [true, false])
        func ofARunAndACommandThatBeginAtTheSameTimeOneIsRefused(commandIsFirst: Bool) async throws {
            try await Self.withPlant { first, database in
                try await first.accept(Self.ask(2) + Self.start)
                let (earlier, later) = commandIsFirst ? (Self.take, Self.begin) : (Self.begin, Self.take)
                try await first.accept("BEGIN")
                #expect(try await first.rows(earlier) == [commandIsFirst ? "1|executing" : "1"])
                async let answer = TestDatabase.withConnection(database) { connection, _ in
                    try await connection.rows(later)
                }
                try await TestDatabase.withConnection(database) { watcher, _ in
                    try await eventually("it waits, or has been done") {
                        try await watcher.rows(
                            """
                            SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                                    AND wait_event_type = 'Lock')
                                OR EXISTS (SELECT FROM ald.process_executions)
                                OR EXISTS (SELECT FROM ald.parameter_control_commands WHERE status <> 'pending') AS now
                            """) == ["true"]
                    }
                }
                try await first.accept("COMMIT")
                #expect(try await answer == (commandIsFirst ? ["a command is just opening a valve"] : []))
                #expect(
                    try await first.rows("SELECT count(*) FROM ald.process_executions")
                        == [commandIsFirst ? "0" : "1"])
                #expect(
                    try await first.rows("SELECT status, error FROM ald.parameter_control_commands")
                        == [
                            commandIsFirst
                                ? "executing"
                                : "failed|Valve.valve_state is a valve, and process 1 runs a recipe: stop it first"
                        ])
            }
        }

        @Test func aRecipeCommandWhoseAnswerWasLostIsGivenAgainToItsTerminalAlone() async throws {
            try await Self.withPlant { connection, _ in
                func take(_ worker: String, known: String) async throws -> [String] {
                    try await connection.rows(
                        "SELECT command_id, kind, status FROM ald.take_recipe_command(1, '\(worker)', '\(known)', 60)")
                }
                try await connection.accept(Self.start + Self.start)
                #expect(try await take("w", known: "{}") == ["1|start|executing"])
                #expect(try await take("w", known: "{1}") == [], "one start after the other")
                #expect(try await take("v", known: "{}") == [])
                _ = try await connection.rows(Self.begin)
                try await connection.accept(
                    "SELECT ald.request_recipe_command(1, gen_random_uuid(), 'stop', NULL, NULL, 1, 60, 'o', '')")
                #expect(try await take("w", known: "{1}") == ["3|stop|executing"])
                try await Self.age(3, connection)
                #expect(try await take("w", known: "{1}") == ["3|stop|executing"], "it is never too late for a stop")
                #expect(try await take("w", known: "{1,3}") == [])
                try await Self.age(1, connection)
                // Its recipe may run: this may be an old question that is carried out late.
                let beginning = "SELECT status, lease_until FROM ald.recipe_commands WHERE command_id = 1"
                let before = try await connection.rows(beginning)
                #expect(try await take("w", known: "{3}") == [], "it is too late for the first one")
                #expect(try await connection.rows(beginning) == before && before[0].hasPrefix("executing|"))
            }
        }

        /// Story: a terminal dies, another finds its start, and that answer is lost. The recipe may have run.
        @Test func whatAnotherTerminalHasLeftIsNotGivenAsIfNobodyHadBegunIt() async throws {
            try await Self.withPlant { connection, _ in
                func take(_ worker: String, known: String) async throws -> [String] {
                    try await connection.rows(
                        "SELECT command_id FROM ald.take_recipe_command(1, '\(worker)', '\(known)', 60)")
                }
                func adopt(_ worker: String) async throws -> [String] {
                    try await connection.rows(
                        "SELECT command_id FROM ald.adopt_recipe_commands(1, '\(worker)', 60) ORDER BY 1")
                }
                try await connection.accept(
                    """
                    SELECT ald.request_recipe_command(1, gen_random_uuid(), 'start', 1, 1, NULL, 600, 'o', '');
                    SELECT ald.take_recipe_command(1, 'w', '{}', 60);
                    \(Self.begin);
                    SELECT ald.request_recipe_command(1, gen_random_uuid(), kind, NULL, NULL, 1, 600, 'o', '')
                    FROM unnest('{pause,stop}'::text[]) kind;
                    """)
                #expect(try await take("w", known: "{1}") == ["2"])
                #expect(try await take("w", known: "{1,2}") == ["3"])
                try await connection.accept(SchemaDatabase.endOfRecipeLeases)
                #expect(try await adopt("v") == ["1", "2", "3"])
                #expect(try await take("v", known: "{}") == ["3"], "a stop does no harm a second time")
                #expect(try await take("v", known: "{3}") == [])
                #expect(try await adopt("v") == ["1", "2", "3"], "who did not hear of them hears again")
                #expect(try await adopt("u") == [], "but nobody else")
            }
        }
    }
}
