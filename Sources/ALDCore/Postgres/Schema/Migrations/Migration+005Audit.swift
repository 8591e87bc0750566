extension Migration {
    /// Who belongs to which machine, and the record of who changed what.
    static let auditScript = """
        COMMENT ON TABLE ald.schema_migrations IS
            'What was done to this schema, in order; kept by ald database migrate.';
        COMMENT ON COLUMN ald.schema_migrations.checksum IS
            'SHA-256 of the script; null where it was applied before they were kept.';

        CREATE TABLE ald.machine_members (
            member text NOT NULL CHECK (member <> ''),
            machine_id int REFERENCES ald.machines ON DELETE CASCADE,
            UNIQUE NULLS NOT DISTINCT (member, machine_id)
        );
        COMMENT ON TABLE ald.machine_members IS
            'Who sees which machine, on top of what their role may do. Who owns the schema sees all.';
        COMMENT ON COLUMN ald.machine_members.member IS
            'Name of the login role; for people who come through a REST gateway, the subject of their token.';
        COMMENT ON COLUMN ald.machine_members.machine_id IS 'Null: every machine.';

        -- A token counts only where the gateway has checked it: anybody can set the setting in a session of their own.
        CREATE FUNCTION ald.current_member() RETURNS text
        LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
            SELECT CASE WHEN session_user = 'authenticator'
                THEN nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub' ELSE session_user END
        $$;
        COMMENT ON FUNCTION ald.current_member IS 'Whom machine_members calls a member.';

        CREATE FUNCTION ald.my_machines() RETURNS SETOF int
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            WITH mine AS (SELECT b.machine_id FROM ald.machine_members b WHERE b.member = ald.current_member())
            SELECT machine_id FROM mine WHERE machine_id IS NOT NULL
            UNION SELECT m.machine_id FROM ald.machines m WHERE EXISTS (SELECT FROM mine WHERE machine_id IS NULL)
            UNION SELECT 0 WHERE EXISTS (SELECT FROM mine WHERE machine_id IS NULL)
        $$;
        COMMENT ON FUNCTION ald.my_machines IS 'Machines whose rows are seen; 0 for what belongs to no machine.';

        CREATE FUNCTION ald.require_machine(p_machine_id int) RETURNS void
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF NOT EXISTS (SELECT FROM ald.my_machines() m WHERE m = p_machine_id)
                AND NOT pg_has_role(session_user, current_user, 'MEMBER')
            THEN
                RAISE EXCEPTION '% is no member of machine %', ald.current_member(), p_machine_id
                    USING ERRCODE = 'insufficient_privilege', HINT =
                        'Who owns the schema adds members to machine_members.';
            END IF;
        END $$;
        COMMENT ON FUNCTION ald.require_machine IS
            'What row-level security is to statements, for functions that run with their owner''s rights (42501).';

        CREATE FUNCTION ald.protect_table(p_table regclass) RETURNS void
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
            IF EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = p_table AND a.attname = 'machine_id')
                AND NOT (SELECT relispartition FROM pg_class WHERE oid = p_table)
            THEN
                EXECUTE format('CREATE POLICY members ON %s USING (machine_id IN (SELECT ald.my_machines()))', p_table);
            END IF;
        END $$;
        COMMENT ON FUNCTION ald.protect_table IS
            'Turns on row-level security: members see their machines'' rows. A partition is reached through its table '
            'alone.';

        -- Changes are written down when the transaction ends, when all its other locks are held: two transactions that
        -- change the same things in another order wait for each other there and nowhere else.
        CREATE TABLE ald.audit_log (
            machine_id int NOT NULL CHECK (machine_id >= 0),
            seq bigint NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            actor text NOT NULL DEFAULT session_user,
            acting_for text,
            reason text,
            application text,
            client inet DEFAULT inet_client_addr(),
            transaction_id bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
            action text NOT NULL CHECK (action IN ('INSERT', 'UPDATE', 'DELETE')),
            table_name text NOT NULL,
            row_key jsonb NOT NULL,
            old_values jsonb,
            new_values jsonb,
            previous_hash bytea NOT NULL,
            row_hash bytea NOT NULL,
            PRIMARY KEY (machine_id, seq),
            CONSTRAINT audit_log_values CHECK (
                (old_values IS NULL) = (action = 'INSERT') AND (new_values IS NULL) = (action = 'DELETE'))
        );
        CREATE INDEX ON ald.audit_log (machine_id, table_name, row_key);
        COMMENT ON TABLE ald.audit_log IS
            'Who changed what, when and why: commands, recipes, limits, processes and members; only added to.';
        COMMENT ON COLUMN ald.audit_log.machine_id IS '0: what belongs to no machine.';
        COMMENT ON COLUMN ald.audit_log.seq IS 'Numbers the machine''s entries from 1; given by a trigger.';
        COMMENT ON COLUMN ald.audit_log.actor IS 'The login.';
        COMMENT ON COLUMN ald.audit_log.acting_for IS
            'For whom, as the application says: the setting ald.acting_for, or the token''s subject.';
        COMMENT ON COLUMN ald.audit_log.reason IS 'The setting ald.reason, or the reason in the row.';
        COMMENT ON COLUMN ald.audit_log.old_values IS 'What was changed or deleted, as it was.';
        COMMENT ON COLUMN ald.audit_log.new_values IS 'What was changed or created, as it is.';
        CREATE TRIGGER no_change BEFORE UPDATE OR DELETE ON ald.audit_log
            FOR EACH ROW EXECUTE FUNCTION ald.refuse_change('entries are only added');
        CREATE TRIGGER no_truncate BEFORE TRUNCATE ON ald.audit_log
            FOR EACH STATEMENT EXECUTE FUNCTION ald.refuse_change('entries are only added');
        CREATE TRIGGER z_chain BEFORE INSERT ON ald.audit_log FOR EACH ROW EXECUTE FUNCTION ald.chain_row();

        -- the trigger's arguments are the columns of the key
        CREATE FUNCTION ald.audit_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres'
        SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
        DECLARE
            earlier jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
            later jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
            contents jsonb := coalesce(later, earlier);
            changed text[];
        BEGIN
            IF TG_OP = 'UPDATE' THEN
                SELECT array_agg(key) INTO changed FROM jsonb_each(later) WHERE earlier -> key IS DISTINCT FROM value;
                IF changed IS NULL THEN RETURN NULL; END IF;
                SELECT jsonb_object_agg(c, earlier -> c), jsonb_object_agg(c, later -> c) INTO earlier, later
                FROM unnest(changed) c;
            END IF;
            INSERT INTO ald.audit_log (machine_id, acting_for, reason, application, action, table_name, row_key,
                old_values, new_values)
            VALUES (coalesce((contents ->> 'machine_id')::int, 0),
                coalesce(nullif(current_setting('ald.acting_for', true), ''),
                    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'),
                coalesce(nullif(current_setting('ald.reason', true), ''), nullif(contents ->> 'reason', '')),
                nullif(current_setting('application_name', true), ''), TG_OP, TG_TABLE_NAME,
                (SELECT jsonb_object_agg(c, contents -> c) FROM unnest(TG_ARGV) c), earlier, later);
            RETURN NULL;
        END $$;
        COMMENT ON FUNCTION ald.audit_change IS 'Writes audit_log.';

        CREATE FUNCTION ald.audit_table(p_table regclass, p_key text[]) RETURNS void
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            arguments text := (SELECT string_agg(quote_literal(k), ', ') FROM unnest(p_key) k);
        BEGIN
            EXECUTE format('CREATE CONSTRAINT TRIGGER z_audit AFTER INSERT OR UPDATE OR DELETE ON %s '
                'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ald.audit_change(%s)', p_table, arguments);
            EXECUTE format('CREATE TRIGGER z_no_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
                'EXECUTE FUNCTION ald.refuse_change(''it would leave no trace'')', p_table);
        END $$;
        COMMENT ON FUNCTION ald.audit_table IS 'Has every change of a table written to audit_log.';
        SELECT ald.audit_table(t::regclass, k) FROM (VALUES
            ('ald.machines', '{machine_id}'::text[]),
            ('ald.machine_members', '{member,machine_id}'),
            ('ald.recipes', '{machine_id,recipe_id}'),
            ('ald.recipe_versions', '{machine_id,recipe_id,version}'),
            ('ald.recipe_steps', '{machine_id,recipe_id,version,step_id}'),
            ('ald.machine_idle_conditions', '{machine_id,condition_id}'),
            ('ald.machine_idle_condition_items', '{machine_id,condition_id,parameter_id}'),
            ('ald.recipe_commands', '{machine_id,command_id}'),
            ('ald.parameter_control_commands', '{machine_id,command_id}'),
            ('ald.process_executions', '{machine_id,process_id}'),
            ('ald.machine_state', '{machine_id}')) v(t, k);
        -- measured values and set points change every second; they have a history of their own
        CREATE CONSTRAINT TRIGGER z_audit AFTER INSERT OR DELETE OR UPDATE OF component, name, unit, data_type,
            min_value,
            max_value, read_location, write_location, write_protected, readback_tolerance, setpoint_tolerance,
                scale_factor,
            scale_offset ON ald.component_parameters DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION ald.audit_change('machine_id', 'parameter_id');
        CREATE TRIGGER z_no_truncate BEFORE TRUNCATE ON ald.component_parameters
            FOR EACH STATEMENT EXECUTE FUNCTION ald.refuse_change('it would leave no trace');

        CREATE FUNCTION ald.change_parameter_limits(
            p_machine_id int, p_parameter_id int, p_min_value float8, p_max_value float8, p_reason text
        ) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM ald.require_machine(p_machine_id);
            IF coalesce(p_reason, '') = '' THEN
                RAISE EXCEPTION 'limits are not changed without a reason' USING ERRCODE = 'invalid_parameter_value';
            END IF;
            PERFORM set_config('ald.reason', p_reason, true);
            UPDATE ald.component_parameters p SET min_value = p_min_value, max_value = p_max_value,
                updated_at = clock_timestamp()
            WHERE p.machine_id = p_machine_id AND p.parameter_id = p_parameter_id;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'machine % has no parameter %', p_machine_id, p_parameter_id
                    USING ERRCODE = 'no_data_found';
            END IF;
        END $$;
        COMMENT ON FUNCTION ald.change_parameter_limits IS 'Changes the limits of a parameter, with a reason.';

        CREATE FUNCTION ald.cancel_parameter_command(p_machine_id int, p_command_id bigint, p_reason text) RETURNS
        boolean
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM ald.require_machine(p_machine_id);
            UPDATE ald.parameter_control_commands c SET status = 'cancelled', error = p_reason, lease_until = NULL,
                finished_at = clock_timestamp()
            WHERE c.machine_id = p_machine_id AND c.command_id = p_command_id AND c.status IN ('pending', 'claimed');
            RETURN FOUND;
        END $$;
        COMMENT ON FUNCTION ald.cancel_parameter_command IS
            'Takes back a command; false: too late, it was begun or has ended.';

        CREATE FUNCTION ald.cancel_recipe_command(p_machine_id int, p_command_id bigint, p_reason text) RETURNS boolean
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM ald.require_machine(p_machine_id);
            UPDATE ald.recipe_commands c SET status = 'cancelled', error = p_reason, lease_until = NULL,
                finished_at = clock_timestamp()
            WHERE c.machine_id = p_machine_id AND c.command_id = p_command_id AND c.status IN ('pending', 'claimed');
            RETURN FOUND;
        END $$;
        COMMENT ON FUNCTION ald.cancel_recipe_command IS
            'Takes back a command; false: too late, it was begun or has ended.';

        -- implied by the other two
        ALTER TABLE ald.process_execution_state DROP CONSTRAINT process_execution_state_total_steps_check;
        """
}
