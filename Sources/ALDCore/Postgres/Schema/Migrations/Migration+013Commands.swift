extension Migration {
    /// Terminal 3 takes and ends commands by the handful, each handful in one transaction, and every command can be read
    /// as the time that each of its stages took.
    static let commandsByTheHandful = Migration(
        version: 13, name: "commands by the handful",
        script: """
            -- The first open command of each parameter is found without reading those behind it, however many wait.
            CREATE INDEX parameter_control_commands_first ON ald.parameter_control_commands
                (machine_id, parameter_id, command_id) WHERE status IN ('pending', 'claimed', 'executing');

            CREATE FUNCTION ald.take_parameter_commands(
                p_machine_id int, p_worker text, p_limit int, p_lease_seconds float8
            ) RETURNS SETOF ald.parameter_control_commands LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
            DECLARE
                now timestamptz;
                candidate bigint;
                taken ald.parameter_control_commands;
            BEGIN
                PERFORM ald.expire_parameter_commands(p_machine_id);
                now := clock_timestamp();
                FOR candidate IN
                    SELECT f.command_id
                    FROM ald.component_parameters p
                    CROSS JOIN LATERAL (
                        SELECT c.* FROM ald.parameter_control_commands c
                        WHERE c.machine_id = p.machine_id AND c.parameter_id = p.parameter_id
                            AND c.status IN ('pending', 'claimed', 'executing')
                        ORDER BY c.command_id LIMIT 1) f
                    WHERE p.machine_id = p_machine_id AND f.not_after > now AND f.attempts < 5
                        AND (f.status = 'pending' OR f.status = 'claimed' AND f.lease_until <= now)
                    ORDER BY f.command_id LIMIT p_limit
                LOOP
                    BEGIN
                        UPDATE ald.parameter_control_commands c SET status = 'claimed', claimed_by = p_worker,
                            claimed_at = clock_timestamp(), attempts = c.attempts + 1,
                            lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
                        WHERE c.machine_id = p_machine_id AND c.command_id = candidate
                            AND (c.status = 'pending' OR c.status = 'claimed' AND c.lease_until <= now);
                        CONTINUE WHEN NOT FOUND;
                    EXCEPTION WHEN unique_violation THEN
                        -- another terminal has just claimed one of this parameter
                        CONTINUE;
                    END;
                    CONTINUE WHEN NOT ald.begin_parameter_command(p_machine_id, candidate, p_worker, p_lease_seconds);
                    SELECT * INTO STRICT taken FROM ald.parameter_control_commands c
                    WHERE c.machine_id = p_machine_id AND c.command_id = candidate;
                    RETURN NEXT taken;
                END LOOP;
            END $$;
            COMMENT ON FUNCTION ald.take_parameter_commands IS
                'Claims and begins up to p_limit commands, oldest first and one per parameter: those that are '
                'returned are to be executed at once.';

            CREATE FUNCTION ald.finish_parameter_commands(
                p_machine_id int, p_worker text, p_command_ids bigint[], p_statuses text[], p_errors text[],
                p_actual_values float8[], p_written timestamptz[], p_verified timestamptz[]
            ) RETURNS SETOF bigint LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
                SELECT u.id FROM (
                    SELECT * FROM unnest(p_command_ids, p_statuses, p_errors, p_actual_values, p_written, p_verified)
                        AS x(id, status, error, actual, written, verified) ORDER BY x.id) u
                WHERE ald.finish_parameter_command(
                    p_machine_id, u.id, p_worker, u.status, u.error, u.actual, u.written, u.verified)
            $$;
            COMMENT ON FUNCTION ald.finish_parameter_commands IS
                'Ends commands of this terminal and returns those that are ended; safe to repeat.';

            COMMENT ON COLUMN ald.parameter_control_commands.written_at IS
                'When the controller had taken the value: executing_at and what the terminal measured since; null: not '
                'known.';
            COMMENT ON COLUMN ald.parameter_control_commands.verified_at IS
                'When it was read back, measured as written_at is; null: it was not.';

            CREATE FUNCTION ald.milliseconds(p_from timestamptz, p_to timestamptz) RETURNS numeric
            LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
                SELECT round(extract(epoch FROM p_to - p_from) * 1000, 3)
            $$;
            COMMENT ON FUNCTION ald.milliseconds IS 'From one instant to another, in milliseconds.';

            CREATE VIEW ald.parameter_command_traces WITH (security_invoker = on) AS
            SELECT c.machine_id, c.command_id, c.request_id AS trace_id, p.component || '.' || p.name AS parameter,
                c.target_value, c.actual_value, c.status, c.error, c.requested_by,
                c.created_at AS inserted_at, c.claimed_at AS detected_at, c.executing_at AS validated_at, c.written_at,
                c.verified_at AS confirmed_at, c.finished_at AS finalised_at,
                ald.milliseconds(c.created_at, c.claimed_at) AS t1_detection_ms,
                ald.milliseconds(c.claimed_at, c.executing_at) AS t2_validation_ms,
                ald.milliseconds(c.executing_at, c.written_at) AS t3_write_ms,
                ald.milliseconds(c.written_at, c.verified_at) AS t4_confirmation_ms,
                ald.milliseconds(c.verified_at, c.finished_at) AS t5_finalisation_ms,
                ald.milliseconds(c.created_at, c.finished_at) AS total_ms
            FROM ald.parameter_control_commands c JOIN ald.component_parameters p USING (machine_id, parameter_id);
            COMMENT ON VIEW ald.parameter_command_traces IS
                'What became of each command, stage by stage, and how many milliseconds each took.';

            INSERT INTO ald.role_grants (role, privileges, object)
            SELECT 'ald_' || r, p, k || ' ald.' || o FROM (VALUES
                ('commands', 'EXECUTE', 'FUNCTION', 'take_parameter_commands finish_parameter_commands milliseconds'),
                ('operator reader auditor', 'EXECUTE', 'FUNCTION', 'milliseconds'),
                ('commands operator reader auditor', 'SELECT', 'TABLE', 'parameter_command_traces')
            ) g(roles, p, k, objects), string_to_table(roles, ' ') r, regexp_split_to_table(objects, '[[:space:]]+') o;
            SELECT ald.apply_grants();
            """)
}
