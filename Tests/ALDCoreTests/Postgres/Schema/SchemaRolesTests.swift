import ALDTestKit
import Testing

@testable import ALDCore

extension SchemaServerTests {
    /// Each role can do exactly its statements, on the machines its user is a member of.
    @Suite struct SchemaRoles {
        /// Who may do what; `-` for nobody. A line that begins with spaces continues the one before.
        static let matrix = """
            collector,recipes,commands,operator,reader,auditor,maintainer: SELECT FROM ald.machines
            collector,recipes,commands,operator,reader,auditor,maintainer: SELECT FROM ald.component_parameters
            collector,recipes,commands,operator,reader,auditor,maintainer: SELECT FROM ald.schema_migrations
            collector,recipes,commands,operator,reader,auditor: SELECT FROM ald.machine_state
            collector,recipes,commands,operator,reader,auditor: SELECT FROM ald.process_executions
            operator,reader,auditor: SELECT FROM ald.parameter_value_history
            operator,reader,auditor: SELECT FROM ald.process_progress
            recipes,operator,reader,auditor: SELECT FROM ald.recipe_steps
            recipes,operator,reader,auditor: SELECT FROM ald.recipe_commands
            commands,operator,reader,auditor: SELECT FROM ald.parameter_control_commands
            recipes,auditor: SELECT FROM ald.recipe_execution_audit
            auditor: SELECT FROM ald.audit_log
            auditor: SELECT FROM ald.audit_chain_heads
            auditor: SELECT FROM ald.verify_audit(1)
            operator,reader,auditor: SELECT FROM ald.ingest_batches
            -: SELECT FROM ald.machine_members
            -: SELECT FROM ald.role_grants
            -: SELECT FROM ald.status_transitions
            collector: SELECT ald.apply_history_batch(1, 1, 1, 1, sha256('a'), '{1}', '{2026-01-01 10:00Z}', '{1}',
              '{192}')
            collector,recipes: SELECT ald.apply_process_event_batch(1, 1, 3, 1, sha256('a'), '{1}', '{1}',
              '{2026-01-01Z}', '{note}', '{1}', ARRAY['{}'], '{x}', ARRAY['{}'])
            recipes,operator,reader,auditor: SELECT FROM ald.process_events
            -: DELETE FROM ald_history.process_events
            -: INSERT INTO ald.process_events (machine_id) VALUES (1)
            collector,recipes: SELECT ald.apply_gap_batch(1, 1, 2, 1, sha256('a'), '{2026-01-01Z}', '{2026-01-01Z}', '{1}',
              '{plc}', '{x}')
            collector: SELECT ald.record_cycle(1, 1, 1, 1, sha256('a'), '{1}', '{2026-01-01 10:00Z}', '{1}', '{192}')
            collector,recipes: SELECT ald.cut_obstacle(1, 1, 9, -1)
            collector,recipes: SELECT ald.void_batch(1, 1, 8, sha256('a'), sha256('b'), NULL, NULL, -1, 1, 'halves', NULL)
            collector,recipes: SELECT FROM ald.missing_batches(1, '{1}', '{1}', ARRAY[sha256('a')])
            collector,recipes: SELECT ald.forget_batches(1, 1, 1)
            collector,maintainer: SELECT ald.ensure_history_partitions('2026-02-01', 1)
            collector,maintainer: SELECT ald.maintain()
            collector,maintainer: SELECT FROM ald.maintenance_plan()
            collector,operator,reader,auditor,maintainer: SELECT FROM ald.upkeep()
            maintainer: SELECT ald.prune_ledger(now())
            collector,recipes,commands: UPDATE ald.component_parameters SET set_value = 5 WHERE parameter_id = 1
            collector,recipes,commands: SELECT ald.register_terminal(1, 'terminal1', 'h', 1, 'v', 'testing', 10)
            collector,recipes,commands: SELECT ald.heartbeat(1, 1, 'healthy', '', 0, 0, NULL)
            collector,recipes,commands: SELECT ald.stop_terminal(1, 1, 'end')
            collector,recipes,commands: SELECT ald.report_health(1, 'terminal1', false, 'x', false)
            collector,recipes,commands,maintainer: SELECT ald.detect_dead_terminals(1, 3)
            collector: SELECT ald.await_history_partitions()
            collector: SELECT FROM ald.synchronise_set_points(1, now(), '{1}', '{5}')
            operator,reader,auditor: SELECT FROM ald.set_point_changes
            commands: SELECT FROM ald.take_parameter_commands(1, 'w', 10, 5)
            commands: SELECT FROM ald.retake_parameter_commands(1, 'w', 10, 5, '{}')
            commands: SELECT ald.begin_parameter_command(1, 1, 'w', 5)
            commands: SELECT ald.finish_parameter_command(1, 1, 'w', 'failed', 'x', NULL, NULL, NULL)
            commands: SELECT ald.release_parameter_command(1, 1, 'w')
            commands: SELECT ald.renew_parameter_command(1, 1, 'w', 5)
            commands: SELECT ald.adopt_parameter_commands(1, 'w', 5)
            recipes: SELECT ald.claim_recipe_commands(1, 'w', 10, 5)
            recipes: SELECT ald.begin_recipe_command(1, 1, 'w', 5)
            recipes: SELECT ald.begin_process(1, 1, 'w', 3, '{2}')
            recipes: SELECT ald.take_recipe_command(1, 'w', '{}', 5)
            recipes: SELECT ald.adopt_recipe_commands(1, 'w', 5)
            commands: SELECT ald.hold_machine_state(1)
            commands,operator,reader,auditor: SELECT ald.is_valve(1, 2), ald.running_recipe(1)
            recipes: SELECT ald.finish_recipe_command(1, 1, 'w', 'failed', 'x')
            recipes: UPDATE ald.process_executions SET status = 'aborted'; INSERT INTO ald.process_executions
              (machine_id, recipe_id, recipe_version, operator) VALUES (1, 1, 1, 'o')
            recipes: UPDATE ald.process_executions SET status = 'running'
            recipes: INSERT INTO ald.process_execution_state (machine_id, process_id, total_steps) VALUES (1, 1, 3)
            recipes: INSERT INTO ald.recipe_execution_audit (machine_id, process_id, operation, event, kind,
              step_id) VALUES (1, 1, 9, 'initiated', 'wait', 1)
            operator: INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value) VALUES
              (1, 1, 5)
            operator: SELECT ald.request_parameter_command(1, gen_random_uuid(), 1, 5, 10, 'o', 'r')
            operator: SELECT ald.cancel_parameter_command(1, 1, 'r')
            operator: SELECT ald.cancel_recipe_command(1, 1, 'r')
            operator: SELECT ald.change_parameter_limits(1, 1, 0, 50, 'r')
            operator: INSERT INTO ald.recipe_commands (machine_id, kind, recipe_id, recipe_version) VALUES (1,
              'start', 1, 1)
            operator: SELECT ald.request_recipe_command(1, gen_random_uuid(), 'start', 1, 1, NULL, 30, 'o', 'r')
            operator: INSERT INTO ald.recipes (machine_id, name) VALUES (1, 'n')
            operator: INSERT INTO ald.recipe_versions (machine_id, recipe_id, version) VALUES (1, 1, 3)
            operator: UPDATE ald.recipe_versions SET status = 'released', released_by = 'o' WHERE version = 2
            operator: DELETE FROM ald.recipe_steps WHERE version = 2
            operator: UPDATE ald.machine_state SET status = 'error', failure = 'x' WHERE machine_id = 2
            operator: INSERT INTO ald.machine_idle_conditions (machine_id, name) VALUES (1, 'n')
            -: UPDATE ald.parameter_control_commands SET target_value = 6
            -: DELETE FROM ald.parameter_control_commands
            -: DELETE FROM ald.recipe_commands
            -: UPDATE ald.component_parameters SET max_value = 1000
            -: UPDATE ald.component_parameters SET write_protected = false
            -: DELETE FROM ald.component_parameters
            -: INSERT INTO ald.machines (machine_id, name) VALUES (9, 'n')
            -: INSERT INTO ald.machine_members (member) VALUES ('me')
            -: UPDATE ald_history.parameter_value_history SET value = 0
            -: DELETE FROM ald_history.parameter_value_history
            -: DELETE FROM ald.ingest_batches
            -: UPDATE ald.machine_state SET process_id = NULL
            -: INSERT INTO ald.audit_log (machine_id, action, table_name, row_key) VALUES (1, 'DELETE', 't', '{}')
            -: UPDATE ald.audit_log SET actor = 'x'
            -: DELETE FROM ald.audit_log
            -: TRUNCATE ald.audit_log
            -: DELETE FROM ald.recipe_execution_audit
            -: UPDATE ald.audit_chain_heads SET seq = 0
            -: UPDATE ald.recipe_versions SET steps_sha256 = NULL
            -: INSERT INTO ald.role_grants VALUES ('ald_reader', 'ALL', 'TABLE ald.machines')
            -: SELECT ald.apply_grants()
            -: SELECT ald.protect_table('ald.machines')
            auditor: SELECT ald.audit_hash('x', '', '{}')
            -: CREATE TABLE ald.mine (a int)
            -: DROP TABLE ald.machines
            -: ALTER TABLE ald.machines DISABLE ROW LEVEL SECURITY
            -: SELECT FROM ald_history.parameter_value_history_20260101
            -: INSERT INTO ald_history.parameter_value_history_20260101 VALUES (1, 1, '2026-01-01', 1, 192)
            """
        static let roles = [
            "collector", "recipes", "commands", "operator", "reader", "auditor", "maintainer", "nobody",
        ]

