extension Migration {
    /// The set points of the machine and of the database are one, and what somebody changes at the machine is seen.
    static let setPoints = Migration(
        version: 17, name: "set points follow the machine",
        script: """
            CREATE TABLE ald.set_point_changes (
                machine_id int NOT NULL,
                change_id bigint GENERATED ALWAYS AS IDENTITY,
                parameter_id int NOT NULL,
                noticed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
                previous_value float8 CHECK (previous_value > '-Infinity' AND previous_value < 'Infinity'),
                value float8 NOT NULL CHECK (value > '-Infinity' AND value < 'Infinity'),
                problem text CHECK (problem <> ''),
                PRIMARY KEY (machine_id, change_id),
                FOREIGN KEY (machine_id, parameter_id) REFERENCES ald.component_parameters
            );
            CREATE INDEX ON ald.set_point_changes (machine_id, parameter_id, change_id);
            COMMENT ON TABLE ald.set_point_changes IS
                'Set points that somebody changed at the machine, by no command and no recipe of ours.';
            COMMENT ON COLUMN ald.set_point_changes.previous_value IS
                'What the database said before, in the unit; null: nothing.';
            COMMENT ON COLUMN ald.set_point_changes.value IS 'What the controller says, in the unit.';
            COMMENT ON COLUMN ald.set_point_changes.problem IS
                'Why set_value does not say so: the controller has what no command may write. Null: it says so.';
            SELECT ald.protect_table('ald.set_point_changes');
            CREATE TRIGGER no_change BEFORE UPDATE OR DELETE ON ald.set_point_changes
                FOR EACH ROW EXECUTE FUNCTION ald.refuse_change('entries are only added');

            CREATE INDEX parameter_control_commands_ended ON ald.parameter_control_commands
                (machine_id, parameter_id, finished_at) WHERE finished_at IS NOT NULL AND executing_at IS NOT NULL;

            CREATE FUNCTION ald.synchronise_set_points(
                p_machine_id int, p_read_since timestamptz, p_parameters int[], p_values float8[]
            ) RETURNS TABLE (parameter_id int, outcome text, previous_value float8, problem text)
            LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            DECLARE
                item record;
                is_known boolean;
            BEGIN
                PERFORM ald.require_machine(p_machine_id);
                FOR item IN
                    -- a parameter whose command is just being ended is left to the next time
                    SELECT p.parameter_id AS id, p.set_value, u.seen, ald.value_problem(p, u.seen) AS trouble
                    FROM unnest(p_parameters, p_values) u(id, seen)
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
                        IF item.set_value IS NULL OR ald.set_point_is_ours(p_machine_id, item.id, item.seen) THEN
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
                'notes what nobody here has asked for (external).';

            CREATE FUNCTION ald.set_point_is_ours(p_machine_id int, p_parameter_id int, p_value float8) RETURNS boolean
            LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
                SELECT EXISTS (
                    SELECT FROM ald.parameter_control_commands c
                    WHERE c.machine_id = p_machine_id AND c.parameter_id = p_parameter_id AND c.executing_at IS NOT NULL
                        AND c.finished_at >= clock_timestamp() - interval '1 min'
                        AND abs(c.target_value - p_value) <= greatest(abs(p_value) * 1e-6, 1e-9))
                OR EXISTS (
                    SELECT FROM ald.process_executions e
                    WHERE e.machine_id = p_machine_id
                        AND (e.ended_at IS NULL OR e.ended_at >= clock_timestamp() - interval '1 min')
                        AND (EXISTS (SELECT FROM ald.recipe_steps s WHERE s.machine_id = e.machine_id
                                AND s.recipe_id = e.recipe_id AND s.version = e.recipe_version
                                AND s.parameter_id = p_parameter_id)
                            OR EXISTS (SELECT FROM ald.recipe_execution_audit a WHERE a.machine_id = e.machine_id
                                AND a.process_id = e.process_id AND a.parameter_id = p_parameter_id)))
            $$;
            COMMENT ON FUNCTION ald.set_point_is_ours IS
                'Whether a command of the last minute, or a process under way or just ended, explains a set point.';

            -- set_value says at once what a command has done
            CREATE OR REPLACE FUNCTION ald.finish_parameter_command(
                p_machine_id int, p_command_id bigint, p_worker text, p_status text, p_error text,
                p_actual_value float8, p_written_at timestamptz, p_verified_at timestamptz
            ) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
            DECLARE
                parameter int;
                target float8;
            BEGIN
                UPDATE ald.parameter_control_commands c SET status = p_status, error = p_error, lease_until = NULL,
                    actual_value = p_actual_value, written_at = p_written_at, verified_at = p_verified_at,
                    finished_at = clock_timestamp()
                WHERE c.machine_id = p_machine_id AND c.command_id = p_command_id AND c.claimed_by = p_worker
                    AND c.finished_at IS NULL
                RETURNING c.parameter_id, c.target_value INTO parameter, target;
                IF FOUND THEN
                    IF p_status = 'succeeded' THEN
                        -- limits that were narrowed meanwhile do not keep the command from ending
                        UPDATE ald.component_parameters p SET set_value = target
                        WHERE p.machine_id = p_machine_id AND p.parameter_id = parameter
                            AND p.set_value IS DISTINCT FROM target
                            AND ald.command_problem(p_machine_id, parameter, target) IS NULL;
                    END IF;
                    RETURN true;
                END IF;
                -- the answer to an earlier call may have been lost
                RETURN EXISTS (
                    SELECT FROM ald.parameter_control_commands c WHERE c.machine_id = p_machine_id
                        AND c.command_id = p_command_id AND c.claimed_by = p_worker AND c.status = p_status);
            END $$;
            COMMENT ON FUNCTION ald.finish_parameter_command IS
                'Ends a command of this terminal, and says what the set point is when it succeeded; false: it is not, or '
                'no more, this terminal''s. Safe to repeat.';

            -- nobody claims one by one any more
            DELETE FROM ald.role_grants g WHERE g.object = 'FUNCTION ald.claim_parameter_commands';
            DROP FUNCTION ald.claim_parameter_commands(int, text, int, float8);

            INSERT INTO ald.role_grants (role, privileges, object) VALUES
                ('ald_collector', 'EXECUTE', 'FUNCTION ald.synchronise_set_points'),
                ('ald_operator', 'SELECT', 'TABLE ald.set_point_changes'),
                ('ald_reader', 'SELECT', 'TABLE ald.set_point_changes'),
                ('ald_auditor', 'SELECT', 'TABLE ald.set_point_changes');
            SELECT ald.apply_grants();
            """)
}
