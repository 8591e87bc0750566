extension Migration {
    /// Parameter commands whose taking was not answered are given to the same terminal again, instead of keeping all
    /// others for their parameter waiting until the lease ends.
    static let takenAgain = Migration(
        version: 22, name: "what was taken without an answer",
        script: """
            ALTER TABLE ald.parameter_control_commands ADD COLUMN adopted boolean NOT NULL DEFAULT false;
            COMMENT ON COLUMN ald.parameter_control_commands.adopted IS
                'Whether a terminal has it that did not begin it: it only finds out how it ended.';

            CREATE OR REPLACE FUNCTION ald.adopt_parameter_commands(
                p_machine_id int, p_worker text, p_lease_seconds float8
            ) RETURNS SETOF ald.parameter_control_commands LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
                UPDATE ald.parameter_control_commands c SET claimed_by = p_worker, adopted = true,
                    lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
                WHERE c.machine_id = p_machine_id AND c.command_id IN (
                    SELECT o.command_id FROM ald.parameter_control_commands o
                    WHERE o.machine_id = p_machine_id AND o.status = 'executing'
                        AND o.lease_until <= clock_timestamp()
                    FOR UPDATE SKIP LOCKED)
                RETURNING c.*
            $$;

            CREATE FUNCTION ald.retake_parameter_commands(
                p_machine_id int, p_worker text, p_limit int, p_lease_seconds float8, p_known bigint[]
            ) RETURNS SETOF ald.parameter_control_commands LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
            DECLARE
                now timestamptz := clock_timestamp();
                taken ald.parameter_control_commands;
            BEGIN
                -- Story: a command is begun, and the answer is lost with the connection. Nobody has written anything.
                -- Another story: this question was asked before that answer came, and is carried out long after it. So
                -- what may not be begun now may have been written in time; it is left to its lease and then read back.
                FOR taken IN
                    SELECT * FROM ald.parameter_control_commands c
                    WHERE c.machine_id = p_machine_id AND c.status = 'executing' AND c.claimed_by = p_worker
                        AND NOT c.adopted AND c.command_id <> ALL (p_known) AND c.not_after > now
                        AND ald.command_problem(p_machine_id, c.parameter_id, c.target_value) IS NULL
                    ORDER BY c.command_id LIMIT p_limit FOR UPDATE SKIP LOCKED
                LOOP
                    UPDATE ald.parameter_control_commands c SET executing_at = clock_timestamp(),
                        lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
                    WHERE c.machine_id = p_machine_id AND c.command_id = taken.command_id RETURNING * INTO STRICT taken;
                    RETURN NEXT taken;
                    p_limit := p_limit - 1;
                END LOOP;
                RETURN QUERY
                    SELECT * FROM ald.take_parameter_commands(p_machine_id, p_worker, p_limit, p_lease_seconds);
            END $$;
            COMMENT ON FUNCTION ald.retake_parameter_commands IS
                'Like take_parameter_commands, and safe to repeat: what this terminal has begun and is not among p_known is '
                'returned again.';

            INSERT INTO ald.role_grants (role, privileges, object) VALUES
                ('ald_commands', 'EXECUTE', 'FUNCTION ald.retake_parameter_commands'),
                ('ald_commands', 'UPDATE (adopted)', 'TABLE ald.parameter_control_commands');
            SELECT ald.apply_grants();
            """)
}
