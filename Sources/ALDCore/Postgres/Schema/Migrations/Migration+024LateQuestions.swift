extension Migration {
    /// A question for recipe commands that is carried out late decides nothing about what it does not know.
    static let lateQuestions = Migration(
        version: 24, name: "questions that come late",
        script: """
            CREATE OR REPLACE FUNCTION ald.take_recipe_command(
                p_machine_id int, p_worker text, p_known bigint[], p_lease_seconds float8
            ) RETURNS SETOF ald.recipe_commands LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
            DECLARE candidate ald.recipe_commands;
            BEGIN
                -- Story: a stop is taken and the answer is lost. Nobody else may have it, so it is given again. A start
                -- whose time is over is not; but its recipe may run, when this question was asked before the answer came
                -- and is carried out long after it. It is left to its lease, after which somebody looks what became of it.
                RETURN QUERY UPDATE ald.recipe_commands c
                    SET lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
                    WHERE c.machine_id = p_machine_id AND c.command_id = (
                        SELECT o.command_id FROM ald.recipe_commands o
                        WHERE o.machine_id = p_machine_id AND o.status = 'executing' AND o.claimed_by = p_worker
                            AND o.command_id <> ALL (p_known)
                            AND (o.kind = 'stop' OR o.not_after > clock_timestamp())
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
            """)
}
