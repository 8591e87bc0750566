extension Migration {
    /// A set point counts as changed at the machine only when neither a command, nor a recipe, nor the table explains why
    /// machine and table differ.
    static let setPointsExplained = Migration(
        version: 20, name: "what explains a set point",
        script: """
            CREATE INDEX recipe_execution_audit_written ON ald.recipe_execution_audit
                (machine_id, parameter_id, (coalesce(write_started_at, recorded_at)))
                WHERE write_started_at IS NOT NULL OR kind = 'safety';

            CREATE FUNCTION ald.set_point_is_known(p_machine_id int, p_parameter_id int, p_value float8) RETURNS boolean
            LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
                SELECT coalesce((
                    SELECT EXISTS (SELECT FROM unnest(e.held) h(value) WHERE abs(h.value - p_value) <= greatest(
                        p.readback_tolerance, p.setpoint_tolerance, abs(p_value) * 1e-6, 1e-9))
                    FROM (
                        -- one that has reached the controller, or may have
                        (SELECT coalesce(c.written_at, c.executing_at), ARRAY[c.target_value, c.actual_value]
                        FROM ald.parameter_control_commands c
                        WHERE c.machine_id = p_machine_id AND c.parameter_id = p_parameter_id
                            AND c.executing_at IS NOT NULL AND c.finished_at IS NOT NULL
                            AND (c.status <> 'failed' OR c.written_at IS NOT NULL)
                        ORDER BY c.finished_at DESC LIMIT 1)
                        UNION ALL
                        -- what a pulse has opened is closed
                        (SELECT coalesce(a.write_started_at, a.recorded_at),
                            ARRAY[a.target_value, a.actual_value, CASE a.kind WHEN 'valve' THEN 0 END]
                        FROM ald.recipe_execution_audit a
                        WHERE a.machine_id = p_machine_id AND a.parameter_id = p_parameter_id
                            AND (a.write_started_at IS NOT NULL OR a.kind = 'safety')
                        ORDER BY coalesce(a.write_started_at, a.recorded_at) DESC LIMIT 1)
                        UNION ALL
                        (SELECT s.noticed_at, ARRAY[s.value] FROM ald.set_point_changes s
                        WHERE s.machine_id = p_machine_id AND s.parameter_id = p_parameter_id
                        ORDER BY s.change_id DESC LIMIT 1)
                    ) e(at, held)
                    JOIN ald.component_parameters p ON p.machine_id = p_machine_id AND p.parameter_id = p_parameter_id
                    ORDER BY e.at DESC LIMIT 1), false)
            $$;
            COMMENT ON FUNCTION ald.set_point_is_known IS
                'Whether this is what the newest command, recipe or change at the machine has left a set point at.';

            CREATE OR REPLACE FUNCTION ald.set_point_is_ours(p_machine_id int, p_parameter_id int, p_value float8)
            RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
                SELECT ald.set_point_is_known(p_machine_id, p_parameter_id, p_value)
                OR EXISTS (
                    SELECT FROM ald.process_executions e
                    WHERE e.machine_id = p_machine_id
                        AND (e.ended_at IS NULL OR e.ended_at >= clock_timestamp() - interval '1 min')
                        AND (EXISTS (SELECT FROM ald.recipe_steps s WHERE s.machine_id = e.machine_id
                                AND s.recipe_id = e.recipe_id AND s.version = e.recipe_version
                                AND s.parameter_id = p_parameter_id)
                            OR EXISTS (SELECT FROM ald.recipe_execution_audit a WHERE a.machine_id = e.machine_id
                                AND a.process_id = e.process_id AND a.parameter_id = p_parameter_id)))
                -- what waited out an outage is known from now on
                OR EXISTS (
                    SELECT FROM ald.recipe_execution_audit a
                    WHERE a.machine_id = p_machine_id AND a.parameter_id = p_parameter_id
                        AND (a.write_started_at IS NOT NULL OR a.kind = 'safety')
                        AND a.recorded_at >= clock_timestamp() - interval '1 min')
            $$;
            COMMENT ON FUNCTION ald.set_point_is_ours IS
                'Whether a command, or a recipe that is under way, has just ended or become known, explains a set point.';

            DROP FUNCTION ald.synchronise_set_points(int, timestamptz, int[], float8[]);
            CREATE FUNCTION ald.synchronise_set_points(
                p_machine_id int, p_read_since timestamptz, p_parameters int[], p_values float8[],
                p_previous float8[] DEFAULT NULL
            ) RETURNS TABLE (parameter_id int, outcome text, previous_value float8, problem text)
            LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            DECLARE
                item record;
                is_known boolean;
            BEGIN
                PERFORM ald.require_machine(p_machine_id);
                FOR item IN
                    -- a parameter whose command is just being ended is left to the next time
                    SELECT p.parameter_id AS id, p.set_value, u.seen, u.before, ald.value_problem(p, u.seen) AS trouble
                    FROM unnest(p_parameters, p_values, p_previous) u(id, seen, before)
                    JOIN ald.component_parameters p ON p.machine_id = p_machine_id AND p.parameter_id = u.id
                    ORDER BY p.parameter_id FOR NO KEY UPDATE OF p SKIP LOCKED
                LOOP
                    parameter_id := item.id; previous_value := item.set_value; problem := item.trouble;
                    -- the controller may have been read before the command wrote, or while it did
                    IF EXISTS (SELECT FROM ald.parameter_control_commands c
                               WHERE c.machine_id = p_machine_id AND c.parameter_id = item.id
                                   AND c.status IN ('claimed', 'executing'))
                        OR EXISTS (SELECT FROM ald.parameter_control_commands c
                                   WHERE c.machine_id = p_machine_id AND c.parameter_id = item.id
                                       AND c.executing_at IS NOT NULL AND c.finished_at >= p_read_since) THEN
                        outcome := 'busy'; problem := NULL;
                    ELSIF item.trouble IS NOT NULL THEN
                        outcome := 'refused';
                        SELECT s.value = item.seen AND s.problem IS NOT DISTINCT FROM item.trouble INTO is_known
                        FROM ald.set_point_changes s
                        WHERE s.machine_id = p_machine_id AND s.parameter_id = item.id
                        ORDER BY s.change_id DESC LIMIT 1;
                        IF is_known IS NOT TRUE THEN
                            INSERT INTO ald.set_point_changes (machine_id, parameter_id, previous_value, value, problem)
                            VALUES (p_machine_id, item.id, item.set_value, item.seen, item.trouble);
                        END IF;
                    ELSE
                        UPDATE ald.component_parameters p SET set_value = item.seen
                        WHERE p.machine_id = p_machine_id AND p.parameter_id = item.id;
                        IF item.set_value IS NULL OR ald.set_point_is_ours(p_machine_id, item.id, item.seen)
                            -- the machine said so before: somebody has changed the table alone
                            OR abs(item.before - item.seen) <= greatest(abs(item.seen) * 1e-6, 1e-9)
                                AND NOT ald.set_point_is_known(p_machine_id, item.id, item.set_value) THEN
                            outcome := 'synchronised';
                        ELSE
                            outcome := 'external';
                            INSERT INTO ald.set_point_changes (machine_id, parameter_id, previous_value, value)
                            VALUES (p_machine_id, item.id, item.set_value, item.seen);
                        END IF;
                    END IF;
                    RETURN NEXT;
                END LOOP;
            END $$;
            COMMENT ON FUNCTION ald.synchronise_set_points IS
                'The machine wins: what its controller says, read since p_read_since, becomes set_value. Not where a '
                'command is under way (busy) and not what no command may write (refused). Says what became of each, and '
                'notes what nobody here has asked for (external). p_previous is what the controller said when it was '
                'compared last; null where nobody knows.';
            SELECT ald.apply_grants();
            """)
}
