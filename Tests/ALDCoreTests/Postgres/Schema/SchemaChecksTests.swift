import Testing

@testable import ALDCore

extension SchemaServerTests {
    /// Every CHECK of the schema refuses a row, and the rows are otherwise sound.
    @Suite struct SchemaChecks {
        private static let rollup =
            "machine_id=1, parameter_id=1, bucket='2026-01-01', n_good=0, n_uncertain=0, n_bad=0, n=0, sum=0, sumsq=0"

        /// A sound row of every table: columns and their values. A line that begins with spaces continues the one before.
        static let rows = """
            audit_chain_heads: chain='x', machine_id=1, seq=0, hash=sha256('')
            audit_log: machine_id=1, seq=1, action='INSERT', table_name='t', row_key='{}', new_values='{}',
              previous_hash='', row_hash=''
            collection_gaps: machine_id=1, first_missed_at=now(), last_missed_at=now(), instants=1,
              cause='plc', detail=''
            component_definitions: name='n', kind='pump'
            component_parameters: machine_id=1, parameter_id=90, component='c', name='n', data_type='float',
              min_value=0, max_value=1, read_location='r'
            current_readings: machine_id=90, newest_at=now(), parameter_ids='{1}', sampled_at='{2026-01-01}',
              readings='{1}', qualities='{192}'
            dead_letter_events: machine_id=1, origin=1, batch_number=1, row_number=0, event_number=1, event='requeued',
              operator='o', reason='r', revision=0
            dead_letters: machine_id=1, origin=1, batch_number=1, row_number=0, format=1, payload='',
              recorded_at=now(), refused_at=now(), attempts=1, message='m'
            ingest_batches: machine_id=1, origin=1, batch_number=1, row_count=1, sha256=sha256('')
            ingest_origins: machine_id=1, origin=1, low_water=1
            late_values: machine_id=1, parameter_id=1, sampled_at='2026-01-01', value=1, quality=192
            machine_components: machine_id=1, name='n'
            machine_health: machine_id=1, terminal='terminal1', plc_connected=false, bell_connected=false
            machine_idle_condition_items: machine_id=1, condition_id=1, parameter_id=1, check_kind='range',
              min_value=0, max_value=1
            machine_idle_conditions: machine_id=1, name='n'
            machine_members: member='m', machine_id=1
            machine_state: machine_id=90
            machines: machine_id=90, name='n'
            parameter_control_commands: machine_id=1, parameter_id=1, target_value=1
            parameter_value_history: machine_id=1, parameter_id=1, sampled_at='2026-01-01', value=1, quality=192
            process_data_points: machine_id=1, parameter_id=1, process_id=1, sampled_at='2026-01-01', value=1,
              quality=192
            process_events: machine_id=1, seq=1, process_id=1, event_number=1, happened_at=now(), kind='note', origin=1,
              batch_number=1, row_number=0, previous_hash='', row_hash=''
            process_execution_state: machine_id=1, process_id=90, total_steps=1
            process_executions: machine_id=90, operator='o'
            recipe_commands: machine_id=1, kind='start', recipe_id=1, recipe_version=1
            recipe_execution_audit: machine_id=1, seq=90, process_id=1, operation=1, event='initiated',
              kind='valve', step_id=1, parameter_id=1, target_value=1, previous_hash='', row_hash=''
            recipe_steps: machine_id=1, recipe_id=1, version=90, step_id=1, position=1, kind='wait', duration_ms=1
            recipe_versions: machine_id=1, recipe_id=1, version=90
            recipes: machine_id=1, name='n'
            retention: raw_days=7
            role_grants: role='ald_x', privileges='p', object='o'
            rollup_1d: \(rollup)
            rollup_1h: \(rollup)
            rollup_5m: \(rollup)
            rollup_queue: machine_id=1, bucket='2026-01-01'
            schema_migrations: version=90, name='n', checksum=sha256('')
            set_point_changes: machine_id=1, change_id=1, parameter_id=1, value=1
            status_transitions: subject='s', from_status='a', to_status='b'
            step_execution_history: machine_id=1, process_id=1, occurrence=90, step_id=1, loop_iterations='{}'
            terminal_health_history: machine_id=1, instance_id=1, new_status='starting', reason=''
            terminal_instances: machine_id=90, terminal='terminal1', hostname='h', os_pid=1, version='v'
            """

