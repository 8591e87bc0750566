extension Migration {
    /// Commands to write single values, what may be written, and how commands end.
    static let commandsScript = """
        CREATE TABLE ald.parameter_control_commands (
            machine_id int NOT NULL REFERENCES ald.machines,
            command_id bigint GENERATED ALWAYS AS IDENTITY,
            request_id uuid NOT NULL DEFAULT gen_random_uuid(),
            parameter_id int NOT NULL,
            target_value float8 NOT NULL CHECK (target_value > '-Infinity' AND target_value < 'Infinity'),
            written_at timestamptz,
            verified_at timestamptz,
            actual_value float8 CHECK (actual_value > '-Infinity' AND actual_value < 'Infinity'),
        \(commandColumns("parameter_control_commands")),
            FOREIGN KEY (machine_id, parameter_id) REFERENCES ald.component_parameters,
            CONSTRAINT parameter_control_commands_trace CHECK (
                (written_at IS NULL OR executing_at IS NOT NULL) AND (verified_at IS NULL OR written_at IS NOT NULL))
        ) WITH (fillfactor = 70);
        COMMENT ON TABLE ald.parameter_control_commands IS
            'Single values to be written to a machine; the table is the record, the notification is a doorbell.';
        COMMENT ON COLUMN ald.parameter_control_commands.target_value IS 'In the parameter''s unit, within its limits.';
        COMMENT ON COLUMN ald.parameter_control_commands.written_at IS
            'When the controller had taken the value, by the terminal''s clock; null: not known.';
        COMMENT ON COLUMN ald.parameter_control_commands.verified_at IS
            'When it was read back, by the terminal''s clock; null: it was not.';
        COMMENT ON COLUMN ald.parameter_control_commands.actual_value IS 'What was read back, in the unit.';
        \(commandRules("parameter_control_commands", identity: "'parameter_id', 'target_value'"))
        -- two terminals that do not see each other's claims yet cannot have one parameter both
        CREATE UNIQUE INDEX parameter_control_commands_one_in_flight
            ON ald.parameter_control_commands (machine_id, parameter_id) WHERE status IN ('claimed', 'executing');
        CREATE UNIQUE INDEX recipe_commands_one_start ON ald.recipe_commands (machine_id)
            WHERE kind = 'start' AND status IN ('claimed', 'executing');

        ALTER TABLE ald.recipe_commands ADD FOREIGN KEY (machine_id, process_id) REFERENCES ald.process_executions;

        CREATE FUNCTION ald.command_problem(p_machine_id int, p_parameter_id int, p_value float8) RETURNS text
        LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
            SELECT CASE
                WHEN NOT p.is_writable THEN format('%s.%s cannot be written', p.component, p.name)
                WHEN p_value NOT BETWEEN p.min_value AND p.max_value THEN
                    format('%s for %s.%s is outside of %s to %s', p_value, p.component, p.name, p.min_value,
                        p.max_value)
                WHEN p.data_type <> 'float' AND p.scale_factor = 1 AND p.scale_offset = 0 AND p_value <> trunc(p_value)
                    THEN
                    format('%s for %s.%s is not whole, its type is %s', p_value, p.component, p.name, p.data_type) END
            FROM ald.component_parameters p WHERE p.machine_id = p_machine_id AND p.parameter_id = p_parameter_id
        $$;
        COMMENT ON FUNCTION ald.command_problem IS 'Why a value may not be written; null when it may.';

        CREATE FUNCTION ald.check_command() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE problem text := ald.command_problem(NEW.machine_id, NEW.parameter_id, NEW.target_value);
        BEGIN
            IF problem IS NOT NULL THEN
                RAISE EXCEPTION '%', problem USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME,
                    CONSTRAINT = 'parameter_control_commands_is_allowed', SCHEMA = TG_TABLE_SCHEMA;
            END IF;
            RETURN NEW;
        END $$;
        COMMENT ON FUNCTION ald.check_command IS 'Refuses (23514) a command that may not be carried out as things are.';
        CREATE TRIGGER d_allowed BEFORE INSERT ON ald.parameter_control_commands
            FOR EACH ROW EXECUTE FUNCTION ald.check_command();

        -- the trigger's argument is the beginning of the channel's name; only the number is sent
        CREATE FUNCTION ald.notify_command() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM pg_notify(TG_ARGV[0] || NEW.machine_id, NEW.command_id::text);
            RETURN NULL;
        END $$;
        COMMENT ON FUNCTION ald.notify_command IS
            'Rings the bell of the machine''s terminal; a sweep finds what it misses.';
        CREATE TRIGGER e_notify AFTER INSERT ON ald.parameter_control_commands
            FOR EACH ROW EXECUTE FUNCTION ald.notify_command('ald_commands_');
        CREATE TRIGGER e_notify AFTER INSERT ON ald.recipe_commands
            FOR EACH ROW EXECUTE FUNCTION ald.notify_command('ald_recipe_commands_');

        CREATE FUNCTION ald.request_parameter_command(
            p_machine_id int, p_request_id uuid, p_parameter_id int, p_target_value float8, p_timeout_seconds float8,
            p_requested_by text, p_reason text
        ) RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE id bigint;
        BEGIN
            -- What is known already is not judged again: limits may have changed since it was asked for.
            IF NOT EXISTS (SELECT FROM ald.parameter_control_commands c
                           WHERE c.machine_id = p_machine_id AND c.request_id = p_request_id) THEN
                INSERT INTO ald.parameter_control_commands
                    (machine_id, request_id, parameter_id, target_value, not_after, requested_by, reason)
                VALUES (p_machine_id, p_request_id, p_parameter_id, p_target_value,
                    clock_timestamp() + make_interval(secs => p_timeout_seconds), p_requested_by, p_reason)
                ON CONFLICT (machine_id, request_id) DO NOTHING RETURNING command_id INTO id;
            END IF;
            IF id IS NULL THEN
                SELECT c.command_id INTO id FROM ald.parameter_control_commands c
                WHERE c.machine_id = p_machine_id AND c.request_id = p_request_id AND c.parameter_id = p_parameter_id
                    AND c.target_value = p_target_value;
            END IF;
            IF id IS NULL THEN
                RAISE EXCEPTION 'request % of machine % asked for something else', p_request_id, p_machine_id
                    USING ERRCODE = 'unique_violation';
            END IF;
            RETURN id;
        END $$;
        COMMENT ON FUNCTION ald.request_parameter_command IS
            'Asks for a value to be written, once however often it is called with the same request; returns the '
            'command.';

        CREATE FUNCTION ald.finish_parameter_command(
            p_machine_id int, p_command_id bigint, p_worker text, p_status text, p_error text, p_actual_value float8,
            p_written_at timestamptz, p_verified_at timestamptz
        ) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            UPDATE ald.parameter_control_commands c SET status = p_status, error = p_error, lease_until = NULL,
                actual_value = p_actual_value, written_at = p_written_at, verified_at = p_verified_at,
                finished_at = clock_timestamp()
            WHERE c.machine_id = p_machine_id AND c.command_id = p_command_id AND c.claimed_by = p_worker
                AND c.finished_at IS NULL;
            -- the answer to an earlier call may have been lost
            RETURN FOUND OR EXISTS (
                SELECT FROM ald.parameter_control_commands c WHERE c.machine_id = p_machine_id
                    AND c.command_id = p_command_id AND c.claimed_by = p_worker AND c.status = p_status);
        END $$;
        COMMENT ON FUNCTION ald.finish_parameter_command IS
            'Ends a command of this terminal; false: it is not, or no more, this terminal''s. Safe to repeat.';

        CREATE FUNCTION ald.finish_recipe_command(
            p_machine_id int, p_command_id bigint, p_worker text, p_status text, p_error text
        ) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            UPDATE ald.recipe_commands c SET status = p_status, error = p_error, lease_until = NULL,
                finished_at = clock_timestamp()
            WHERE c.machine_id = p_machine_id AND c.command_id = p_command_id AND c.claimed_by = p_worker
                AND c.finished_at IS NULL;
            RETURN FOUND OR EXISTS (
                SELECT FROM ald.recipe_commands c WHERE c.machine_id = p_machine_id
                    AND c.command_id = p_command_id AND c.claimed_by = p_worker AND c.status = p_status);
        END $$;
        COMMENT ON FUNCTION ald.finish_recipe_command IS
            'Ends a command of this terminal; false: it is not, or no more, this terminal''s. Safe to repeat.';
        """
}
