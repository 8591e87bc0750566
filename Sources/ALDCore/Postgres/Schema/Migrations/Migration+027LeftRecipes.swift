extension Migration {
    /// A recipe that another terminal has left is looked at and never carried out, however late that answer comes.
    static let leftRecipes = Migration(
        version: 27, name: "recipes that were left",
        script: """
            ALTER TABLE ald.recipe_commands ADD COLUMN adopted boolean NOT NULL DEFAULT false;
            COMMENT ON COLUMN ald.recipe_commands.adopted IS
                'Whether it was adopted after its lease had ended, perhaps by its own terminal: it is not given again as if '
                'nobody had begun it, unless it is a stop.';

            CREATE OR REPLACE FUNCTION ald.adopt_recipe_commands(
                p_machine_id int, p_worker text, p_lease_seconds float8
            ) RETURNS SETOF ald.recipe_commands LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
                UPDATE ald.recipe_commands c SET claimed_by = p_worker, adopted = true,
                    lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
                WHERE c.machine_id = p_machine_id AND c.command_id IN (
                    SELECT o.command_id FROM ald.recipe_commands o
                    WHERE o.machine_id = p_machine_id AND o.status = 'executing'
                        -- the answer to an earlier call may have been lost, and whoever asks next waits behind it
                        AND (o.lease_until <= clock_timestamp() OR o.adopted AND o.claimed_by = p_worker)
                    FOR UPDATE SKIP LOCKED)
                RETURNING c.*
            $$;
            COMMENT ON FUNCTION ald.adopt_recipe_commands IS
                'Gives this terminal what another left executing, again and again until it has ended: to find out how it '
                'ended, never to do it again.';

            CREATE OR REPLACE FUNCTION ald.take_recipe_command(
                p_machine_id int, p_worker text, p_known bigint[], p_lease_seconds float8
            ) RETURNS SETOF ald.recipe_commands LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
            DECLARE candidate ald.recipe_commands;
            BEGIN
                -- Story: a stop is taken and the answer is lost. Nobody else may have it, so it is given again. A start
                -- whose time is over is not; but its recipe may run, when this question was asked before the answer came
                -- and is carried out long after it. It is left to its lease, after which somebody looks what became of it.
                -- Another story: a terminal dies, its start is left to the next one, and that answer is late or lost. It
                -- may have run, so it is not given as if nobody had begun it. A stop does no harm a second time.
                RETURN QUERY UPDATE ald.recipe_commands c
                    SET lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
                    WHERE c.machine_id = p_machine_id AND c.command_id = (
                        SELECT o.command_id FROM ald.recipe_commands o
                        WHERE o.machine_id = p_machine_id AND o.status = 'executing' AND o.claimed_by = p_worker
                            AND o.command_id <> ALL (p_known)
                            AND (o.kind = 'stop' OR NOT o.adopted AND o.not_after > clock_timestamp())
                        ORDER BY o.command_id LIMIT 1 FOR UPDATE)
                    RETURNING c.*;
                IF FOUND THEN RETURN; END IF;
                FOR candidate IN SELECT * FROM ald.claim_recipe_commands(p_machine_id, p_worker, 1, p_lease_seconds) LOOP
                    IF ald.begin_recipe_command(p_machine_id, candidate.command_id, p_worker, p_lease_seconds) THEN
                        RETURN QUERY SELECT * FROM ald.recipe_commands c
                            WHERE c.machine_id = p_machine_id AND c.command_id = candidate.command_id;
                    END IF;
                END LOOP;
            END $$;
            COMMENT ON FUNCTION ald.take_recipe_command IS
                'Claims and begins the oldest command: what is returned is to be executed at once. Safe to repeat: one '
                'that this terminal has taken and that is not among p_known is returned again, unless it was adopted or '
                'has come too late; a stop always is.';

            INSERT INTO ald.role_grants (role, privileges, object) VALUES
                ('ald_recipes', 'UPDATE (adopted)', 'TABLE ald.recipe_commands');
            SELECT ald.apply_grants();
            """)
}
