import ALDTestKit
import Testing

@testable import ALDCore

extension SchemaServerTests {
    /// The audit log says who changed what and why, cannot be changed, and shows when it was.
    @Suite struct Audit {
        private static let verify = "SELECT * FROM ald.verify_audit(1)"

        private static func withLog(
            _ body: @Sendable (PostgresConnection, PostgresConfiguration) async throws -> Void
        ) async throws {
            try await SchemaDatabase.with { connection, database in
                try await connection.accept(SchemaDatabase.plant)
                // However the session writes times and numbers.
                try await connection.accept(
                    """
                    SET timezone = 'Asia/Tokyo'; SET extra_float_digits = -5; SET datestyle = 'SQL, DMY';
                    INSERT INTO ald.process_executions (machine_id, operator) VALUES (1, 'o');
                    INSERT INTO ald.recipe_execution_audit (machine_id, process_id, operation, event, kind, step_id,
                        parameter_id, target_value, write_started_at, write_ended_at) VALUES
                        (1, 1, 1, 'initiated', 'valve', 2, 2, 1, NULL, NULL),
                        (1, 1, 1, 'succeeded', 'valve', 2, 2, 1, '2026-01-01 10:00:00.0001Z', '2026-01-01 10:00:00.2371Z'),
                        (1, 1, 2, 'initiated', 'valve', 2, 2, 0, NULL, NULL);
                    RESET ALL
                    """)
                try await body(connection, database)
            }
        }