        /// Makes a login role for each of ours and one that belongs to none; gives their names to `body`.
        static func withUsers(
            _ connection: PostgresConnection, memberOf machine: String,
            _ body: @Sendable ([String: String]) async throws -> Void
        ) async throws {
            let tag = String(UInt32.random(in: 0...UInt32.max), radix: 36)
            let users = Dictionary(uniqueKeysWithValues: roles.map { ($0, "test_\($0)_\(tag)") })
            for (role, user) in users {
                try await connection.accept(
                    "CREATE ROLE \(user); INSERT INTO ald.machine_members VALUES ('\(user)', \(machine))")
                if role != "nobody" { try await connection.accept("GRANT ald_\(role) TO \(user)") }
            }
            try await withCleanup {
                try await body(users)
            } cleanup: {
                try await connection.execute(script: "ROLLBACK; RESET SESSION AUTHORIZATION", deadline: .patience)
                for user in users.values { try await connection.accept("DROP ROLE \(user)") }
            }
        }

        private static let underWay = """
            SELECT ald.ensure_history_partitions('2026-01-01', 1);
            INSERT INTO ald.process_executions (machine_id, operator) VALUES (1, 'o');
            INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value) VALUES (1, 2, 1), (2, 2, 1);
            INSERT INTO ald.recipe_commands (machine_id, kind, recipe_id, recipe_version) VALUES (1, 'start', 1, 1);
            """

