extension Migration {
    /// One check for every value that may reach the machine, whoever asks for it.
    static let checkedValuesScript = """
        CREATE FUNCTION ald.value_problem(p ald.component_parameters, p_value float8) RETURNS text
        LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
            SELECT CASE
                -- is_writable has no value yet in a trigger before the row is stored
                WHEN p.write_location IS NULL OR p.write_protected THEN
                    format('%s.%s cannot be written', p.component, p.name)
                WHEN p_value NOT BETWEEN p.min_value AND p.max_value THEN
                    format('%s for %s.%s is outside of %s to %s', p_value, p.component, p.name, p.min_value,
                        p.max_value)
                WHEN p.data_type <> 'float' AND p.scale_factor = 1 AND p.scale_offset = 0 AND p_value <> trunc(p_value)
                    THEN
                    format('%s for %s.%s is not whole, its type is %s', p_value, p.component, p.name, p.data_type) END
        $$;
        COMMENT ON FUNCTION ald.value_problem IS
            'Why a value may not be written to a parameter; null when it may. Commands, recipes and set points ask '
            'here and nowhere else.';

        CREATE OR REPLACE FUNCTION ald.command_problem(p_machine_id int, p_parameter_id int, p_value float8)
        RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
            SELECT ald.value_problem(p, p_value)
            FROM ald.component_parameters p WHERE p.machine_id = p_machine_id AND p.parameter_id = p_parameter_id
        $$;

        CREATE FUNCTION ald.check_set_value() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE problem text := ald.value_problem(NEW, NEW.set_value);
        BEGIN
            IF problem IS NOT NULL THEN
                RAISE EXCEPTION '%', problem USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME,
                    CONSTRAINT = 'component_parameters_set_value_is_allowed', SCHEMA = TG_TABLE_SCHEMA;
            END IF;
            RETURN NEW;
        END $$;
        COMMENT ON FUNCTION ald.check_set_value IS 'Refuses (23514) a set point that no command may write.';
        CREATE TRIGGER a_set_value BEFORE INSERT OR UPDATE OF set_value ON ald.component_parameters FOR EACH ROW
            WHEN (NEW.set_value IS NOT NULL) EXECUTE FUNCTION ald.check_set_value();
        """

