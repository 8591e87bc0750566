extension Migration {
    /// What each role may do, and row-level security on everything.
    static let rolesScript = """
        -- a partition is not protected by the policies of its table, and who collects may make the next day's
        CREATE OR REPLACE FUNCTION ald.ensure_history_partitions(first_day date, days int)
        RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE day date; partition text; created int := 0;
        BEGIN
            IF days < 1 OR days > 400 THEN
                RAISE EXCEPTION 'days is %, must be 1 to 400', days USING ERRCODE = 'invalid_parameter_value';
            END IF;
            PERFORM pg_advisory_xact_lock(hashtext('ald.ensure_history_partitions'));
            FOR offset_days IN 0 .. days - 1 LOOP
                day := first_day + offset_days;
                partition := 'parameter_value_history_' || to_char(day, 'YYYYMMDD');
                IF to_regclass(format('ald.%I', partition)) IS NULL THEN
                    EXECUTE format('CREATE TABLE ald.%I (LIKE ald.parameter_value_history INCLUDING ALL)', partition);
                    EXECUTE format('ALTER TABLE ald.%I ENABLE ROW LEVEL SECURITY', partition);
                    EXECUTE format(
                        'ALTER TABLE ald.parameter_value_history ATTACH PARTITION ald.%I FOR VALUES FROM (%L) TO (%L)',
                        partition, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
                    created := created + 1;
                END IF;
            END LOOP;
            RETURN created;
        END $$;

        CREATE TABLE ald.role_grants (
            role text NOT NULL CHECK (role ~ '^ald_[a-z]+$'),
            privileges text NOT NULL CHECK (privileges <> ''),
            object text NOT NULL CHECK (object <> ''),
            PRIMARY KEY (role, object, privileges)
        );
        COMMENT ON TABLE ald.role_grants IS 'What each role may do and nothing else; apply_grants makes it so.';
        COMMENT ON COLUMN ald.role_grants.privileges IS 'As GRANT takes them, for instance SELECT, INSERT (a, b).';
        COMMENT ON COLUMN ald.role_grants.object IS 'As GRANT takes it, for instance TABLE ald.machines.';

        -- Roles belong to the whole server, and who migrates one database may not be allowed to make them. What cannot
        -- be made is returned; once somebody has made it, calling this again gives it its rights.
        CREATE FUNCTION ald.apply_grants() RETURNS text[]
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            schemas text := (
                SELECT string_agg(nspname, ', ') FROM pg_namespace WHERE nspname IN ('ald', 'ald_history'));
            missing text[] := '{}';
            wanted text;
            item ald.role_grants;
        BEGIN
            -- Two at a time would change the same rows of the catalogue, which PostgreSQL refuses.
            PERFORM pg_advisory_xact_lock(hashtext('ald.grants'));
            EXECUTE format('REVOKE ALL ON SCHEMA %1$s FROM PUBLIC; '
                'REVOKE ALL ON ALL TABLES IN SCHEMA %1$s FROM PUBLIC; '
                'REVOKE ALL ON ALL SEQUENCES IN SCHEMA %1$s FROM PUBLIC; '
                'REVOKE ALL ON ALL ROUTINES IN SCHEMA %1$s FROM PUBLIC', schemas);
            FOR wanted IN SELECT DISTINCT g.role FROM ald.role_grants g ORDER BY 1 LOOP
                IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                    BEGIN
                        EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
                    EXCEPTION
                        WHEN duplicate_object OR unique_violation THEN NULL; -- another database has just made it
                        WHEN insufficient_privilege THEN
                            missing := missing || wanted;
                            CONTINUE;
                    END;
                END IF;
                EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %1$s FROM %2$I; '
                    'REVOKE ALL ON ALL ROUTINES IN SCHEMA %1$s FROM %2$I; GRANT USAGE ON SCHEMA %1$s TO %2$I',
                    schemas, wanted);
                FOR item IN SELECT * FROM ald.role_grants g WHERE g.role = wanted LOOP
                    EXECUTE format('GRANT %s ON %s TO %I', item.privileges, item.object, wanted);
                END LOOP;
            END LOOP;
            RETURN missing;
        END $$;
        COMMENT ON FUNCTION ald.apply_grants IS
            'Gives the roles what role_grants says, no more and no less, and PUBLIC nothing; returns the roles that '
            'are missing.';

        -- what every role may do: who, what, on which kind of object, and the objects of schema ald
        INSERT INTO ald.role_grants (role, privileges, object)
        SELECT 'ald_' || r, p, k || ' ald.' || o FROM (VALUES
            ('collector recipes commands operator reader auditor maintainer', 'SELECT', 'TABLE',
                'schema_migrations machines machine_components component_parameters component_definitions
                 terminal_instances machine_health'),
            ('collector recipes commands operator reader auditor maintainer', 'EXECUTE', 'FUNCTION',
                'my_machines current_member'),
            ('collector recipes commands operator reader auditor', 'SELECT', 'TABLE',
                'machine_state process_executions'),
            ('operator reader auditor', 'SELECT', 'TABLE',
                'machine_idle_conditions machine_idle_condition_items recipes recipe_versions recipe_steps
                 recipe_commands process_progress process_execution_state step_execution_history
                 parameter_control_commands terminal_health_history parameter_value_history collection_gaps'),
            ('operator reader auditor', 'EXECUTE', 'FUNCTION', 'recipe_problems recipe_digest command_problem'),
            ('auditor', 'SELECT', 'TABLE', 'audit_log recipe_execution_audit audit_chain_heads'),
            ('auditor', 'EXECUTE', 'FUNCTION', 'verify_audit audit_hash'),
            -- the three terminals
            ('collector recipes commands',
                'INSERT (machine_id, terminal, hostname, os_pid, version, environment, heartbeat_seconds)',
                'TABLE', 'terminal_instances'),
            ('collector recipes commands',
                'UPDATE (status, status_reason, last_heartbeat_at, ended_at, commands_processed, errors, last_error, '
                'last_error_at)', 'TABLE', 'terminal_instances'),
            ('collector recipes commands', 'INSERT, UPDATE', 'TABLE', 'machine_health'),
            ('collector recipes commands', 'EXECUTE', 'FUNCTION',
                'register_terminal heartbeat stop_terminal detect_dead_terminals report_health'),
            ('collector', 'INSERT', 'TABLE', 'parameter_value_history collection_gaps'),
            ('collector', 'SELECT, INSERT', 'TABLE', 'ingest_batches'),
            ('collector', 'EXECUTE', 'FUNCTION',
                'claim_batch apply_history_batch apply_gap_batch ensure_history_partitions'),
            ('recipes', 'SELECT', 'TABLE',
                'machine_idle_conditions machine_idle_condition_items recipes recipe_versions recipe_steps
                 recipe_commands step_execution_history'),
            ('recipes',
                'UPDATE (status, claimed_by, lease_until, attempts, claimed_at, executing_at, finished_at, error)',
                'TABLE', 'recipe_commands'),
            ('recipes',
                'INSERT (machine_id, recipe_id, recipe_version, command_id, operator, description, parameters, status)',
                'TABLE', 'process_executions'),
            ('recipes', 'UPDATE (status, ended_at, error, description, parameters)', 'TABLE', 'process_executions'),
            ('recipes', 'SELECT, INSERT, UPDATE', 'TABLE', 'process_execution_state'),
            ('recipes', 'SELECT, INSERT', 'TABLE', 'recipe_execution_audit'),
            ('recipes', 'EXECUTE', 'FUNCTION',
                'claim_recipe_commands expire_recipe_commands begin_recipe_command renew_recipe_command
                 release_recipe_command finish_recipe_command adopt_recipe_commands recipe_problems recipe_digest'),
            ('commands', 'SELECT', 'TABLE', 'parameter_control_commands'),
            ('commands',
                'UPDATE (status, claimed_by, lease_until, attempts, claimed_at, executing_at, finished_at, error, '
                'written_at, verified_at, actual_value)', 'TABLE', 'parameter_control_commands'),
            ('commands', 'EXECUTE', 'FUNCTION',
                'claim_parameter_commands expire_parameter_commands begin_parameter_command renew_parameter_command
                 release_parameter_command finish_parameter_command adopt_parameter_commands command_problem'),
            -- people
            ('operator', 'INSERT (machine_id, request_id, parameter_id, target_value, not_after, requested_by, reason)',
                'TABLE', 'parameter_control_commands'),
            ('operator',
                'INSERT (machine_id, request_id, kind, recipe_id, recipe_version, process_id, not_after, requested_by, '
                'reason)', 'TABLE', 'recipe_commands'),
            ('operator', 'INSERT (machine_id, name, description, created_by), UPDATE (name, description)', 'TABLE',
                'recipes'),
            ('operator', 'INSERT (machine_id, recipe_id, version, note, created_by)', 'TABLE', 'recipe_versions'),
            ('operator', 'UPDATE (status, note, released_by), DELETE', 'TABLE', 'recipe_versions'),
            ('operator', 'INSERT, UPDATE, DELETE', 'TABLE',
                'recipe_steps machine_idle_conditions machine_idle_condition_items'),
            ('operator', 'UPDATE (status, failure, failed_component)', 'TABLE', 'machine_state'),
            ('operator', 'EXECUTE', 'FUNCTION',
                'request_parameter_command cancel_parameter_command cancel_recipe_command change_parameter_limits'),
            ('maintainer', 'EXECUTE', 'FUNCTION', 'ensure_history_partitions detect_dead_terminals'),
            ('maintainer', 'UPDATE (status, status_reason, ended_at)', 'TABLE', 'terminal_instances')
        ) g(roles, p, k, objects), string_to_table(roles, ' ') r, regexp_split_to_table(objects, '[[:space:]]+') o;

        SELECT ald.protect_table(c.oid) FROM pg_class c
        WHERE c.relnamespace = 'ald'::regnamespace AND c.relkind IN ('r', 'p');
        CREATE POLICY everybody ON ald.schema_migrations FOR SELECT USING (true);
        CREATE POLICY everybody ON ald.component_definitions FOR SELECT USING (true);
        -- on Supabase these would otherwise keep what default privileges gave them
        DO $$
        DECLARE somebody text;
        BEGIN
            FOR somebody IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated', 'service_role') LOOP
                EXECUTE format('REVOKE ALL ON SCHEMA ald FROM %1$I; REVOKE ALL ON ALL TABLES IN SCHEMA ald FROM %1$I; '
                    'REVOKE ALL ON ALL ROUTINES IN SCHEMA ald FROM %1$I; '
                    'REVOKE ALL ON ALL SEQUENCES IN SCHEMA ald FROM %1$I', somebody);
            END LOOP;
        END $$;
        """
}
