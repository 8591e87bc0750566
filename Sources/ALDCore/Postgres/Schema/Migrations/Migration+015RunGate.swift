extension Migration {
    /// How a run begins, and that nobody else opens valves meanwhile.
    static let runGateScript = """
        CREATE INDEX recipe_steps_valves ON ald.recipe_steps (machine_id, parameter_id) WHERE kind = 'valve';

        CREATE FUNCTION ald.is_valve(p_machine_id int, p_parameter_id int) RETURNS boolean
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            SELECT EXISTS (SELECT FROM ald.recipe_steps s
                    WHERE s.machine_id = p_machine_id AND s.parameter_id = p_parameter_id AND s.kind = 'valve')
                OR EXISTS (SELECT FROM ald.component_parameters p
                    JOIN ald.machine_components c ON c.machine_id = p.machine_id AND c.name = p.component
                    JOIN ald.component_definitions d USING (definition_id)
                    WHERE p.machine_id = p_machine_id AND p.parameter_id = p_parameter_id AND d.kind = 'valve'
                        AND p.data_type = 'binary')
        $$;
        COMMENT ON FUNCTION ald.is_valve IS
            'Whether a parameter is a valve: some recipe opens it as one, or its component is registered as one.';

        CREATE FUNCTION ald.running_recipe(p_machine_id int) RETURNS bigint
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            SELECT e.process_id FROM ald.process_executions e WHERE e.machine_id = p_machine_id
                AND e.status IN ('preparing', 'running', 'paused') AND e.recipe_id IS NOT NULL
        $$;
        COMMENT ON FUNCTION ald.running_recipe IS 'The process that runs a recipe now; null when none does.';

        CREATE OR REPLACE FUNCTION ald.command_problem(p_machine_id int, p_parameter_id int, p_value float8)
        RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
            SELECT CASE
                WHEN ald.value_problem(p, p_value) IS NOT NULL THEN ald.value_problem(p, p_value)
                -- whoever runs a recipe has its valves to himself; to close one is always allowed
                WHEN p_value <> 0 AND p.data_type = 'binary' AND ald.running_recipe(p_machine_id) IS NOT NULL
                    AND ald.is_valve(p_machine_id, p_parameter_id) THEN
                    format('%s.%s is a valve, and process %s runs a recipe: stop it first', p.component, p.name,
                        ald.running_recipe(p_machine_id)) END
            FROM ald.component_parameters p WHERE p.machine_id = p_machine_id AND p.parameter_id = p_parameter_id
        $$;

        CREATE FUNCTION ald.begin_process(
            p_machine_id int, p_command_id bigint, p_worker text, p_total_steps bigint, OUT process_id bigint,
            OUT problem text
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
            SELECT * INTO STRICT state FROM ald.machine_state s WHERE s.machine_id = p_machine_id FOR UPDATE;
            problem := CASE state.status
                WHEN 'error' THEN 'the machine is in error, somebody has to clear it: ' || state.failure
                WHEN 'offline' THEN 'the machine is out of service'
                WHEN 'processing' THEN format('process %s is under way', state.process_id) END;
            IF problem IS NULL AND EXISTS (SELECT FROM ald.parameter_control_commands c
                WHERE c.machine_id = p_machine_id AND c.status IN ('claimed', 'executing') AND c.target_value <> 0
                    AND ald.is_valve(p_machine_id, c.parameter_id))
            THEN
                problem := 'a command is just opening a valve';
            END IF;
            IF problem IS NOT NULL THEN RETURN; END IF;
            INSERT INTO ald.process_executions AS e
                (machine_id, recipe_id, recipe_version, command_id, operator, description, status)
            VALUES (p_machine_id, command.recipe_id, command.recipe_version, p_command_id, command.requested_by,
                command.reason, 'running') RETURNING e.process_id INTO process_id;
            INSERT INTO ald.process_execution_state (machine_id, process_id, total_steps)
            VALUES (p_machine_id, process_id, p_total_steps);
        END $$;
        COMMENT ON FUNCTION ald.begin_process IS
            'Enters the process of a start command that this terminal executes, or says why it may not run now. From then '
            'on no command opens a valve. Safe to repeat.';

        INSERT INTO ald.role_grants (role, privileges, object)
        SELECT 'ald_' || r, p, k || ' ' || o FROM (VALUES
            ('recipes', 'EXECUTE', 'FUNCTION', 'ald.begin_process'),
            ('commands operator reader auditor', 'EXECUTE', 'FUNCTION', 'ald.is_valve ald.running_recipe')
        ) g(roles, p, k, objects), string_to_table(roles, ' ') r, regexp_split_to_table(objects, '[[:space:]]+') o;
        SELECT ald.apply_grants();
        """
}