        @Test func commandsRecipesAndLimitsSayWhoWhatAndWhy() async throws {
            try await Self.withLog { connection, _ in
                try await connection.accept(
                    """
                    BEGIN; SET LOCAL ald.acting_for = 'badge 17';
                    SELECT ald.change_parameter_limits(1, 1, 0, 50, 'new heater'); COMMIT;
                    INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value, reason)
                    VALUES (1, 1, 40, 'warm up');
                    SELECT ald.cancel_parameter_command(1, 1, 'not today');
                    UPDATE ald.component_parameters SET updated_at = now();
                    INSERT INTO ald.machine_members VALUES ('somebody', NULL)
                    """)
                let last = try await connection.rows(
                    """
                    SELECT machine_id, actor = session_user AS mine, acting_for, reason, action, table_name,
                        old_values - 'updated_at' - 'finished_at' AS old, new_values ->> 'max_value' AS limit,
                        new_values ->> 'status' AS status
                    FROM ald.audit_log WHERE table_name IN ('component_parameters', 'parameter_control_commands',
                        'machine_members') AND (action = 'UPDATE' OR table_name <> 'component_parameters')
                    ORDER BY machine_id, seq
                    """)
                #expect(
                    last == [
                        "0|true|INSERT|machine_members",
                        #"1|true|badge 17|new heater|UPDATE|component_parameters|{"max_value": 100}|50"#,
                        "1|true|warm up|INSERT|parameter_control_commands|pending",
                        #"1|true|warm up|UPDATE|parameter_control_commands|{"error": null, "status": "pending"}|cancelled"#,
                    ])
                #expect(
                    try await connection.refusal(of: "SELECT ald.change_parameter_limits(1, 1, 0, 60, '')")?.state
                        == "22023")
                #expect(
                    try await connection.rows(
                        "SELECT count(*) FROM ald.audit_log WHERE table_name = 'recipe_versions' AND action = 'UPDATE'")
                        == ["1"])
            }
        }

        @Test func eachChangeHasTheReasonItWasMadeForAndNotTheLastOneOfItsTransaction() async throws {
            try await Self.withLog { connection, _ in
                try await connection.accept(
                    """
                    BEGIN;
                    UPDATE ald.component_parameters SET unit = 'K' WHERE machine_id = 1 AND parameter_id = 1;
                    SET LOCAL ald.reason = 'spring cleaning'; SET LOCAL ald.acting_for = 'badge 17';
                    UPDATE ald.component_parameters SET unit = '°C' WHERE machine_id = 1 AND parameter_id = 2;
                    SELECT ald.change_parameter_limits(1, 1, 0, 50, 'new heater'),
                        ald.change_parameter_limits(1, 2, 0, 0, 'valve stuck');
                    SAVEPOINT undone;
                    SELECT ald.change_parameter_limits(1, 1, 0, 60, 'never');
                    ROLLBACK TO undone;
                    SET LOCAL ald.acting_for = 'badge 18';
                    UPDATE ald.component_parameters SET min_value = 1 WHERE machine_id = 1 AND parameter_id = 1;
                    SET CONSTRAINTS ALL IMMEDIATE;
                    SELECT ald.change_parameter_limits(1, 1, 2, 50, 'at once');
                    SET CONSTRAINTS ALL DEFERRED;
                    SELECT ald.change_parameter_limits(1, 1, 3, 50, 'at the end');
                    SET LOCAL ald.reason = 'much later';
                    COMMIT;
                    UPDATE ald.component_parameters SET unit = 'F' WHERE machine_id = 1 AND parameter_id = 1
                    """)
                let entries = try await connection.rows(
                    """
                    SELECT row_key ->> 'parameter_id' AS parameter, coalesce(acting_for, '-') AS acting_for,
                        coalesce(reason, '-') AS reason, new_values - 'updated_at' AS new
                    FROM ald.audit_log WHERE table_name = 'component_parameters' AND action = 'UPDATE' ORDER BY seq
                    """)
                #expect(
                    entries == [
                        #"1|-|-|{"unit": "K"}"#, #"2|badge 17|spring cleaning|{"unit": "°C"}"#,
                        #"1|badge 17|new heater|{"max_value": 50}"#, #"2|badge 17|valve stuck|{"max_value": 0}"#,
                        #"1|badge 18|spring cleaning|{"min_value": 1}"#, #"1|badge 18|at once|{"min_value": 2}"#,
                        #"1|badge 18|at the end|{"min_value": 3}"#, #"1|-|-|{"unit": "F"}"#,
                    ])
            }
        }

        @Test func whoWritesAnEntryDoesNotSayWhen() async throws {
            try await Self.withLog { connection, _ in
                try await connection.accept(
                    """
                    INSERT INTO ald.recipe_execution_audit (machine_id, process_id, operation, event, kind, step_id,
                        recorded_at) VALUES (1, 1, 3, 'initiated', 'wait', 1, '2020-01-01Z')
                    """)
                #expect(
                    try await connection.rows(
                        "SELECT clock_timestamp() - recorded_at < interval '1 hour' AS young FROM "
                            + "ald.recipe_execution_audit WHERE operation = 3") == ["true"])
            }
        }

        @Test func whoDoesNotSeeAMachineIsNotToldThatItsEntriesAreSound() async throws {
            try await Self.withLog { connection, _ in
                try await SchemaServerTests.SchemaRoles.withUsers(connection, memberOf: "2") { users in
                    try await connection.accept("SET SESSION AUTHORIZATION \(try #require(users["auditor"]))")
                    let refusal = try await connection.refusal(of: Self.verify)
                    #expect(refusal?.state == "42501" && refusal?.message.contains("no member of machine 1") == true)
                    #expect(try await connection.rows("SELECT chain FROM ald.verify_audit(2)").count == 3)
                    #expect(try await connection.refusal(of: "SELECT * FROM ald.verify_audit(0)")?.state == "42501")
                }
                #expect(try await connection.refusal(of: "SELECT * FROM ald.verify_audit(77)")?.state == "P0002")
            }
        }

        @Test func nobodyNotEvenTheOwnerChangesAnEntry() async throws {
            try await Self.withLog { connection, _ in
                for table in ["audit_log", "recipe_execution_audit"] {
                    for statement in [
                        "UPDATE ald.\(table) SET row_hash = ''", "DELETE FROM ald.\(table)", "TRUNCATE ald.\(table)",
                    ] {
                        #expect(try await connection.refusal(of: statement)?.state == "AL011", "\(statement)")
                    }
                }
                for table in ["parameter_control_commands", "machine_state", "component_parameters", "machine_members"]
                {
                    let refusal = try await connection.refusal(of: "TRUNCATE ald.\(table) CASCADE")
                    #expect(refusal?.state == "AL011", "\(table)")
                }
            }
        }

        @Test func whateverIsDoneToAChainIsFound() async throws {
            try await Self.withLog { connection, _ in
                let entries = try await connection.rows("SELECT count(*) FROM ald.audit_log WHERE machine_id = 1")[0]
                let sound = ["audit_log|\(entries)", "process_events|0", "recipe_execution_audit|3"]
                #expect(try await connection.rows(Self.verify) == sound)
                // A superuser switches the triggers off; what was done shows all the same.
                let deeds = [
                    ("UPDATE ald.recipe_execution_audit SET target_value = 0 WHERE seq = 2", "2|was altered"),
                    (
                        "UPDATE ald.recipe_execution_audit SET recorded_at = recorded_at + '1 us' WHERE seq = 1",
                        "1|was altered"
                    ),
                    ("UPDATE ald.recipe_execution_audit SET write_ended_at = NULL WHERE seq = 2", "2|was altered"),
                    ("DELETE FROM ald.recipe_execution_audit WHERE seq = 2", "2|an entry is missing"),
                    ("DELETE FROM ald.recipe_execution_audit WHERE seq = 3", "3|entries were cut off at the end"),
                    ("DELETE FROM ald.recipe_execution_audit", "1|entries were cut off at the end"),
                    (
                        "UPDATE ald.recipe_execution_audit SET seq = seq + 10 WHERE seq = 1; "
                            + "UPDATE ald.recipe_execution_audit SET seq = 1 WHERE seq = 2; "
                            + "UPDATE ald.recipe_execution_audit SET seq = 2 WHERE seq = 11",
                        "1|does not follow the entry before it"
                    ),
                    ("DELETE FROM ald.audit_chain_heads", "1|is later than the head of the chain"),
                    (
                        "UPDATE ald.audit_chain_heads SET seq = 2 WHERE chain = 'recipe_execution_audit'",
                        "3|is later than the head of the chain"
                    ),
                    (
                        "UPDATE ald.audit_chain_heads SET hash = sha256('') WHERE chain = 'recipe_execution_audit'",
                        "3|is not what the head of the chain says"
                    ),
                ]
                for (deed, finding) in deeds {
                    try await connection.accept("BEGIN; SET LOCAL session_replication_role = replica; \(deed)")
                    let found = try await connection.rows(
                        "SELECT first_broken, problem FROM ald.verify_audit(1) WHERE chain = 'recipe_execution_audit'")
                    try await connection.accept("ROLLBACK")
                    #expect(found == [finding], "\(deed)")
                }
                try await connection.accept(
                    "SET timezone = 'America/Lima'; SET extra_float_digits = -5; SET datestyle = 'SQL, DMY'; "
                        + "SET bytea_output = 'escape'; SET intervalstyle = 'iso_8601'")
                #expect(try await connection.rows(Self.verify) == sound)
            }
        }

        @Test func manyWritersMakeOneChain() async throws {
            try await Self.withLog { connection, database in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for writer in 0..<8 {
                        group.addTask {
                            try await TestDatabase.withConnection(database) { connection, _ in
                                for _ in 0..<10 {
                                    // Each locks the same rows in another order.
                                    try await connection.accept(
                                        """
                                        BEGIN; SET LOCAL extra_float_digits = \(writer % 3);
                                        INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value)
                                        VALUES (1, \(1 + writer % 2), 1), (1, \(2 - writer % 2), 1); COMMIT
                                        """)
                                }
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                let found = try await connection.rows(Self.verify)
                #expect(found.allSatisfy { $0.split(separator: "|").count == 2 })
                #expect(
                    try await connection.rows(
                        "SELECT count(*) FROM ald.audit_log WHERE table_name = 'parameter_control_commands'") == ["160"]
                )
            }
        }
    }
}