        /// What is refused, by which CHECK: what differs from the sound row of its table. A name that several tables have
        /// stands with its table.
        static let refused = """
            audit_chain_heads_hash_check: hash=''
            audit_chain_heads_seq_check: seq=-1
            audit_log_action_check: action='TRUNCATE', old_values='{}'
            audit_log_machine_id_check: machine_id=-1
            audit_log_values: old_values='{}'
            audit_log_values: action='DELETE', old_values='{}'
            audit_log_values: action='UPDATE'
            collection_gaps_cause_check: cause='x'
            collection_gaps_check: last_missed_at=now() - interval '1 s'
            collection_gaps_instants_check: instants=0
            component_definitions_kind_check: kind='x'
            component_definitions_name_check: name=''
            component_parameters_check: min_value=2
            component_parameters_component_check: component=''
            component_parameters_data_type_check: data_type='text'
            component_parameters_limits_are_finite: min_value='NaN', max_value='NaN'
            component_parameters_limits_are_finite: max_value='NaN'
            component_parameters_limits_are_finite: max_value='Infinity'
            component_parameters_limits_are_finite: min_value='-Infinity'
            component_parameters_name_check: name=''
            component_parameters_parameter_id_check: parameter_id=0
            component_parameters_readback_tolerance_check: readback_tolerance=-1
            component_parameters_readback_tolerance_check: readback_tolerance='NaN'
            component_parameters_scale_factor_check: scale_factor=0
            component_parameters_scale_factor_check: scale_factor='Infinity'
            component_parameters_scale_offset_check: scale_offset='NaN'
            component_parameters_setpoint_tolerance_check: setpoint_tolerance='Infinity'
            component_parameters_set_value_check: set_value='NaN'
            current_readings_parallel: readings='{1,2}'
            current_readings_parallel: qualities='{}'
            dead_letter_events_by_name: operator=''
            dead_letter_events_by_name: reason=NULL
            dead_letter_events_event_check: event='lost'
            dead_letter_events_event_number_check: event_number=0
            dead_letter_events_refused: event='refused'
            dead_letter_events_refused: evidence='{}'
            dead_letter_events_revised: event='revised'
            dead_letter_events_revised: payload=''
            dead_letter_events_revision_check: revision=-1
            dead_letters_closed: state='requeued'
            dead_letters_closed: closed_at=now()
            dead_letters_discarded_by_name: state='discarded', closed_at=now(), operator='o'
            dead_letters_discarded_by_name: state='discarded', closed_at=now(), reason='r', operator=''
            dead_letters_revised: revision=1
            dead_letters_revised: revised_payload=''
            dead_letters_revision_check: revision=-1, revised_payload=''
            dead_letters_row_number_check: row_number=-1
            dead_letters_state: state='lost', closed_at=now()
            ingest_batches_cut: cut_origin=1
            ingest_batches_cut: cut='halves'
            ingest_batches_row_count_check: row_count=-1
            ingest_batches_sha256_check: sha256='x'
            ingest_batches_span: first_at=now(), last_at=now() - interval '1 s'
            late_values_quality_check: quality=1
            late_values_sampled_at_check: sampled_at='infinity'
            late_values.value_present_unless_bad: quality=0
            late_values.value_present_unless_bad: value=NULL
            machine_components_name_check: name=''
            machine_health_plc: plc_connected=true
            machine_health_plc: plc_connected=true, plc_connected_at=now(), plc_error='x'
            machine_health_plc_error_check: plc_error=''
            machine_health_plc_reconnects_check: plc_reconnects=-1
            machine_health_terminal_check: terminal='terminal4'
            machine_idle_condition_items_bounds: min_value=NULL, max_value=NULL
            machine_idle_condition_items_bounds: min_value=2
            machine_idle_condition_items_bounds: check_kind='on'
            machine_idle_condition_items_check_kind_check: check_kind='x', min_value=NULL, max_value=NULL
            machine_idle_condition_items_max_value_check: max_value='NaN'
            machine_idle_condition_items_min_value_check: min_value='-Infinity'
            machine_idle_conditions_name_check: name=''
            machine_members_member_check: member=''
            machine_state_failure: failure='x'
            machine_state_failure: status='error'
            machine_state_failure: failed_component='x'
            machine_state_failure_check: status='error', failure=''
            machine_state_process: status='processing'
            machine_state_process: process_id=1
            machine_state_status_check: status='IDLE'
            machine_state_status_check: status='Idle'
            machines_machine_id_check: machine_id=0
            machines_name_check: name=''
            parameter_control_commands_actual_value_check: actual_value='NaN'
            parameter_control_commands_attempts_check: attempts=6
            parameter_control_commands_claim: claimed_by='w'
            parameter_control_commands_claim: status='claimed'
            parameter_control_commands_claim: status='cancelled', finished_at=now(), error='x', lease_until=now()
            parameter_control_commands_claimed_by_check: status='claimed', claimed_by='', lease_until=now(),
              claimed_at=now()
            parameter_control_commands_deadline: not_after=now() - interval '1 s'
            parameter_control_commands_deadline: not_after=now() + interval '2 days'
            parameter_control_commands_end: finished_at=now()
            parameter_control_commands_end: error='x'
            parameter_control_commands_end: status='expired', finished_at=now()
            parameter_control_commands_end: status='cancelled', error='x'
            parameter_control_commands_error_check: status='expired', finished_at=now(), error=''
            parameter_control_commands_execution: executing_at=now()
            parameter_control_commands_execution: status='succeeded', finished_at=now()
            parameter_control_commands_execution: status='unknown', finished_at=now(), error='x'
            parameter_control_commands_requested_by_check: requested_by=''
            parameter_control_commands_status_check: status='done', finished_at=now(), error='x'
            parameter_control_commands_target_value_check: target_value='NaN'
            parameter_control_commands_target_value_check: target_value='Infinity'
            parameter_control_commands_trace: written_at=now()
            parameter_control_commands_trace: status='failed', finished_at=now(), error='x',
              executing_at=now(), verified_at=now()
            parameter_value_history_quality_check: quality=1
            parameter_value_history.value_present_unless_bad: quality=0
            parameter_value_history.value_present_unless_bad: value=NULL
            process_data_points_quality_check: quality=1
            process_data_points.value_present_unless_bad: quality=0
            process_data_points.value_present_unless_bad: value=NULL
            process_events_details_check: details='[]'
            process_events_event_number_check: event_number=0
            process_events_happened_at_check: happened_at='infinity'
            process_events_kind_check: kind='Note'
            process_events_kind_check: kind=''
            process_events_loop_iterations_check: loop_iterations='{1,1,1,1,1,1,1,1,1}'
            process_events_loop_iterations_check: loop_iterations='{0}'
            process_events_row_number_check: row_number=-1
            process_events_step_id_check: step_id=0
            process_execution_state_completed_steps_check: completed_steps=-1
            process_execution_state_loop_iterations_check: step_id=1, loop_iterations='{1,1,1,1,1,1,1,1,1}'
            process_execution_state_loop_iterations_check: step_id=1, loop_iterations='{0}'
            process_execution_state_place: loop_iterations='{1}'
            process_execution_state_progress: completed_steps=2
            process_execution_state_progress: total_steps=-1
            process_execution_state_step_id_check: step_id=0
            process_executions_end: ended_at=now()
            process_executions_end: status='completed'
            process_executions_error: status='failed', ended_at=now()
            process_executions_error: error='x'
            process_executions_error_check: status='failed', ended_at=now(), error=''
            process_executions_interlocked_valves_check: interlocked_valves='{0}'
            process_executions_operator_check: operator=''
            process_executions_parameters_check: parameters='[]'
            process_executions_recipe: recipe_id=1
            process_executions_recipe: command_id=1
            process_executions_status_check: status='stopped', ended_at=now()
            recipe_commands_attempts_check: attempts=-1
            recipe_commands_claim: claimed_by='w'
            recipe_commands_claimed_by_check: status='claimed', claimed_by='', lease_until=now(), claimed_at=now()
            recipe_commands_deadline: not_after=now() - interval '1 s'
            recipe_commands_end: finished_at=now()
            recipe_commands_error_check: status='expired', finished_at=now(), error=''
            recipe_commands_execution: executing_at=now()
            recipe_commands_kind_check: kind='abort', recipe_id=NULL, recipe_version=NULL, process_id=1
            recipe_commands_object: recipe_id=NULL
            recipe_commands_object: process_id=1
            recipe_commands_object: kind='stop', recipe_id=NULL, recipe_version=NULL
            recipe_commands_requested_by_check: requested_by=''
            recipe_commands_status_check: status='completed', finished_at=now(), error='x'
            recipe_execution_audit_actual_value_check: actual_value='NaN'
            recipe_execution_audit_attempts_check: attempts=-1
            recipe_execution_audit_error: error='x'
            recipe_execution_audit_error: event='failed'
            recipe_execution_audit_error_check: event='failed', error=''
            recipe_execution_audit_event_check: event='x'
            recipe_execution_audit_kind_check: kind='x'
            recipe_execution_audit_loop_iterations_check: loop_iterations='{-1}'
            recipe_execution_audit_object: parameter_id=NULL
            recipe_execution_audit_object: kind='wait', step_id=NULL
            recipe_execution_audit_operation_check: operation=0
            recipe_execution_audit_step_id_check: step_id=0
            recipe_execution_audit_target_value_check: target_value='Infinity'
            recipe_execution_audit_verification: kind='wait', parameter_id=NULL, verification='matched'
            recipe_execution_audit_verification_check: verification='x'
            recipe_execution_audit_write: write_ended_at=now()
            recipe_execution_audit_write: write_started_at=now(), write_ended_at=now() - interval '1 ms'
            recipe_steps_depth: depth=1
            recipe_steps_depth: depth=9, parent_step_id=1
            recipe_steps_depth: depth=8, parent_step_id=1, kind='loop', iterations=1, duration_ms=NULL
            recipe_steps_depth: parent_step_id=1
            recipe_steps_duration_ms_check: duration_ms=0
            recipe_steps_duration_ms_check: duration_ms=86400001
            recipe_steps_gas_check: kind='purge', gas=''
            recipe_steps_hold_ms_check: kind='parameter', parameter_id=1, target_value=1, duration_ms=NULL,
              hold_ms=-1
            recipe_steps_iterations_check: kind='loop', duration_ms=NULL, iterations=0
            recipe_steps_kind_check: kind='set parameter'
            recipe_steps_kind_check: kind='Valve'
            recipe_steps_position_check: position=0
            recipe_steps_ramp_per_second_check: kind='parameter', parameter_id=1, target_value=1,
              duration_ms=NULL, hold_ms=0, ramp_per_second=0
            recipe_steps_shape: duration_ms=NULL
            recipe_steps_shape: kind='valve'
            recipe_steps_shape: kind='valve', parameter_id=1, duration_ms=NULL
            recipe_steps_shape: kind='purge'
            recipe_steps_shape: kind='purge', gas='N2', target_value=1
            recipe_steps_shape: kind='parameter', parameter_id=1, duration_ms=NULL, hold_ms=0
            recipe_steps_shape: kind='loop', duration_ms=NULL
            recipe_steps_shape: kind='loop', iterations=1
            recipe_steps_step_id_check: step_id=0
            recipe_steps_target_value_check: kind='parameter', parameter_id=1, duration_ms=NULL, hold_ms=0,
              target_value='NaN'
            recipe_versions_created_by_check: created_by=''
            recipe_versions_release_is_signed: status='released'
            recipe_versions_release_is_signed: released_by='x'
            recipe_versions_released_by_check: status='released', released_by='', released_at=now(),
              steps_sha256=sha256('')
            recipe_versions_status_check: status='x', released_by='x', released_at=now(), steps_sha256=sha256('')
            recipe_versions_steps_sha256_check: status='released', released_by='x', released_at=now(),
              steps_sha256=''
            recipe_versions_version_check: version=0
            recipes_created_by_check: created_by=''
            recipes_name_check: name=''
            retention_check: raw_days=40
            retention_check: five_minute_days=400
            retention_check1: five_minute_floor='2026-01-01'
            retention_check1: hour_floor='2026-01-02', five_minute_floor='2026-01-01', raw_floor='2026-01-03'
            retention_five_minute_days_check: raw_days=1, five_minute_days=1
            retention_hour_days_check: hour_days=40000
            retention_ledger: ledger='47 hours'
            retention_only_row_check: only_row=false
            retention_raw_days_check: raw_days=1
            retention_unreconciled_check: unreconciled='-1 s'
            role_grants_object_check: object=''
            role_grants_privileges_check: privileges=''
            role_grants_role_check: role='ald_x; DROP'
            schema_migrations_checksum_check: checksum='x'
            status_transitions_check: to_status='a'
            status_transitions_check: to_status=''
            set_point_changes_previous_value_check: previous_value='NaN'
            set_point_changes_problem_check: problem=''
            set_point_changes_value_check: value='Infinity'
            step_execution_history_end: ended_at=now()
            step_execution_history_end: outcome='failed'
            step_execution_history_occurrence_check: occurrence=0
            step_execution_history_outcome_check: outcome='x', ended_at=now()
            terminal_instances_commands_processed_check: commands_processed=-1
            terminal_instances_end: ended_at=now()
            terminal_instances_end: status='crashed'
            terminal_instances_environment_check: environment='simulation'
            terminal_instances_errors_check: errors=-1
            terminal_instances_heartbeat_seconds_check: heartbeat_seconds=0
            terminal_instances_hostname_check: hostname=''
            terminal_instances_last_error: last_error='x'
            terminal_instances_last_error: last_error_at=now()
            terminal_instances_last_error_check: last_error='', last_error_at=now()
            terminal_instances_os_pid_check: os_pid=0
            terminal_instances_status_check: status='dead'
            terminal_instances_terminal_check: terminal='terminal0'
            """

