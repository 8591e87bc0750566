import Testing

@testable import ALDCore

extension SchemaServerTests {
    /// Every change of every status, tried on the database: what is listed here goes, everything else is refused.
    @Suite struct StatusTransitions {
        struct Subject: Sendable {
            var table: String
            var statuses: String
            /// A sound row of machine 1; a question mark in the shape stands for the status.
            var row: String
            var shape: String
            /// From nothing at the beginning.
            var legal: Set<String>
        }

        private static let commandShape = """
            status = ?, claimed_by = CASE WHEN ? <> 'pending' THEN 'w' END,
            claimed_at = CASE WHEN ? <> 'pending' THEN now() END,
            lease_until = CASE WHEN ? IN ('claimed', 'executing') THEN now() END,
            executing_at = CASE WHEN ? IN ('executing', 'succeeded', 'unknown') THEN now() END,
            finished_at = CASE WHEN ? NOT IN ('pending', 'claimed', 'executing') THEN now() END,
            error = CASE WHEN ? IN ('failed', 'expired', 'unknown', 'cancelled') THEN 'x' END
            """
        private static let commandStatuses = "pending,claimed,executing,succeeded,failed,expired,unknown,cancelled"
        private static let commandLegal: Set = [
            ">pending", "pending>claimed", "pending>expired", "pending>cancelled", "claimed>pending",
            "claimed>executing", "claimed>failed", "claimed>expired", "claimed>cancelled", "executing>succeeded",
            "executing>failed", "executing>unknown",
        ]

        static let subjects = [
            Subject(
                table: "parameter_control_commands", statuses: commandStatuses,
                row:
                    "INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value) VALUES (1, 1, 1)",
                shape: commandShape, legal: commandLegal.union(["pending>executing"])),
            Subject(
                table: "recipe_commands", statuses: commandStatuses,
                row: "INSERT INTO ald.recipe_commands (machine_id, kind, recipe_id, recipe_version) "
                    + "VALUES (1, 'start', 1, 1)",
                shape: commandShape, legal: commandLegal),
            Subject(
                table: "process_executions", statuses: "preparing,running,paused,completed,failed,aborted",
                row: "INSERT INTO ald.process_executions (machine_id, operator) VALUES (1, 'o')",
                shape: """
                    status = ?, ended_at = CASE WHEN ? IN ('completed', 'failed', 'aborted') THEN now() END,
                    error = CASE ? WHEN 'failed' THEN 'x' END
                    """,
                legal: [
                    ">preparing", ">running", "preparing>running", "preparing>failed", "preparing>aborted",
                    "running>paused", "running>completed", "running>failed", "running>aborted", "paused>running",
                    "paused>failed", "paused>aborted",
                ]),
            Subject(
                table: "machine_state", statuses: "offline,idle,processing,error",
                row: "INSERT INTO ald.process_executions (machine_id, process_id, operator) OVERRIDING SYSTEM VALUE "
                    + "VALUES (1, 1, 'o'); INSERT INTO ald.machine_state (machine_id) VALUES (1)",
                shape: """
                    status = ?, process_id = CASE ? WHEN 'processing' THEN 1 END,
                    failure = CASE ? WHEN 'error' THEN 'x' END
                    """,
                legal: [
                    ">idle", ">offline", "offline>idle", "offline>error", "idle>offline", "idle>processing",
                    "idle>error", "processing>idle", "processing>error", "error>idle", "error>offline",
                ]),
            Subject(
                table: "recipe_versions", statuses: "draft,released,withdrawn",
                row: "INSERT INTO ald.recipe_versions (machine_id, recipe_id, version) VALUES (1, 1, 2)",
                shape: """
                    status = ?, released_by = CASE WHEN ? <> 'draft' THEN 'e' END,
                    released_at = CASE WHEN ? <> 'draft' THEN timestamptz '2026-01-01Z' END,
                    steps_sha256 = CASE WHEN ? <> 'draft' THEN sha256('') END
                    """,
                legal: [">draft", "draft>released", "released>withdrawn"]),
            Subject(
                table: "terminal_instances", statuses: "starting,healthy,degraded,stopping,stopped,crashed",
                row: "INSERT INTO ald.terminal_instances (machine_id, terminal, hostname, os_pid, version) "
                    + "VALUES (1, 'terminal1', 'h', 1, 'v')",
                shape: "status = ?, ended_at = CASE WHEN ? IN ('stopped', 'crashed') THEN now() END",
                legal: [
                    ">starting", "starting>healthy", "starting>degraded", "starting>stopping", "starting>stopped",
                    "starting>crashed", "healthy>degraded", "healthy>stopping", "healthy>stopped", "healthy>crashed",
                    "degraded>healthy", "degraded>stopping", "degraded>stopped", "degraded>crashed",
                    "stopping>stopped", "stopping>crashed",
                    // given up for dead, and alive
                    "crashed>starting", "crashed>healthy", "crashed>degraded", "crashed>stopping",
                ]),
        ]

