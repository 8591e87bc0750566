extension Migration {
    /// A recipe command is claimed and begun by one statement, which can be repeated when its answer is lost.
    static let takenOnceScript = """
        CREATE FUNCTION ald.take_recipe_command(
            p_machine_id int, p_worker text, p_known bigint[], p_lease_seconds float8
        ) RETURNS SETOF ald.recipe_commands LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE candidate ald.recipe_commands;
        BEGIN
            -- Story: a stop is taken and the answer is lost. Nobody else may have it, so it is given again.
            FOR candidate IN
                SELECT * FROM ald.recipe_commands c WHERE c.machine_id = p_machine_id AND c.status = 'executing'
                    AND c.claimed_by = p_worker AND c.command_id <> ALL (p_known) ORDER BY c.command_id FOR UPDATE
            LOOP
                IF candidate.kind <> 'stop' AND candidate.not_after <= clock_timestamp() THEN
                    UPDATE ald.recipe_commands c SET status = 'failed', error = 'not begun in time',
                        finished_at = clock_timestamp(), lease_until = NULL
                    WHERE c.machine_id = p_machine_id AND c.command_id = candidate.command_id;
                    CONTINUE;
                END IF;
                RETURN QUERY UPDATE ald.recipe_commands c
                    SET lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
                    WHERE c.machine_id = p_machine_id AND c.command_id = candidate.command_id RETURNING c.*;
                RETURN;
            END LOOP;
            FOR candidate IN SELECT * FROM ald.claim_recipe_commands(p_machine_id, p_worker, 1, p_lease_seconds) LOOP
                IF ald.begin_recipe_command(p_machine_id, candidate.command_id, p_worker, p_lease_seconds) THEN
                    RETURN QUERY SELECT * FROM ald.recipe_commands c
                        WHERE c.machine_id = p_machine_id AND c.command_id = candidate.command_id;
                END IF;
            END LOOP;
        END $$;
        COMMENT ON FUNCTION ald.take_recipe_command IS
            'Claims and begins the oldest command: what is returned is to be executed at once. Safe to repeat: one that '
            'this terminal has taken and that is not among p_known is returned again.';

        INSERT INTO ald.role_grants (role, privileges, object) VALUES
            ('ald_commands', 'EXECUTE', 'FUNCTION ald.hold_machine_state'),
            ('ald_recipes', 'EXECUTE', 'FUNCTION ald.take_recipe_command');
        SELECT ald.apply_grants();
        """
}