        struct Line {
            var name: String
            var columns: [(String, String)]

            static func parse(_ text: String) -> [Line] {
                text.replacing("\n  ", with: " ").split(separator: "\n").compactMap { line in
                    guard let colon = line.firstRange(of: ": ") else { return nil }
                    let columns = line[colon.upperBound...].split(separator: /, (?=[a-z_0-9]+=)/).map { column in
                        let parts = column.split(separator: "=", maxSplits: 1)
                        return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
                    }
                    return Line(name: String(line[..<colon.lowerBound]), columns: columns)
                }
            }
        }

        static func insert(_ table: String, _ row: [(String, String)], with others: [(String, String)] = []) -> String {
            let values = Dictionary(row + others) { $1 }.sorted { $0.key < $1.key }
            return "INSERT INTO \(table) (\(values.map(\.key).joined(separator: ", "))) OVERRIDING SYSTEM VALUE "
                + "VALUES (\(values.map(\.value).joined(separator: ", ")))"
        }

        private static let schemas = "('ald'::regnamespace, 'ald_history'::regnamespace)"

        /// The name of every CHECK as it stands above, and its table.
        private static func checks(_ connection: PostgresConnection) async throws -> [String: String] {
            let found = try await connection.query(
                """
                SELECT CASE WHEN count(*) OVER (PARTITION BY o.conname) > 1 THEN c.relname || '.' ELSE '' END || o.conname,
                    c.relname::text
                FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid
                WHERE o.contype = 'c' AND o.connamespace IN \(schemas) AND NOT c.relispartition
                """, deadline: .patience)
            var checks: [String: String] = [:]
            for row in found { checks[try row.decode(0, as: String.self)] = try row.decode(1, as: String.self) }
            return checks
        }

