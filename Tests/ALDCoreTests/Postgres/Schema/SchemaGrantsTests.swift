import Testing

@testable import ALDCore

extension SchemaServerTests {
    /// Every table, view, sequence and function of the schema with the rights that somebody has on it.
    @Suite struct SchemaGrants {
        /// Who has which right on what. `everybody` is each of the seven roles, `people` are operator, reader and auditor,
        /// `terminals` are collector, recipes and commands. What belongs to nobody but the schema's owner stands in the
        /// last line: so that whoever adds something has to say who may use it. A line that begins with spaces continues
        /// the one before.
        static let rights = """
            everybody EXECUTE: ald.current_member() ald.my_machines()
            everybody SELECT: ald.component_definitions ald.component_parameters ald.machine_components
              ald.machine_health ald.machines ald.schema_migrations ald.terminal_instances
            people EXECUTE: ald.parameter_series() ald.transaction_id() ald_history.requeue_claim()
            people SELECT: ald.collection_gaps ald.dead_letter_events ald.dead_letters ald.ingest_batches
              ald.parameter_rollup_1d ald.parameter_rollup_1h ald.parameter_rollup_5m ald.parameter_value_history
              ald.process_data_points ald.process_progress ald.set_point_changes ald.terminal_health_history ald_history.collection_gaps
              ald_history.dead_letter_events ald_history.dead_letters ald_history.ingest_batches
              ald_history.ingest_origins ald_history.late_values ald_history.parameter_value_history
              ald_history.process_data_points ald_history.retention ald_history.rollup_1d ald_history.rollup_1h
              ald_history.rollup_5m
            terminals EXECUTE: ald.has_successor() ald.heartbeat() ald.register_terminal() ald.report_health()
              ald.stop_terminal()
            terminals INSERT: ald.machine_health
            terminals INSERT (environment, heartbeat_seconds, hostname, machine_id, os_pid, terminal, version):
              ald.terminal_instances
            terminals UPDATE: ald.machine_health
            terminals UPDATE (commands_processed, ended_at, errors, last_error, last_error_at, last_heartbeat_at,
              status, status_reason): ald.terminal_instances
            terminals UPDATE (set_value): ald.component_parameters
            auditor EXECUTE: ald.audit_hash() ald.require_chains() ald.verify_audit()
            auditor SELECT: ald.audit_chain_heads ald.audit_log
            collector EXECUTE: ald.apply_history_batch() ald.await_history_partitions() ald.record_cycle() ald.synchronise_set_points()
            collector,recipes EXECUTE: ald.apply_dead_letter_batch() ald.apply_gap_batch()
              ald.apply_process_event_batch() ald.cut_obstacle() ald.forget_batches() ald.missing_batches()
              ald.void_batch()
            collector,maintainer EXECUTE: ald.ensure_history_partitions() ald.maintain() ald.maintenance_plan()
            collector,operator,reader,auditor,maintainer EXECUTE: ald.upkeep()
            collector,recipes,commands,maintainer EXECUTE: ald.detect_dead_terminals() ald.reachable_since()
            collector,recipes,commands,operator,reader,auditor SELECT: ald.machine_state ald.process_executions
            commands EXECUTE: ald.adopt_parameter_commands() ald.begin_parameter_command() ald.begin_parameter_commands()
              ald.expire_parameter_commands() ald.finish_parameter_command() ald.hold_machine_state()
              ald.finish_parameter_commands() ald.release_parameter_command() ald.renew_parameter_command()
              ald.retake_parameter_commands() ald.take_parameter_commands()
            commands UPDATE (actual_value, adopted, attempts, claimed_at, claimed_by, error, executing_at, finished_at,
              lease_until, status, verified_at, written_at): ald.parameter_control_commands
            commands,operator,reader,auditor EXECUTE: ald.command_problem() ald.is_valve() ald.milliseconds()
              ald.running_recipe()
            commands,operator,reader,auditor SELECT: ald.parameter_command_traces ald.parameter_control_commands
            maintainer EXECUTE: ald.prune_ledger()
            maintainer UPDATE (ended_at, status, status_reason): ald.terminal_instances
            operator DELETE: ald.machine_idle_condition_items ald.machine_idle_conditions ald.recipe_steps
              ald.recipe_versions
            operator EXECUTE: ald.cancel_parameter_command() ald.cancel_recipe_command()
              ald.change_parameter_limits() ald.discard_dead_letter() ald.import_dead_letter()
              ald.reopen_dead_letter() ald.request_parameter_command() ald.request_recipe_command()
              ald.requeue_dead_letter() ald.revise_dead_letter()
            operator INSERT: ald.machine_idle_condition_items ald.machine_idle_conditions ald.recipe_steps
            operator INSERT (created_by, description, machine_id, name): ald.recipes
            operator INSERT (created_by, machine_id, note, recipe_id, version): ald.recipe_versions
            operator INSERT (kind, machine_id, not_after, process_id, reason, recipe_id, recipe_version, request_id,
              requested_by): ald.recipe_commands
            operator INSERT (machine_id, not_after, parameter_id, reason, request_id, requested_by, target_value):
              ald.parameter_control_commands
            operator UPDATE: ald.machine_idle_condition_items ald.machine_idle_conditions ald.recipe_steps
            operator UPDATE (description, name): ald.recipes
            operator UPDATE (failed_component, failure, status): ald.machine_state
            operator UPDATE (note, released_by, status): ald.recipe_versions
            recipes EXECUTE: ald.adopt_recipe_commands() ald.begin_process() ald.begin_recipe_command() ald.claim_recipe_commands()
              ald.expire_recipe_commands() ald.finish_recipe_command() ald.release_recipe_command()
              ald.renew_recipe_command() ald.take_recipe_command()
            recipes INSERT: ald.process_execution_state ald.recipe_execution_audit
            recipes INSERT (command_id, description, machine_id, operator, parameters, recipe_id, recipe_version,
              status): ald.process_executions
            recipes UPDATE: ald.process_execution_state
            recipes UPDATE (adopted, attempts, claimed_at, claimed_by, error, executing_at, finished_at, lease_until,
              status): ald.recipe_commands
            recipes UPDATE (description, ended_at, error, parameters, status): ald.process_executions
            recipes,auditor SELECT: ald.recipe_execution_audit
            recipes,commands,operator,reader,auditor EXECUTE: ald.value_problem()
            recipes,commands,operator,reader,auditor SELECT: ald.component_parameter_values
              ald.component_parameters_full ald_history.current_readings
            recipes,operator,reader,auditor EXECUTE: ald.recipe_digest() ald.recipe_obstacle() ald.recipe_problems()
            recipes,operator,reader,auditor SELECT: ald.machine_idle_condition_items ald.machine_idle_conditions
              ald.process_events ald.process_execution_state ald_history.process_events ald.recipe_commands ald.recipe_steps ald.recipe_versions ald.recipes
              ald.step_execution_history
            nobody: ald.apply_grants() ald.audit_change() ald.audit_context() ald.audit_table() ald.chain_row()
              ald.check_command() ald.check_process() ald.check_recipe_command() ald.check_recipe_version()
              ald.check_set_value() ald.component_definitions_definition_id_seq 
              ald.create_machine_state() ald.follow_process() ald.machine_idle_conditions_condition_id_seq
              ald.machine_members ald.note_context() ald.notify_command()
              ald.parameter_control_commands_command_id_seq ald.process_executions_process_id_seq
              ald.protect_table() ald.recipe_commands_command_id_seq ald.recipes_recipe_id_seq ald.record_health()
              ald.refuse_change() ald.refuse_illegal_transition() ald.refuse_other_identity()
              ald.refuse_released_steps() ald.refuse_revival() ald.require_machine() ald.role_grants
              ald.set_point_changes_change_id_seq ald.set_point_is_known() ald.set_point_is_ours() ald.stamp_since()
              ald.status_transitions ald.terminal_health_history_entry_id_seq
              ald.terminal_instances_instance_id_seq ald_history.act_for() ald_history.admit()
              ald_history.apply_retention()
              ald_history.as_rollup() ald_history.at_microseconds() ald_history.begin_copy()
              ald_history.claim_batch() ald_history.close_letter() ald_history.copy_obstacle()
              ald_history.drop_before()
              ald_history.ensure_partition() ald_history.finish_copy() ald_history.follow_event()
              ald_history.follow_operation() ald_history.follow_process() ald_history.follow_state()
              ald_history.follow_step() ald_history.has_before() ald_history.hold_letter()
              ald_history.insert_readings() ald_history.is_partition() ald_history.land_letter()
              ald_history.letter_evidence() ald_history.merge_current() ald_history.note_letter()
              ald_history.raw_floor() ald_history.read_float() ald_history.read_gap() ald_history.read_integer()
              ald_history.read_process_event() ald_history.read_reading() ald_history.read_text() ald_history.read_time() ald_history.refuse_future()
              ald_history.roll_up() ald_history.roll_up_late() ald_history.rollup_floors() ald_history.rollup_queue
              ald_history.take_turn() ald_history.take_turn_of_row() ald_history.write_letter()
              ald_history.write_rollup()
            """

