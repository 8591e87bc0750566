extension Migration {
    /// Recipes whose released versions never change, and the rules that everything with a status shares.
    static let recipesScript = """
        -- what may follow what, for everything that has a status
        CREATE TABLE ald.status_transitions (
            subject text NOT NULL,
            from_status text NOT NULL,
            to_status text NOT NULL CHECK (to_status <> '' AND to_status <> from_status),
            PRIMARY KEY (subject, from_status, to_status)
        );
        COMMENT ON TABLE ald.status_transitions IS
            'Every legal change of a status; a change that is not listed is refused by a trigger of the table named '
            'here.';
        COMMENT ON COLUMN ald.status_transitions.subject IS 'Name of the table.';
        COMMENT ON COLUMN ald.status_transitions.from_status IS 'The status before; empty: a row may be created so.';

        CREATE FUNCTION ald.refuse_illegal_transition() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            earlier text := CASE TG_OP WHEN 'INSERT' THEN '' ELSE to_jsonb(OLD) ->> 'status' END;
            later text := to_jsonb(NEW) ->> 'status';
        BEGIN
            IF earlier IS DISTINCT FROM later AND NOT EXISTS (
                SELECT FROM ald.status_transitions t
                WHERE t.subject = TG_TABLE_NAME AND t.from_status = earlier AND t.to_status = later)
            THEN
                RAISE EXCEPTION '% cannot %', TG_TABLE_NAME,
                    CASE earlier WHEN '' THEN 'begin as ' || later ELSE 'go from ' || earlier || ' to ' || later END
                    USING ERRCODE = 'AL010', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA, COLUMN = 'status';
            END IF;
            RETURN NEW;
        END $$;
        COMMENT ON FUNCTION ald.refuse_illegal_transition IS 'Refuses (AL010) what status_transitions does not list.';

        CREATE FUNCTION ald.refuse_change() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            RAISE EXCEPTION '%: % is refused, %', TG_TABLE_NAME, TG_OP, TG_ARGV[0]
                USING ERRCODE = 'AL011', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
        END $$;
        COMMENT ON FUNCTION ald.refuse_change IS 'Refuses (AL011) the change, with the reason given by the trigger.';

        -- the trigger's arguments are the columns that keep the value they were created with
        CREATE FUNCTION ald.refuse_other_identity() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE changed text;
        BEGIN
            SELECT string_agg(c, ', ') INTO changed FROM unnest(TG_ARGV) c
            WHERE to_jsonb(OLD) -> c IS DISTINCT FROM to_jsonb(NEW) -> c;
            IF changed IS NOT NULL THEN
                RAISE EXCEPTION '%: % cannot change after the row was created', TG_TABLE_NAME, changed
                    USING ERRCODE = 'AL011', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
            END IF;
            RETURN NEW;
        END $$;
        COMMENT ON FUNCTION ald.refuse_other_identity IS
            'Refuses (AL011) new values in the columns named by the trigger.';

        CREATE TABLE ald.recipes (
            machine_id int NOT NULL REFERENCES ald.machines,
            recipe_id bigint GENERATED ALWAYS AS IDENTITY,
            name text NOT NULL CHECK (name <> ''),
            description text NOT NULL DEFAULT '',
            created_by text NOT NULL DEFAULT session_user CHECK (created_by <> ''),
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (machine_id, recipe_id),
            UNIQUE (machine_id, name)
        );
        COMMENT ON TABLE ald.recipes IS
            'A recipe by name. It belongs to one machine, because its steps name that machine''s parameters.';

        CREATE TABLE ald.recipe_versions (
            machine_id int NOT NULL,
            recipe_id bigint NOT NULL,
            version int NOT NULL CHECK (version > 0),
            status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'released', 'withdrawn')),
            note text NOT NULL DEFAULT '',
            created_by text NOT NULL DEFAULT session_user CHECK (created_by <> ''),
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            released_by text CHECK (released_by <> ''),
            released_at timestamptz,
            steps_sha256 bytea CHECK (octet_length(steps_sha256) = 32),
            PRIMARY KEY (machine_id, recipe_id, version),
            FOREIGN KEY (machine_id, recipe_id) REFERENCES ald.recipes,
            CONSTRAINT recipe_versions_release_is_signed CHECK (
                num_nonnulls(released_by, released_at, steps_sha256) = CASE status WHEN 'draft' THEN 0 ELSE 3 END)
        );
        COMMENT ON TABLE ald.recipe_versions IS
            'Versions of a recipe. A draft can be edited and not run; a released version can be run and never edited.';
        COMMENT ON COLUMN ald.recipe_versions.note IS 'What is different in this version, and why.';
        COMMENT ON COLUMN ald.recipe_versions.released_by IS 'Who answers for it; must be given to release it.';
        COMMENT ON COLUMN ald.recipe_versions.steps_sha256 IS
            'Digest of the steps at release, which binds the release to what was released.';
        INSERT INTO ald.status_transitions VALUES
            ('recipe_versions', '', 'draft'), ('recipe_versions', 'draft', 'released'),
            ('recipe_versions', 'released', 'withdrawn');

        CREATE TABLE ald.recipe_steps (
            machine_id int NOT NULL,
            recipe_id bigint NOT NULL,
            version int NOT NULL,
            step_id int NOT NULL CHECK (step_id > 0),
            parent_step_id int,
            depth smallint NOT NULL DEFAULT 0,
            position int NOT NULL CHECK (position > 0),
            kind text NOT NULL CHECK (kind IN ('valve', 'purge', 'parameter', 'loop', 'wait')),
            name text NOT NULL DEFAULT '',
            parameter_id int,
            duration_ms int CHECK (duration_ms BETWEEN 1 AND 86400000),
            target_value float8 CHECK (target_value > '-Infinity' AND target_value < 'Infinity'),
            ramp_per_second float8 CHECK (ramp_per_second > 0 AND ramp_per_second < 'Infinity'),
            hold_ms int CHECK (hold_ms BETWEEN 0 AND 86400000),
            gas text CHECK (gas <> ''),
            iterations int CHECK (iterations BETWEEN 1 AND 1000000),
            parent_depth smallint GENERATED ALWAYS AS (CASE WHEN parent_step_id IS NOT NULL THEN depth - 1 END) STORED,
            parent_kind text GENERATED ALWAYS AS (CASE WHEN parent_step_id IS NOT NULL THEN 'loop' END) STORED,
            PRIMARY KEY (machine_id, recipe_id, version, step_id),
            UNIQUE (machine_id, recipe_id, version, step_id, depth, kind),
            UNIQUE NULLS NOT DISTINCT (machine_id, recipe_id, version, parent_step_id, position),
            FOREIGN KEY (machine_id, recipe_id, version) REFERENCES ald.recipe_versions ON DELETE CASCADE,
            FOREIGN KEY (machine_id, parameter_id) REFERENCES ald.component_parameters,
            -- a parent is a loop one level up, so circles cannot be built and the depth is bounded
            CONSTRAINT recipe_steps_parent_is_loop FOREIGN KEY
                (machine_id, recipe_id, version, parent_step_id, parent_depth, parent_kind)
                REFERENCES ald.recipe_steps (machine_id, recipe_id, version, step_id, depth, kind) ON DELETE CASCADE,
            CONSTRAINT recipe_steps_depth CHECK (
                depth BETWEEN 0 AND CASE kind WHEN 'loop' THEN 7 ELSE 8 END AND (depth = 0) = (parent_step_id IS NULL)),
            CONSTRAINT recipe_steps_shape CHECK (CASE kind
                WHEN 'valve' THEN num_nonnulls(parameter_id, duration_ms) = 2
                    AND num_nonnulls(target_value, ramp_per_second, hold_ms, gas, iterations) = 0
                WHEN 'purge' THEN num_nonnulls(duration_ms, gas) = 2 AND num_nonnulls(parameter_id, target_value) <> 1
                    AND num_nonnulls(ramp_per_second, hold_ms, iterations) = 0
                WHEN 'parameter' THEN num_nonnulls(parameter_id, target_value, hold_ms) = 3
                    AND num_nonnulls(duration_ms, gas, iterations) = 0
                WHEN 'loop' THEN iterations IS NOT NULL
                    AND num_nonnulls(parameter_id, duration_ms, target_value, ramp_per_second, hold_ms, gas) = 0
                WHEN 'wait' THEN duration_ms IS NOT NULL
                    AND num_nonnulls(parameter_id, target_value, ramp_per_second, hold_ms, gas, iterations) = 0 END)
        );
        COMMENT ON TABLE ald.recipe_steps IS
            'The steps of a version. Each kind has exactly its own settings; nothing that is missing is ever guessed.';
        COMMENT ON COLUMN ald.recipe_steps.step_id IS 'Number of the step within its version.';
        COMMENT ON COLUMN ald.recipe_steps.parent_step_id IS 'The loop it stands in; null at the top.';
        COMMENT ON COLUMN ald.recipe_steps.depth IS 'How many loops it stands in; loops nest to eight.';
        COMMENT ON COLUMN ald.recipe_steps.position IS 'Order among the steps of the same parent, from 1.';
        COMMENT ON COLUMN ald.recipe_steps.parameter_id IS
            'valve: the valve; parameter: what is set; purge: the flow that is set first, or null to leave it as it '
            'is.';
        COMMENT ON COLUMN ald.recipe_steps.duration_ms IS
            'valve: how long it is open; purge and wait: how long. To 24 hours.';
        COMMENT ON COLUMN ald.recipe_steps.target_value IS
            'parameter, and purge with a flow: the set point, in the unit.';
        COMMENT ON COLUMN ald.recipe_steps.ramp_per_second IS 'parameter: units per second; null: at once.';
        COMMENT ON COLUMN ald.recipe_steps.hold_ms IS 'parameter: how long to wait at the target.';
        COMMENT ON COLUMN ald.recipe_steps.gas IS 'purge: the gas, for the record.';
        COMMENT ON COLUMN ald.recipe_steps.iterations IS 'loop: how often.';
        COMMENT ON COLUMN ald.recipe_steps.parent_depth IS 'Derived; makes the parent a loop one level up.';
        COMMENT ON COLUMN ald.recipe_steps.parent_kind IS 'Derived; makes the parent a loop.';

        -- the lock on the version row makes an edit and a release wait for each other
        CREATE FUNCTION ald.refuse_released_steps() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            step ald.recipe_steps := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
            found_status text;
        BEGIN
            SELECT v.status INTO found_status FROM ald.recipe_versions v
            WHERE v.machine_id = step.machine_id AND v.recipe_id = step.recipe_id AND v.version = step.version
            FOR SHARE;
            -- no version: it is being deleted with its steps, or the foreign key says so
            IF found_status <> 'draft' THEN
                RAISE EXCEPTION 'recipe %, version % is %: make a new version to change it',
                    step.recipe_id, step.version, found_status
                    USING ERRCODE = 'AL011', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
            END IF;
            RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
        END $$;
        COMMENT ON FUNCTION ald.refuse_released_steps IS
            'Refuses (AL011) to edit the steps of a version that is no draft.';
        CREATE TRIGGER only_drafts BEFORE INSERT OR UPDATE OR DELETE ON ald.recipe_steps
            FOR EACH ROW EXECUTE FUNCTION ald.refuse_released_steps();
        CREATE TRIGGER only_drafts_move BEFORE UPDATE ON ald.recipe_steps FOR EACH ROW
            EXECUTE FUNCTION ald.refuse_other_identity('machine_id', 'recipe_id', 'version', 'step_id');
        CREATE TRIGGER no_truncate BEFORE TRUNCATE ON ald.recipe_steps
            FOR EACH STATEMENT EXECUTE FUNCTION ald.refuse_change('released recipes are kept');

        -- why a version cannot be released, one line per problem
        CREATE FUNCTION ald.recipe_problems(p_machine_id int, p_recipe_id bigint, p_version int)
        RETURNS SETOF text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
            WITH steps AS (
                SELECT s.*, p.component || '.' || p.name AS parameter, p.is_writable, p.data_type, p.min_value,
                    p.max_value
                FROM ald.recipe_steps s LEFT JOIN ald.component_parameters p USING (machine_id, parameter_id)
                WHERE s.machine_id = p_machine_id AND s.recipe_id = p_recipe_id AND s.version = p_version)
            SELECT 'it has no steps' WHERE NOT EXISTS (SELECT FROM steps)
            UNION ALL
            SELECT format('step %s: the loop is empty', s.step_id) FROM steps s
            WHERE s.kind = 'loop' AND NOT EXISTS (SELECT FROM steps c WHERE c.parent_step_id = s.step_id)
            UNION ALL
            SELECT format('step %s: %s cannot be written', s.step_id, s.parameter) FROM steps s WHERE NOT s.is_writable
            UNION ALL
            SELECT format('step %s: %s is no valve, its type is %s', s.step_id, s.parameter, s.data_type) FROM steps s
            WHERE s.kind = 'valve' AND s.data_type <> 'binary'
            UNION ALL
            SELECT format('step %s: %s for %s is outside of %s to %s',
                s.step_id, s.target_value, s.parameter, s.min_value, s.max_value)
            FROM steps s WHERE s.target_value NOT BETWEEN s.min_value AND s.max_value
        $$;
        COMMENT ON FUNCTION ald.recipe_problems IS 'Why a version cannot be released; no row when it can.';

        CREATE FUNCTION ald.check_recipe_version() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET extra_float_digits = 1 AS $$
        DECLARE problems text;
        BEGIN
            IF TG_OP = 'DELETE' THEN
                IF OLD.status = 'draft' THEN RETURN OLD; END IF;
                RAISE EXCEPTION 'recipe %, version % was released and is kept', OLD.recipe_id, OLD.version
                    USING ERRCODE = 'AL011', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
            END IF;
            IF OLD.status <> 'draft' AND to_jsonb(OLD) - 'status' IS DISTINCT FROM to_jsonb(NEW) - 'status' THEN
                RAISE EXCEPTION 'recipe %, version % was released and keeps what it was released with',
                    OLD.recipe_id, OLD.version
                    USING ERRCODE = 'AL011', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
            END IF;
            IF OLD.status = 'draft' AND NEW.status = 'released' THEN
                SELECT string_agg(p, '; ') INTO problems
                FROM ald.recipe_problems(NEW.machine_id, NEW.recipe_id, NEW.version) p;
                IF problems IS NOT NULL THEN
                    RAISE EXCEPTION 'recipe %, version % cannot be released: %', NEW.recipe_id, NEW.version, problems
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'recipe_versions_is_sound',
                            TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
                END IF;
                NEW.released_at := clock_timestamp();
                NEW.steps_sha256 := ald.recipe_digest(NEW.machine_id, NEW.recipe_id, NEW.version);
            END IF;
            RETURN NEW;
        END $$;
        COMMENT ON FUNCTION ald.check_recipe_version IS
            'Refuses to release what is not sound (23514) and to change or delete what was released (AL011).';
        CREATE FUNCTION ald.recipe_digest(p_machine_id int, p_recipe_id bigint, p_version int) RETURNS bytea
        LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 AS $$
            SELECT sha256(convert_to(jsonb_agg(jsonb_strip_nulls(to_jsonb(s)) ORDER BY s.step_id)::text, 'UTF8'))
            FROM ald.recipe_steps s
            WHERE s.machine_id = p_machine_id AND s.recipe_id = p_recipe_id AND s.version = p_version
        $$;
        COMMENT ON FUNCTION ald.recipe_digest IS 'What steps_sha256 must be for the steps as they are now.';
        CREATE TRIGGER a_transitions BEFORE INSERT OR UPDATE OF status ON ald.recipe_versions
            FOR EACH ROW EXECUTE FUNCTION ald.refuse_illegal_transition();
        CREATE TRIGGER b_contents BEFORE UPDATE OR DELETE ON ald.recipe_versions
            FOR EACH ROW EXECUTE FUNCTION ald.check_recipe_version();
        CREATE TRIGGER c_identity BEFORE UPDATE ON ald.recipe_versions FOR EACH ROW
            EXECUTE FUNCTION ald.refuse_other_identity(
                'machine_id', 'recipe_id', 'version', 'created_by', 'created_at');
        CREATE TRIGGER no_truncate BEFORE TRUNCATE ON ald.recipe_versions
            FOR EACH STATEMENT EXECUTE FUNCTION ald.refuse_change('released recipes are kept');
        """
}