        /// Every table by its name alone, with its schema.
        private static func places(_ connection: PostgresConnection) async throws -> [String: String] {
            let found = try await connection.query(
                "SELECT relname::text, oid::regclass::text FROM pg_class WHERE relnamespace IN \(schemas) "
                    + "AND relkind IN ('r', 'p') AND NOT relispartition", deadline: .patience)
            var places: [String: String] = [:]
            for row in found { places[try row.decode(0, as: String.self)] = try row.decode(1, as: String.self) }
            #expect(places.count == found.count, "a name stands for two tables")
            return places
        }

        @Test func everyCheckRefusesARowThatIsOtherwiseSound() async throws {
            try await SchemaDatabase.with { connection, _ in
                try await connection.accept(
                    """
                    SELECT ald.ensure_history_partitions('2026-01-01', 1),
                        ald_history.ensure_partition('rollup_5m', '2026-01-01', false),
                        ald_history.ensure_partition('rollup_1h', '2026-01-01', true);
                    DELETE FROM ald_history.retention
                    """)
                // Without triggers and foreign keys the checks alone decide.
                try await connection.accept("SET session_replication_role = replica")
                let (checks, places) = (try await Self.checks(connection), try await Self.places(connection))
                let rows = Line.parse(Self.rows)
                #expect(Set(rows.map(\.name)) == Set(places.keys), "every table has a sound row here")
                for row in rows {
                    let place = try #require(places[row.name])
                    let refusal = try await connection.refusal(of: Self.insert(place, row.columns))
                    #expect(refusal == nil, "\(row.name)")
                }
                let byTable = Dictionary(uniqueKeysWithValues: rows.map { ($0.name, $0.columns) })
                let refused = Line.parse(Self.refused)
                for line in refused {
                    let table = try #require(checks[line.name], "no CHECK is called \(line.name)")
                    let row = try #require(byTable[table])
                    let statement = Self.insert(try #require(places[table]), row, with: line.columns)
                    let refusal = try await connection.refusal(of: statement)
                    let constraint = line.name.split(separator: ".").last.map(String.init)
                    #expect(refusal?.state == "23514" && refusal?.constraint == constraint, "\(statement)")
                }
                #expect(Set(refused.map(\.name)) == Set(checks.keys), "every CHECK refuses something here")
            }
        }
    }
}