        private static let groups = [
            "everybody": ["collector", "recipes", "commands", "operator", "reader", "auditor", "maintainer"],
            "people": ["operator", "reader", "auditor"], "terminals": ["collector", "recipes", "commands"],
        ]

        /// Each right as `role privilege: object`, and `nobody: object`.
        private static func stated() throws -> [String] {
            try rights.replacing("\n  ", with: " ").split(separator: "\n").flatMap { line -> [String] in
                let colon = try #require(line.firstRange(of: ": "))
                let words = line[..<colon.lowerBound].split(separator: " ", maxSplits: 1)
                let privilege = words.count > 1 ? " \(words[1])" : ""
                let roles = groups[String(words[0])] ?? words[0].split(separator: ",").map(String.init)
                let objects = line[colon.upperBound...].split(separator: " ")
                return roles.flatMap { role in objects.map { "\(role)\(privilege): \($0)" } }
            }
        }

        /// The same of the database, from its catalogue.
        private static let found = """
            WITH object AS (
                    SELECT c.relnamespace::regnamespace || '.' || c.relname AS name, c.oid, c.relacl AS acl,
                        'pg_class'::regclass AS kind
                    FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND NOT c.relispartition
                        AND c.relnamespace IN ('ald'::regnamespace, 'ald_history'::regnamespace)
                    UNION ALL
                    SELECT p.pronamespace::regnamespace || '.' || p.proname || '()', p.oid, p.proacl, 'pg_proc'::regclass
                    FROM pg_proc p WHERE p.pronamespace IN ('ald'::regnamespace, 'ald_history'::regnamespace)),
                granted AS (
                    SELECT name, a.grantee, a.privilege_type, NULL::text AS part FROM object, aclexplode(acl) a
                    UNION ALL
                    SELECT o.name, a.grantee, a.privilege_type, t.attname FROM object o
                    JOIN pg_attribute t ON t.attrelid = o.oid AND o.kind = 'pg_class'::regclass, aclexplode(t.attacl) a),
                known AS (
                    SELECT name, substr(r.rolname, 5) AS role, privilege_type
                        || coalesce(' (' || string_agg(part, ', ' ORDER BY part) || ')', '') AS privilege
                    FROM granted JOIN pg_roles r ON r.oid = grantee AND starts_with(r.rolname, 'ald_')
                    GROUP BY name, role, privilege_type, part IS NULL)
            SELECT k.role || ' ' || k.privilege || ': ' || k.name AS line FROM known k
            UNION ALL
            SELECT 'nobody: ' || o.name FROM object o WHERE NOT EXISTS (SELECT FROM known k WHERE k.name = o.name)
            """

        @Test func everyObjectIsListedWithExactlyItsRights() async throws {
            let stated = try Self.stated()
            #expect(Set(stated).count == stated.count, "something stands here twice")
            try await SchemaDatabase.with { connection, _ in
                let found = Set(try await connection.rows(Self.found))
                #expect(found.subtracting(stated).sorted() == [], "in the database and not listed here")
                #expect(Set(stated).subtracting(found).sorted() == [], "listed here and not in the database")
            }
        }

        /// A partition is reached through its table alone, so that nobody gets around the policies of that.
        @Test func nobodyHasARightOnAPartition() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept("SELECT ald.maintain()")
                let partitions = "FROM pg_class c WHERE c.relispartition AND c.relkind = 'r'"
                #expect(try await connection.rows("SELECT count(*) > 9 \(partitions)") == ["true"])
                #expect(
                    try await connection.rows(
                        "SELECT c.relname \(partitions) AND EXISTS (SELECT FROM aclexplode(c.relacl) a "
                            + "WHERE a.grantee <> c.relowner)") == [])
            }
        }
    }
}