    /// A recipe is judged when it is released, when it is asked for, when it begins and when its process is entered:
    /// limits may have changed in between.
    static let checkedRecipesScript = """
        CREATE OR REPLACE FUNCTION ald.recipe_problems(p_machine_id int, p_recipe_id bigint, p_version int)
        RETURNS SETOF text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
            WITH steps AS (
                SELECT s.*, p AS target, p.component || '.' || p.name AS parameter, p.data_type
                FROM ald.recipe_steps s LEFT JOIN ald.component_parameters p USING (machine_id, parameter_id)
                WHERE s.machine_id = p_machine_id AND s.recipe_id = p_recipe_id AND s.version = p_version)
            SELECT 'it has no steps' WHERE NOT EXISTS (SELECT FROM steps)
            UNION ALL
            SELECT format('step %s: the loop is empty', s.step_id) FROM steps s
            WHERE s.kind = 'loop' AND NOT EXISTS (SELECT FROM steps c WHERE c.parent_step_id = s.step_id)
            UNION ALL
            SELECT format('step %s: %s is no valve, its type is %s', s.step_id, s.parameter, s.data_type) FROM steps s
            WHERE s.kind = 'valve' AND s.data_type <> 'binary'
            UNION ALL
            SELECT format('step %s: %s', s.step_id, problem) FROM steps s, LATERAL (SELECT
                -- a valve is opened and must be closed
                CASE s.kind WHEN 'valve' THEN coalesce(ald.value_problem(s.target, 1), ald.value_problem(s.target, 0))
                ELSE ald.value_problem(s.target, s.target_value) END) x(problem)
            WHERE s.parameter_id IS NOT NULL AND problem IS NOT NULL
        $$;
        COMMENT ON FUNCTION ald.recipe_problems IS
            'Why a version cannot be released or run as things are; no row when it can.';

        CREATE FUNCTION ald.recipe_obstacle(p_machine_id int, p_recipe_id bigint, p_version int) RETURNS text
        LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 AS $$
            SELECT format('recipe %s, version %s ', p_recipe_id, p_version) || CASE
                WHEN v.status IS DISTINCT FROM 'released' THEN 'is not released'
                ELSE 'cannot be run: ' || (SELECT string_agg(p, '; ')
                    FROM ald.recipe_problems(p_machine_id, p_recipe_id, p_version) p) END
            FROM (VALUES (true)) asked LEFT JOIN ald.recipe_versions v ON v.machine_id = p_machine_id
                AND v.recipe_id = p_recipe_id AND v.version = p_version
        $$;
        COMMENT ON FUNCTION ald.recipe_obstacle IS 'Why a version of a recipe may not be run now; null when it may.';

        CREATE FUNCTION ald.check_recipe_command() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE problem text;
        BEGIN
            IF NEW.kind = 'start' THEN
                problem := ald.recipe_obstacle(NEW.machine_id, NEW.recipe_id, NEW.recipe_version);
            ELSE
                SELECT format('process %s has ended', e.process_id) INTO problem FROM ald.process_executions e
                WHERE e.machine_id = NEW.machine_id AND e.process_id = NEW.process_id AND e.ended_at IS NOT NULL;
            END IF;
            IF problem IS NOT NULL THEN
                RAISE EXCEPTION '%', problem USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME,
                    CONSTRAINT = 'recipe_commands_is_allowed', SCHEMA = TG_TABLE_SCHEMA;
            END IF;
            RETURN NEW;
        END $$;
        COMMENT ON FUNCTION ald.check_recipe_command IS
            'Refuses (23514) to ask for a recipe that may not be run, or anything of a process that has ended.';
        CREATE TRIGGER d_allowed BEFORE INSERT ON ald.recipe_commands FOR EACH ROW
            WHEN (NEW.kind <> 'start' OR num_nonnulls(NEW.recipe_id, NEW.recipe_version) = 2)
            EXECUTE FUNCTION ald.check_recipe_command();

        CREATE FUNCTION ald.request_recipe_command(
            p_machine_id int, p_request_id uuid, p_kind text, p_recipe_id bigint, p_recipe_version int,
            p_process_id bigint, p_timeout_seconds float8, p_requested_by text, p_reason text
        ) RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE id bigint;
        BEGIN
            -- What is known already is not judged again: limits may have changed since it was asked for.
            IF NOT EXISTS (SELECT FROM ald.recipe_commands c
                           WHERE c.machine_id = p_machine_id AND c.request_id = p_request_id) THEN
                INSERT INTO ald.recipe_commands (machine_id, request_id, kind, recipe_id, recipe_version, process_id,
                    not_after, requested_by, reason)
                VALUES (p_machine_id, p_request_id, p_kind, p_recipe_id, p_recipe_version, p_process_id,
                    clock_timestamp() + make_interval(secs => p_timeout_seconds), p_requested_by, p_reason)
                ON CONFLICT (machine_id, request_id) DO NOTHING RETURNING command_id INTO id;
            END IF;
            IF id IS NULL THEN
                SELECT c.command_id INTO id FROM ald.recipe_commands c
                WHERE c.machine_id = p_machine_id AND c.request_id = p_request_id
                    AND (c.kind, c.recipe_id, c.recipe_version, c.process_id)
                        IS NOT DISTINCT FROM (p_kind, p_recipe_id, p_recipe_version, p_process_id);
            END IF;
            IF id IS NULL THEN
                RAISE EXCEPTION 'request % of machine % asked for something else', p_request_id, p_machine_id
                    USING ERRCODE = 'unique_violation';
            END IF;
            RETURN id;
        END $$;
        COMMENT ON FUNCTION ald.request_recipe_command IS
            'Asks the recipe service to start a version of a recipe, or to stop, pause or resume a process, once however '
            'often it is called with the same request; returns the command.';

        CREATE OR REPLACE FUNCTION ald.begin_recipe_command(
            p_machine_id int, p_command_id bigint, p_worker text, p_lease_seconds float8
        ) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            command ald.recipe_commands;
            problem text;
        BEGIN
            SELECT * INTO command FROM ald.recipe_commands c
            WHERE c.machine_id = p_machine_id AND c.command_id = p_command_id AND c.claimed_by = p_worker
                AND c.status = 'claimed' AND c.lease_until > clock_timestamp() AND c.not_after > clock_timestamp()
            FOR UPDATE;
            IF NOT FOUND THEN RETURN false; END IF;
            IF command.kind = 'start' THEN
                problem := ald.recipe_obstacle(p_machine_id, command.recipe_id, command.recipe_version);
            END IF;
            UPDATE ald.recipe_commands c SET
                status = CASE WHEN problem IS NULL THEN 'executing' ELSE 'failed' END, error = problem,
                executing_at = CASE WHEN problem IS NULL THEN clock_timestamp() END,
                finished_at = CASE WHEN problem IS NOT NULL THEN clock_timestamp() END,
                lease_until = CASE WHEN problem IS NULL THEN clock_timestamp() + make_interval(secs => p_lease_seconds)
                    END
            WHERE c.machine_id = p_machine_id AND c.command_id = p_command_id;
            RETURN problem IS NULL;
        END $$;
        COMMENT ON FUNCTION ald.begin_recipe_command IS
            'Must return true before anything is done: the claim and the deadline still hold, and a recipe that is to '
            'start is still released and within the limits. Otherwise the command has failed and says why.';

        CREATE OR REPLACE FUNCTION ald.check_process() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE problem text;
        BEGIN
            IF TG_OP = 'INSERT' AND NEW.recipe_id IS NOT NULL THEN
                problem := ald.recipe_obstacle(NEW.machine_id, NEW.recipe_id, NEW.recipe_version);
                IF problem IS NOT NULL THEN
                    RAISE EXCEPTION '%', problem USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME,
                        CONSTRAINT = 'process_executions_runs_a_release', SCHEMA = TG_TABLE_SCHEMA;
                END IF;
            END IF;
            IF NEW.status IN ('completed', 'failed', 'aborted') THEN
                NEW.ended_at := coalesce(NEW.ended_at, clock_timestamp());
            END IF;
            RETURN NEW;
        END $$;
        COMMENT ON FUNCTION ald.check_process IS
            'Only released versions within the limits are run (23514); an end has its time.';
        """
}
