extension Migration {
    /// How commands are begun, after the functions that both kinds share.
    static let claimsScript = """
        CREATE FUNCTION ald.begin_parameter_command(
            p_machine_id int, p_command_id bigint, p_worker text, p_lease_seconds float8
        ) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE command ald.parameter_control_commands; problem text;
        BEGIN
            SELECT * INTO command FROM ald.parameter_control_commands c
            WHERE c.machine_id = p_machine_id AND c.command_id = p_command_id AND c.claimed_by = p_worker
                AND c.status = 'claimed' AND c.lease_until > clock_timestamp() AND c.not_after > clock_timestamp()
            FOR UPDATE;
            IF NOT FOUND THEN RETURN false; END IF;
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
        COMMENT ON FUNCTION ald.begin_parameter_command IS
            'Must return true before anything is written: the claim, the deadline and the limits still hold.';

        CREATE FUNCTION ald.begin_recipe_command(
            p_machine_id int, p_command_id bigint, p_worker text, p_lease_seconds float8
        ) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            UPDATE ald.recipe_commands c SET status = 'executing', executing_at = clock_timestamp(),
                lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
            WHERE c.machine_id = p_machine_id AND c.command_id = p_command_id AND c.claimed_by = p_worker
                AND c.status = 'claimed' AND c.lease_until > clock_timestamp() AND c.not_after > clock_timestamp();
            RETURN FOUND;
        END $$;
        COMMENT ON FUNCTION ald.begin_recipe_command IS
            'Must return true before anything is done: the claim and the deadline still hold.';

        \(queue("parameter_control_commands", noun: "parameter", oneByOne: "o.parameter_id = c.parameter_id"))

        \(queue("recipe_commands", noun: "recipe", oneByOne: "c.kind = 'start' AND o.kind = 'start'"))
        """
}