        /// Tries every pair, each undone before the next. Rows are brought into the earlier status without triggers.
        private static let tries = """
            CREATE FUNCTION pg_temp.tries(subject text, statuses text[], sound text, shape text)
            RETURNS TABLE (earlier text, later text, outcome text) LANGUAGE plpgsql AS $$
            DECLARE columns text := (SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
                WHERE attrelid = ('ald.' || subject)::regclass AND attnum > 0 AND attgenerated = '');
            BEGIN
                FOREACH earlier IN ARRAY '{""}'::text[] || statuses LOOP
                    FOREACH later IN ARRAY statuses LOOP
                        CONTINUE WHEN earlier = later;
                        BEGIN
                            outcome := 'accepted';
                            SET LOCAL session_replication_role = replica;
                            EXECUTE format('DELETE FROM ald.%I WHERE machine_id = 1', subject);
                            EXECUTE sound;
                            EXECUTE format('UPDATE ald.%I SET %s WHERE machine_id = 1', subject,
                                replace(shape, '?', quote_literal(coalesce(nullif(earlier, ''), later))));
                            EXECUTE format('CREATE TEMP TABLE shaped AS SELECT * FROM ald.%I WHERE machine_id = 1',
                                subject);
                            IF earlier = '' THEN
                                EXECUTE format('DELETE FROM ald.%I WHERE machine_id = 1', subject);
                            END IF;
                            SET LOCAL session_replication_role = origin;
                            IF earlier = '' THEN
                                EXECUTE format('INSERT INTO ald.%I (%s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM shaped',
                                    subject, columns);
                            ELSE
                                EXECUTE format('UPDATE ald.%I SET %s WHERE machine_id = 1', subject,
                                    replace(shape, '?', quote_literal(later)));
                            END IF;
                            RAISE EXCEPTION USING ERRCODE = 'ZZ000';
                        EXCEPTION WHEN SQLSTATE 'ZZ000' THEN NULL; WHEN OTHERS THEN outcome := SQLSTATE;
                        END;
                        RETURN NEXT;
                    END LOOP;
                END LOOP;
            END $$;
            """

        @Test func onlyLegalChangesAreAccepted() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(SchemaDatabase.plant + Self.tries)
                for subject in Self.subjects { try await Self.check(subject, connection) }
            }
        }

        private static func check(_ subject: Subject, _ connection: PostgresConnection) async throws {
            let outcomes = try await connection.query(
                "SELECT * FROM pg_temp.tries($1, string_to_array($2, ','), $3, $4)",
                [.text(subject.table), .text(subject.statuses), .text(subject.row), .text(subject.shape)],
                deadline: .patience)
            var accepted: Set<String> = []
            for row in outcomes {
                let change = "\(try row.decode(0, as: String.self))>\(try row.decode(1, as: String.self))"
                let outcome = try row.decode(2, as: String.self)
                if outcome == "accepted" { accepted.insert(change) }
                #expect(["accepted", "AL010", "AL011"].contains(outcome), "\(subject.table) \(change): \(outcome)")
            }
            let count = subject.statuses.split(separator: ",").count
            #expect(outcomes.count == count * count, "\(subject.table)")
            #expect(accepted == subject.legal, "\(subject.table)")
        }
    }
}
