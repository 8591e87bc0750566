extension Migration {
    /// A recipe that was taken in time and could not begin in time does not begin.
    static let lateStarts = Migration(
        version: 25, name: "starts that come late",
        script: """
            CREATE OR REPLACE FUNCTION ald.begin_process(
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
                -- Story: a start is taken in time, and the machine or the tables take their time to be looked at. Whoever
                -- asked has gone home; nothing begins behind his back.
                IF command.not_after <= clock_timestamp() THEN
                    problem := format('it was to begin by %s, and that is over', command.not_after);
                    RETURN;
                END IF;
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
            """)
}
