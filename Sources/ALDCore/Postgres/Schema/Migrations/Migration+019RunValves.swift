extension Migration {
    /// The interlocks are known to the database while a run is under way, and a run and a command that opens a valve
    /// never begin side by side.
    static let runValvesScript = """
        ALTER TABLE ald.process_executions ADD COLUMN interlocked_valves int[] NOT NULL DEFAULT '{}'
            CHECK (0 < ALL (interlocked_valves));
        COMMENT ON COLUMN ald.process_executions.interlocked_valves IS
            'Valves that the interlocks of its recipe service name: nobody else opens one while it runs, and whoever finds '
            'it left closes them.';
        DROP TRIGGER c_identity ON ald.process_executions;
        CREATE TRIGGER c_identity BEFORE UPDATE ON ald.process_executions FOR EACH ROW
            EXECUTE FUNCTION ald.refuse_other_identity('machine_id', 'process_id', 'recipe_id', 'recipe_version',
                'command_id', 'operator', 'started_at', 'interlocked_valves');

        -- these two run with their owner's rights, so they ask who wants to know
        CREATE OR REPLACE FUNCTION ald.is_valve(p_machine_id int, p_parameter_id int) RETURNS boolean
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM ald_history.admit(p_machine_id);
            RETURN EXISTS (SELECT FROM ald.recipe_steps s
                    WHERE s.machine_id = p_machine_id AND s.parameter_id = p_parameter_id AND s.kind = 'valve')
                OR EXISTS (SELECT FROM ald.component_parameters p
                    JOIN ald.machine_components c ON c.machine_id = p.machine_id AND c.name = p.component
                    JOIN ald.component_definitions d USING (definition_id)
                    WHERE p.machine_id = p_machine_id AND p.parameter_id = p_parameter_id AND d.kind = 'valve'
                        AND p.data_type = 'binary')
                OR EXISTS (SELECT FROM ald.process_executions e WHERE e.machine_id = p_machine_id
                    AND e.status IN ('preparing', 'running', 'paused') AND p_parameter_id = ANY (e.interlocked_valves));
        END $$;
        COMMENT ON FUNCTION ald.is_valve IS
            'Whether a parameter is a valve: some recipe opens it as one, its component is registered as one, or the '
            'interlocks of the run under way name it.';

        CREATE OR REPLACE FUNCTION ald.running_recipe(p_machine_id int) RETURNS bigint
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM ald_history.admit(p_machine_id);
            RETURN (SELECT e.process_id FROM ald.process_executions e WHERE e.machine_id = p_machine_id
                AND e.status IN ('preparing', 'running', 'paused') AND e.recipe_id IS NOT NULL);
        END $$;

        CREATE FUNCTION ald.hold_machine_state(p_machine_id int) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM ald_history.admit(p_machine_id);
            PERFORM FROM ald.machine_state s WHERE s.machine_id = p_machine_id FOR SHARE;
        END $$;
        COMMENT ON FUNCTION ald.hold_machine_state IS
            'No run of this machine begins or ends before the transaction does.';

        CREATE OR REPLACE FUNCTION ald.begin_parameter_command(
            p_machine_id int, p_command_id bigint, p_worker text, p_lease_seconds float8
        ) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE command ald.parameter_control_commands; problem text;
        BEGIN
            SELECT * INTO command FROM ald.parameter_control_commands c
            WHERE c.machine_id = p_machine_id AND c.command_id = p_command_id AND c.claimed_by = p_worker
                AND c.status = 'claimed' AND c.lease_until > clock_timestamp() AND c.not_after > clock_timestamp()
            FOR UPDATE;
            IF NOT FOUND THEN RETURN false; END IF;
            -- Story: a run begins and sees no command, the command begins and sees no run. Both look at this row first;
            -- begin_process holds it alone.
            PERFORM ald.hold_machine_state(p_machine_id) FROM ald.component_parameters p
            WHERE p.machine_id = p_machine_id AND p.parameter_id = command.parameter_id AND p.data_type = 'binary'
                AND command.target_value <> 0;
            -- limits may have changed since it was asked for
            problem := ald.command_problem(p_machine_id, command.parameter_id, command.target_value);
            UPDATE ald.parameter_control_commands c SET
                status = CASE WHEN problem IS NULL THEN 'executing' ELSE 'failed' END, error = problem,
                executing_at = CASE WHEN problem IS NULL THEN clock_timestamp() END,
                finished_at = CASE WHEN problem IS NOT NULL THEN clock_timestamp() END,
                lease_until = CASE WHEN problem IS NULL THEN clock_timestamp() + make_interval(secs => p_lease_seconds)
                    END
            WHERE c.machine_id = p_machine_id AND c.command_id = p_command_id;
            RETURN problem IS NULL;
        END $$;

        DROP FUNCTION ald.begin_process(int, bigint, text, bigint);
        CREATE FUNCTION ald.begin_process(
            p_machine_id int, p_command_id bigint, p_worker text, p_total_steps bigint, p_valves int[] DEFAULT '{}',
            OUT process_id bigint, OUT problem text
        ) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            command ald.recipe_commands;
            state ald.machine_state;
        BEGIN
            PERFORM ald_history.admit(p_machine_id);
            PERFORM ald_history.take_turn(p_machine_id);
            SELECT * INTO command FROM ald.recipe_commands c WHERE c.machine_id = p_machine_id
                AND c.command_id = p_command_id AND c.claimed_by = p_worker AND c.status = 'executing'
                AND c.kind = 'start' FOR UPDATE;
            IF NOT FOUND THEN
                problem := 'the command is not this terminal''s any more';
                RETURN;
            END IF;
            -- the answer to an earlier call may have been lost
            SELECT e.process_id INTO process_id FROM ald.process_executions e
            WHERE e.machine_id = p_machine_id AND e.command_id = p_command_id AND e.ended_at IS NULL;
            IF FOUND THEN RETURN; END IF;
            -- before the commands are looked at: see begin_parameter_command
            SELECT * INTO STRICT state FROM ald.machine_state s WHERE s.machine_id = p_machine_id FOR UPDATE;
            problem := CASE state.status
                WHEN 'error' THEN 'the machine is in error, somebody has to clear it: ' || state.failure
                WHEN 'offline' THEN 'the machine is out of service'
                WHEN 'processing' THEN format('process %s is under way', state.process_id) END;
            IF problem IS NULL AND EXISTS (SELECT FROM ald.parameter_control_commands c
                WHERE c.machine_id = p_machine_id AND c.status IN ('claimed', 'executing') AND c.target_value <> 0
                    AND (c.parameter_id = ANY (p_valves) OR ald.is_valve(p_machine_id, c.parameter_id)))
            THEN
                problem := 'a command is just opening a valve';
            END IF;
            IF problem IS NOT NULL THEN RETURN; END IF;
            INSERT INTO ald.process_executions AS e (machine_id, recipe_id, recipe_version, command_id, operator,
                description, status, interlocked_valves)
            VALUES (p_machine_id, command.recipe_id, command.recipe_version, p_command_id, command.requested_by,
                command.reason, 'running', p_valves) RETURNING e.process_id INTO process_id;
            INSERT INTO ald.process_execution_state (machine_id, process_id, total_steps)
            VALUES (p_machine_id, process_id, p_total_steps);
        END $$;
        COMMENT ON FUNCTION ald.begin_process IS
            'Enters the process of a start command that this terminal executes, or says why it may not run now. From then '
            'on no command opens a valve, nor one of p_valves. Safe to repeat.';
        """
}
