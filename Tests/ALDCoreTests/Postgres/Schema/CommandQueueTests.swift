import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension SchemaServerTests {
    /// How commands are asked for, claimed, begun and ended.
    @Suite struct CommandQueue {
        private static func ask(_ parameter: Int, _ value: Double = 1) -> String {
            "INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value, not_after) "
                + "VALUES (1, \(parameter), \(value), clock_timestamp() + interval '1 hour');"
        }

        /// Moves an instant of a command into the past, behind the back of the rules.
        private static func age(_ command: Int, _ column: String) -> String {
            """
            SET session_replication_role = replica;
            UPDATE ald.parameter_control_commands SET created_at = created_at - interval '3 hours',
                \(column) = \(column) - interval '2 hours' WHERE command_id = \(command);
            SET session_replication_role = origin;
            """
        }

        private static func withPlant(
            _ body: @Sendable (PostgresConnection, PostgresConfiguration) async throws -> Void
        ) async throws {
            try await SchemaDatabase.with { connection, database in
                try await connection.accept(SchemaDatabase.plant)
                try await body(connection, database)
            }
        }

        private static let take = "SELECT command_id, status FROM ald.take_parameter_commands(1, 'a', 10, 60)"

        @Test func commandsThatMayNotBeCarriedOutAreRefused() async throws {
            try await Self.withPlant { connection, _ in
                let refused: [(Int, Double, String)] = [
                    (1, 100.1, "100.1 for Heater.temperature is outside of 0 to 100"),
                    (1, -0.1, "-0.1 for Heater.temperature is outside of 0 to 100"),
                    (2, 0.5, "0.5 for Valve.valve_state is not whole, its type is binary"),
                    (3, 1, "Heater.pid_output cannot be written"),
                ]
                for (parameter, value, message) in refused {
                    let refusal = try await connection.refusal(of: Self.ask(parameter, value))
                    #expect(refusal?.constraint == "parameter_control_commands_is_allowed")
                    #expect(refusal?.message == message)
                }
                #expect(try await connection.refusal(of: Self.ask(9))?.state == "23503")
                #expect(try await connection.refusal(of: Self.ask(1, .nan).replacing("nan", with: "'NaN'")) != nil)
                for value in [0.0, 100] { #expect(try await connection.refusal(of: Self.ask(1, value)) == nil) }
            }
        }

        @Test func aRequestSentTwiceIsOneCommand() async throws {
            try await Self.withPlant { connection, _ in
                let request = "SELECT ald.request_parameter_command(1, '\(UUID())', 1, 5, 10, 'operator', 'warm up')"
                let answers = [try await connection.rows(request), try await connection.rows(request)]
                #expect(answers == [["1"], ["1"]])
                #expect(try await connection.refusal(of: request.replacing("1, 5", with: "1, 6"))?.state == "23505")
                // Whoever asks again because the answer was lost must not hear that nothing was asked.
                try await connection.accept("UPDATE ald.component_parameters SET max_value = 4 WHERE parameter_id = 1")
                #expect(try await connection.rows(request) == ["1"])
                #expect(try await connection.rows("SELECT count(*) FROM ald.parameter_control_commands") == ["1"])
            }
        }

        @Test func oneParameterHasOneCommandUnderWayAndTheOldestFirst() async throws {
            try await Self.withPlant { connection, _ in
                try await connection.accept(Self.ask(1, 1) + Self.ask(1, 2) + Self.ask(2, 1))
                #expect(try await connection.rows(Self.take) == ["1|executing", "3|executing"])
                #expect(try await connection.rows(Self.take) == [])
                let finish = "SELECT ald.finish_parameter_command(1, 1, 'a', 'succeeded', NULL, 1, now(), now())"
                #expect(try await connection.rows(finish) == ["true"])
                #expect(try await connection.rows(finish) == ["true"], "the answer may have been lost")
                #expect(try await connection.rows(finish.replacing("'a'", with: "'b'")) == ["false"])
                #expect(try await connection.rows(Self.take) == ["2|executing"])
            }
        }

        @Test func aCommandThatHasSucceededIsTheSetPointUnlessItMayNotBeAnyMore() async throws {
            try await Self.withPlant { connection, _ in
                try await connection.accept(Self.ask(1, 40) + Self.ask(2, 1))
                _ = try await connection.rows(Self.take)
                try await connection.accept("UPDATE ald.component_parameters SET max_value = 0 WHERE parameter_id = 2")
                // Also the one of somebody else, and once more because the answer was lost.
                let finish = """
                    SELECT ald.finish_parameter_commands(1, 'a', '{2,1,9}', '{succeeded,succeeded,succeeded}',
                        '{NULL,NULL,NULL}', '{1,1,1}', ARRAY[now(), now(), now()], ARRAY[now(), now(), now()]) ORDER BY 1
                    """
                #expect(try await connection.rows(finish) == ["1", "2"])
                #expect(try await connection.rows(finish) == ["1", "2"])
                let another = finish.replacingOccurrences(
                    of: "succeeded,succeeded,succeeded", with: "failed,failed,failed")
                #expect(try await connection.rows(another) == [])
                #expect(
                    try await connection.rows(
                        "SELECT parameter_id, set_value FROM ald.component_parameters WHERE machine_id = 1 ORDER BY 1")
                        == ["1|40", "2", "3"])
            }
        }

        @Test func whatIsExecutedIsNeverTakenAgainWhenItsLeaseEnds() async throws {
            try await Self.withPlant { connection, _ in
                try await connection.accept(Self.ask(2))
                #expect(try await connection.rows(Self.take) == ["1|executing"])
                try await connection.accept(Self.age(1, "lease_until"))
                #expect(try await connection.rows(Self.take) == [])
                let adopt = "SELECT command_id, status, claimed_by FROM ald.adopt_parameter_commands(1, 'b', 60)"
                #expect(try await connection.rows(adopt) == ["1|executing|b"])
                #expect(try await connection.rows(adopt) == [])
                let finish = "SELECT ald.finish_parameter_command(1, 1, 'a', 'unknown', 'lost', NULL, NULL, NULL)"
                #expect(try await connection.rows(finish) == ["false"], "it is b's now")
                #expect(try await connection.rows(finish.replacing("'a'", with: "'b'")) == ["true"])
            }
        }

        @Test func aClaimOfARecipeThatRunsOutIsClaimedAgainFiveTimes() async throws {
            try await Self.withPlant { connection, _ in
                try await connection.accept(
                    "INSERT INTO ald.recipe_commands (machine_id, kind, recipe_id, recipe_version) "
                        + "VALUES (1, 'start', 1, 1)")
                let claim = "SELECT command_id, attempts FROM ald.claim_recipe_commands(1, 'a', 10, 60)"
                let age = Self.age(1, "lease_until").replacing("parameter_control_commands", with: "recipe_commands")
                for attempt in 1...5 {
                    #expect(try await connection.rows(claim) == ["1|\(attempt)"])
                    try await connection.accept(age)
                    #expect(
                        try await connection.rows("SELECT ald.begin_recipe_command(1, 1, 'a', 60)") == ["false"],
                        "the lease has ended")
                }
                #expect(try await connection.rows(claim) == [])
                #expect(
                    try await connection.rows("SELECT status, error FROM ald.recipe_commands") == [
                        "failed|claimed 5 times and never begun"
                    ])
            }
        }

        @Test func nothingIsBegunAfterItsDeadlineNorOutsideLimitsThatHaveChanged() async throws {
            try await Self.withPlant { connection, _ in
                try await connection.accept(Self.ask(1) + Self.ask(2))
                try await connection.accept(Self.age(1, "not_after"))
                try await connection.accept(
                    "UPDATE ald.component_parameters SET write_protected = true WHERE parameter_id = 2")
                #expect(try await connection.rows(Self.take) == [])
                #expect(
                    try await connection.rows(
                        "SELECT status, error FROM ald.parameter_control_commands ORDER BY command_id") == [
                            "expired|not begun in time", "failed|Valve.valve_state cannot be written",
                        ])
            }
        }

        /// Limits are narrowed and widened again while a command is begun: what is begun in the end is given as it is then.
        @Test func whatIsAllowedAgainInTheLastMomentIsGivenAsItIs() async throws {
            try await Self.withPlant { connection, _ in
                try await connection.accept(Self.ask(1))
                try await connection.accept(
                    """
                    CREATE SEQUENCE ald.asked;
                    CREATE OR REPLACE FUNCTION ald.command_problem(p_machine_id int, p_parameter_id int,
                        p_value float8) RETURNS text LANGUAGE sql AS $$
                        SELECT CASE WHEN nextval('ald.asked') = 1 THEN 'narrowed' END
                    $$
                    """)
                #expect(
                    try await connection.rows(
                        "SELECT command_id, status, executing_at IS NOT NULL, attempts "
                            + "FROM ald.take_parameter_commands(1, 'a', 10, 60)") == ["1|executing|true|1"])
            }
        }

        @Test func whatWasCancelledIsOverAndWhatWasBegunIsNotGivenBack() async throws {
            try await Self.withPlant { connection, _ in
                try await connection.accept(Self.ask(1) + Self.ask(2))
                #expect(try await connection.rows("SELECT ald.cancel_parameter_command(1, 2, 'wrong')") == ["true"])
                #expect(try await connection.rows("SELECT ald.cancel_parameter_command(1, 2, 'wrong')") == ["false"])
                #expect(try await connection.rows(Self.take) == ["1|executing"])
                #expect(try await connection.rows("SELECT ald.cancel_parameter_command(1, 1, 'late')") == ["false"])
                #expect(try await connection.rows("SELECT ald.renew_parameter_command(1, 1, 'a', 60)") == ["true"])
                #expect(try await connection.rows("SELECT ald.renew_parameter_command(1, 1, 'b', 60)") == ["false"])
                #expect(try await connection.rows("SELECT ald.release_parameter_command(1, 1, 'a')") == ["false"])
            }
        }

        @Test func whatWasTakenWithoutAnAnswerIsGivenAgain() async throws {
            try await Self.withPlant { connection, _ in
                func take(_ worker: String, known: String) async throws -> [String] {
                    try await connection.rows(
                        """
                        SELECT command_id, status, lease_until > executing_at
                        FROM ald.retake_parameter_commands(1, '\(worker)', 10, 60, '\(known)')
                        """)
                }
                let begun = "SELECT executing_at FROM ald.parameter_control_commands ORDER BY command_id"
                try await connection.accept(Self.ask(1) + Self.ask(2) + Self.ask(2, 0))
                #expect(try await take("a", known: "{}") == ["1|executing|true", "2|executing|true"])
                let first = try await connection.rows(begun)
                // The answer had said so, or another terminal asks.
                #expect(try await take("a", known: "{1,2}") == [])
                #expect(try await take("b", known: "{}") == [])
                #expect(try await take("a", known: "{1}") == ["2|executing|true"])
                let second = try await connection.rows(begun)
                #expect(second[0] == first[0] && second[1] > first[1] && second[2] == "")
                // What another has begun is looked at and never done again.
                try await connection.accept(Self.age(1, "lease_until"))
                #expect(
                    try await connection.rows("SELECT command_id FROM ald.adopt_parameter_commands(1, 'b', 60)") == [
                        "1"
                    ])
                #expect(try await take("b", known: "{}") == [])
                #expect(try await take("a", known: "{2}") == [])
            }
        }

        /// It may have been written in time, when an old question is carried out after its answer has come: nobody but
        /// who reads it back knows how it ended.
        @Test func whatMayNotBeBegunAnyMoreIsLeftToItsLease() async throws {
            try await Self.withPlant { connection, _ in
                try await connection.accept(Self.ask(1) + Self.ask(2))
                let state = "SELECT status, error, lease_until FROM ald.parameter_control_commands ORDER BY command_id"
                #expect(try await connection.rows(Self.take) == ["1|executing", "2|executing"])
                try await connection.accept(
                    Self.age(1, "not_after")
                        + "UPDATE ald.component_parameters SET write_protected = true WHERE parameter_id = 2")
                let before = try await connection.rows(state)
                #expect(
                    try await connection.rows(
                        "SELECT command_id FROM ald.retake_parameter_commands(1, 'a', 10, 60, '{}')") == [])
                #expect(try await connection.rows(state) == before)
                #expect(before.map { $0.prefix(9) } == ["executing", "executing"])
            }
        }

        @Test func recipesStartOneByOneAndAStopOvertakes() async throws {
            try await Self.withPlant { connection, _ in
                try await connection.accept(
                    """
                    INSERT INTO ald.recipe_commands (machine_id, kind, recipe_id, recipe_version)
                    VALUES (1, 'start', 1, 1), (1, 'start', 1, 1);
                    INSERT INTO ald.process_executions (machine_id, operator) VALUES (1, 'o');
                    INSERT INTO ald.recipe_commands (machine_id, kind, process_id) VALUES (1, 'stop', 1)
                    """)
                let claim = "SELECT command_id FROM ald.claim_recipe_commands(1, 'a', 10, 60)"
                #expect(try await connection.rows(claim) == ["1", "3"])
                #expect(try await connection.rows("SELECT ald.begin_recipe_command(1, 1, 'a', 60)") == ["true"])
                #expect(try await connection.rows(claim) == [])
                #expect(
                    try await connection.rows("SELECT ald.finish_recipe_command(1, 1, 'a', 'succeeded', NULL)") == [
                        "true"
                    ])
                #expect(try await connection.rows(claim) == ["2"])
            }
        }

        @Test func eightTerminalsShareTwoHundredCommandsAndKeepEachParametersOrder() async throws {
            try await Self.withPlant { connection, database in
                try await connection.accept(
                    """
                    INSERT INTO ald.component_parameters (machine_id, parameter_id, component, name, data_type,
                        min_value, max_value, read_location, write_location)
                    SELECT 1, n, 'Heater', 'p' || n, 'float', 0, 100, 'r', 'w' FROM generate_series(11, 20) n;
                    INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value, not_after)
                    SELECT 1, 11 + n % 10, 1, clock_timestamp() + interval '1 hour' FROM generate_series(0, 199) n;
                    CREATE TABLE claims (id bigint GENERATED ALWAYS AS IDENTITY, command_id bigint)
                    """)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for worker in 0..<8 {
                        group.addTask { try await Self.work("w\(worker)", database) }
                    }
                    try await group.waitForAll()
                }
                #expect(
                    try await connection.rows("SELECT count(*), count(DISTINCT command_id) FROM claims") == ["200|200"])
                #expect(
                    try await connection.rows(
                        "SELECT status, count(*), max(attempts) FROM ald.parameter_control_commands GROUP BY 1") == [
                            "succeeded|200|1"
                        ])
                // Begun in the order in which they were asked for, and not before the one before had ended.
                #expect(
                    try await connection.rows(
                        """
                        SELECT command_id FROM (SELECT command_id, claimed_at, lag(finished_at)
                            OVER (PARTITION BY parameter_id ORDER BY command_id) AS before
                            FROM ald.parameter_control_commands) x WHERE claimed_at < before
                        """) == [])
            }
        }

        /// Claims, begins and ends until there is nothing more to do.
        private static func work(_ worker: String, _ database: PostgresConfiguration) async throws {
            try await TestDatabase.withConnection(database) { connection, _ in
                while try await connection.rows(
                    "SELECT 1 FROM ald.parameter_control_commands WHERE finished_at IS NULL LIMIT 1") != []
                {
                    let claimed = try await connection.rows(
                        "SELECT command_id FROM ald.take_parameter_commands(1, '\(worker)', 3, 600)")
                    for command in claimed {
                        try await connection.accept(
                            """
                            INSERT INTO claims (command_id) VALUES (\(command));
                            SELECT ald.finish_parameter_command(1, \(command), '\(worker)', 'succeeded', NULL, 1,
                                now(), NULL)
                            """)
                    }
                }
            }
        }

        /// A transaction with an earlier command for the parameter commits while a later one is just being begun.
        @Test func onlyTheCommandThatAnotherTerminalWasFasterWithIsLeft() async throws {
            try await Self.withPlant { connection, database in
                try await TestDatabase.withConnection(database) { late, _ in
                    try await late.accept("BEGIN; \(Self.ask(1, 40))")
                    try await connection.accept(Self.ask(1, 50) + Self.ask(2, 1))
                    try await TestDatabase.withConnection(database) { slow, _ in
                        try await connection.accept(
                            "BEGIN; SELECT FROM ald.parameter_control_commands WHERE command_id = 2 FOR UPDATE")
                        async let taken = slow.rows(Self.take)
                        try await TestDatabase.withConnection(database) { watcher, _ in
                            try await eventually("the slow terminal has chosen, and waits") {
                                try await watcher.rows(
                                    "SELECT FROM pg_stat_activity WHERE datname = current_database() "
                                        + "AND wait_event_type = 'Lock'"
                                ).count == 1
                            }
                        }
                        try await late.accept("COMMIT")
                        #expect(
                            try await late.rows(
                                "SELECT command_id FROM ald.take_parameter_commands(1, 'fast', 1, 60)") == ["1"])
                        try await connection.accept("COMMIT")
                        #expect(try await taken == ["3|executing"])
                    }
                }
                #expect(
                    try await connection.rows(
                        "SELECT status, attempts FROM ald.parameter_control_commands ORDER BY command_id") == [
                            "executing|1", "pending|0", "executing|1",
                        ])
            }
        }

        @Test func anAcceptedCommandRingsTheBellOfItsMachine() async throws {
            try await Self.withPlant { connection, _ in
                let source = try await connection.rows(
                    "SELECT tgrelid::regclass, encode(tgargs, 'escape') FROM pg_trigger WHERE tgname = 'e_notify' ORDER BY 1"
                )
                #expect(source.count == 2)
                #expect(source.contains { $0.contains("parameter_control_commands|ald_commands_") })
                #expect(source.contains { $0.contains("recipe_commands|ald_recipe_commands_") })
            }
        }
    }
}