        @Test func eachRoleCanDoItsStatementsAndNothingElse() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(SchemaDatabase.plant + Self.underWay)
                try await Self.withUsers(connection, memberOf: "NULL") { users in
                    let lines = Self.matrix.replacing("\n  ", with: " ").split(separator: "\n")
                    for role in Self.roles {
                        try await connection.accept("SET SESSION AUTHORIZATION \(try #require(users[role]))")
                        for line in lines {
                            let parts = line.split(separator: ": ", maxSplits: 1)
                            let isAllowed = parts[0].split(separator: ",").contains { $0 == role }
                            let refusal = try await connection.refusal(of: String(parts[1]))
                            #expect(refusal?.state == (isAllowed ? nil : "42501"), "\(role): \(line)")
                        }
                        try await connection.accept("RESET SESSION AUTHORIZATION")
                    }
                }
            }
        }

        @Test func membersSeeTheirMachineAndWriteToNoOther() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(SchemaDatabase.plant + Self.underWay)
                try await Self.withUsers(connection, memberOf: "2") { users in
                    func act(_ role: String) async throws {
                        try await connection.accept("SET SESSION AUTHORIZATION \(try #require(users[role]))")
                    }
                    let tables = try await connection.rows(
                        """
                        SELECT DISTINCT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                        WHERE a.attname = 'machine_id' AND c.relnamespace = 'ald'::regnamespace
                            AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
                            AND has_table_privilege('\(try #require(users["auditor"]))', c.oid, 'SELECT')
                        """)
                    #expect(tables.count > 20)
                    try await act("auditor")
                    for table in tables {
                        #expect(
                            try await connection.rows("SELECT count(*) FROM ald.\(table) WHERE machine_id <> 2") == [
                                "0"
                            ],
                            "\(table)")
                    }
                    #expect(try await connection.rows("SELECT count(*) FROM ald.parameter_control_commands") == ["1"])
                    try await act("operator")
                    let request = "INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value) "
                    #expect(try await connection.refusal(of: request + "VALUES (2, 1, 5)") == nil)
                    for statement in [
                        request + "VALUES (1, 1, 5)", "SELECT ald.cancel_parameter_command(1, 1, 'r')",
                        "SELECT ald.change_parameter_limits(1, 1, 0, 50, 'r')", "SELECT ald.is_valve(1, 2)",
                        "SELECT ald.running_recipe(1)",
                    ] {
                        #expect(try await connection.refusal(of: statement)?.state == "42501", "\(statement)")
                    }
                    try await act("collector")
                    #expect(
                        try await connection.refusal(
                            of: "SELECT ald.apply_history_batch(1, 1, 1, 1, sha256('a'), '{1}', '{2026-01-01 10:00Z}', "
                                + "'{1}', '{192}')")?.state == "42501")
                    try await act("nobody")
                    #expect(try await connection.refusal(of: "SELECT FROM ald.machines")?.state == "42501")
                }
            }
        }

        /// On a server of its own, because the roles' names are given.
        @Test func peopleOfARestGatewayAreMembersByTheirTokenAndOthersCannotForgeOne() async throws {
            try await TestDatabase.withPrivateServer { _, lease in
                try await TestDatabase.withConnection(lease.configuration) { connection, deadline in
                    _ = try await SchemaDatabase.migrator(to: 2).migrate(connection, deadline: deadline)
                    try await connection.accept(Self.gateway)
                    _ = try await SchemaDatabase.migrator(to: 5).migrate(connection, deadline: deadline)
                    try await connection.accept(SchemaDatabase.plant)
                    func machines(_ login: String, as role: String, subject: String) async throws -> [String]? {
                        try await connection.accept(
                            "SET SESSION AUTHORIZATION \(login); SET ROLE \(role); "
                                + "SET request.jwt.claims = '{\"sub\": \"\(subject)\"}'")
                        let isAllowed = try await connection.refusal(of: "SELECT FROM ald.machines") == nil
                        let found =
                            isAllowed
                            ? try await connection.rows("SELECT machine_id FROM ald.machines ORDER BY 1") : nil
                        try await connection.accept("RESET SESSION AUTHORIZATION")
                        return found
                    }
                    #expect(try await machines("authenticator", as: "authenticated", subject: "ann") == nil)
                    try await connection.accept(
                        "GRANT ald_reader TO authenticated, forger; INSERT INTO ald.machine_members VALUES ('ann', 2)")
                    #expect(try await machines("authenticator", as: "authenticated", subject: "ann") == ["2"])
                    #expect(try await machines("authenticator", as: "authenticated", subject: "bob") == [])
                    #expect(try await machines("authenticator", as: "anon", subject: "ann") == nil)
                    #expect(try await machines("forger", as: "forger", subject: "ann") == [])
                }
            }
        }

        /// What Supabase's roles have and its default privileges give them.
        private static let gateway = """
            CREATE ROLE authenticator; CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE forger;
            GRANT anon, authenticated TO authenticator;
            GRANT ALL ON SCHEMA ald TO anon, authenticated;
            GRANT ALL ON ALL TABLES IN SCHEMA ald TO anon, authenticated;
            """
    }
}
