extension Migration {
    /// A parameter command costs the database a third of what it did, and no more after a thousand others.
    static let quickCommands = Migration(
        version: 26, name: "quick commands",
        script: [quickChecksScript, quickAuditScript, quickTakingScript].joined(separator: "\n\n"))

    /// The same answers as before. A function in SQL is planned for each call, one in PL/pgSQL once for each session.
    private static let quickChecksScript = """
        CREATE OR REPLACE FUNCTION ald.value_problem(p ald.component_parameters, p_value float8) RETURNS text
        LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            RETURN CASE
                -- is_writable has no value yet in a trigger before the row is stored
                WHEN p.write_location IS NULL OR p.write_protected THEN
                    format('%s.%s cannot be written', p.component, p.name)
                WHEN p_value NOT BETWEEN p.min_value AND p.max_value THEN
                    format('%s for %s.%s is outside of %s to %s', p_value, p.component, p.name, p.min_value,
                        p.max_value)
                WHEN p.data_type <> 'float' AND p.scale_factor = 1 AND p.scale_offset = 0
                    AND p_value <> trunc(p_value) THEN
                    format('%s for %s.%s is not whole, its type is %s', p_value, p.component, p.name, p.data_type)
                END;
        END $$;

        CREATE OR REPLACE FUNCTION ald.command_problem(p_machine_id int, p_parameter_id int, p_value float8)
        RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            parameter ald.component_parameters;
            problem text;
        BEGIN
            SELECT * INTO parameter FROM ald.component_parameters p
            WHERE p.machine_id = p_machine_id AND p.parameter_id = p_parameter_id;
            IF NOT FOUND THEN RETURN NULL; END IF;
            problem := ald.value_problem(parameter, p_value);
            -- whoever runs a recipe has its valves to himself; to close one is always allowed
            IF problem IS NULL AND p_value <> 0 AND parameter.data_type = 'binary'
                AND ald.running_recipe(p_machine_id) IS NOT NULL AND ald.is_valve(p_machine_id, p_parameter_id) THEN
                problem := format('%s.%s is a valve, and process %s runs a recipe: stop it first',
                    parameter.component, parameter.name, ald.running_recipe(p_machine_id));
            END IF;
            RETURN problem;
        END $$;

        -- asked by the row security of every table
        CREATE OR REPLACE FUNCTION ald.my_machines() RETURNS SETOF int
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            RETURN QUERY
                WITH mine AS (SELECT b.machine_id FROM ald.machine_members b WHERE b.member = ald.current_member())
                SELECT m.machine_id FROM mine m WHERE m.machine_id IS NOT NULL
                UNION SELECT m.machine_id FROM ald.machines m WHERE EXISTS (SELECT FROM mine WHERE machine_id IS NULL)
                UNION SELECT 0 WHERE EXISTS (SELECT FROM mine WHERE machine_id IS NULL);
        END $$;

        CREATE OR REPLACE FUNCTION ald.refuse_illegal_transition() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            earlier text := '';
            later text := NEW.status;
        BEGIN
            IF TG_OP = 'UPDATE' THEN earlier := OLD.status; END IF;
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

        CREATE OR REPLACE FUNCTION ald.refuse_other_identity() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            earlier jsonb := to_jsonb(OLD);
            later jsonb := to_jsonb(NEW);
            changed text;
        BEGIN
            SELECT string_agg(c, ', ') INTO changed FROM unnest(TG_ARGV) c
            WHERE earlier -> c IS DISTINCT FROM later -> c;
            IF changed IS NOT NULL THEN
                RAISE EXCEPTION '%: % cannot change after the row was created', TG_TABLE_NAME, changed
                    USING ERRCODE = 'AL011', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
            END IF;
            RETURN NEW;
        END $$;

        -- called only when there is something to refuse
        DROP TRIGGER c_identity ON ald.parameter_control_commands;
        CREATE TRIGGER c_identity BEFORE UPDATE ON ald.parameter_control_commands FOR EACH ROW
            WHEN ((OLD.machine_id, OLD.command_id, OLD.request_id, OLD.parameter_id, OLD.target_value, OLD.requested_by,
                OLD.reason, OLD.created_at, OLD.not_after) IS DISTINCT FROM (NEW.machine_id, NEW.command_id,
                NEW.request_id, NEW.parameter_id, NEW.target_value, NEW.requested_by, NEW.reason, NEW.created_at,
                NEW.not_after))
            EXECUTE FUNCTION ald.refuse_other_identity('machine_id', 'command_id', 'request_id', 'parameter_id',
                'target_value', 'requested_by', 'reason', 'created_at', 'not_after');
        """

    /// The same entries and the same hashes as before.
    private static let quickAuditScript = """
        CREATE OR REPLACE FUNCTION ald.audit_context() RETURNS jsonb
        LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            RETURN jsonb_strip_nulls(jsonb_build_object(
                'acting_for', coalesce(nullif(current_setting('ald.acting_for', true), ''),
                    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'),
                'reason', nullif(current_setting('ald.reason', true), ''),
                'application', nullif(current_setting('application_name', true), '')));
        END $$;

        CREATE OR REPLACE FUNCTION ald.audit_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres'
        SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
        DECLARE
            earlier jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
            later jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
            contents jsonb := coalesce(later, earlier);
            noted jsonb := coalesce(nullif(current_setting('ald.audit_noted', true), ''), '[]')::jsonb;
            context jsonb := coalesce(noted -> 0 -> 'context', ald.audit_context());
            others bigint := (noted -> 0 ->> 'changes')::bigint - 1;
        BEGIN
            IF noted <> '[]' THEN
                PERFORM set_config('ald.audit_noted', CASE WHEN others > 0
                    THEN jsonb_set(noted, '{0,changes}', to_jsonb(others)) ELSE noted - 0 END::text, true);
            END IF;
            IF TG_OP = 'UPDATE' THEN
                SELECT jsonb_object_agg(key, earlier -> key), jsonb_object_agg(key, value) INTO earlier, later
                FROM jsonb_each(later) WHERE earlier -> key IS DISTINCT FROM value;
                IF later IS NULL THEN RETURN NULL; END IF;
            END IF;
            INSERT INTO ald.audit_log (machine_id, acting_for, reason, application, action, table_name, row_key,
                old_values, new_values)
            VALUES (coalesce((contents ->> 'machine_id')::int, 0), context ->> 'acting_for',
                coalesce(context ->> 'reason', nullif(contents ->> 'reason', '')), context ->> 'application',
                TG_OP, TG_TABLE_NAME, (SELECT jsonb_object_agg(c, contents -> c) FROM unnest(TG_ARGV) c), earlier,
                later);
            RETURN NULL;
        END $$;

        CREATE OR REPLACE FUNCTION ald.audit_hash(p_chain text, p_previous bytea, p_row jsonb) RETURNS bytea
        LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            RETURN (
                SELECT sha256(p_previous
                    || convert_to(p_chain || ' ' || coalesce(jsonb_object_agg(key, value)::text, ''), 'UTF8'))
                FROM jsonb_each(p_row - '{previous_hash,row_hash}'::text[]) WHERE value <> 'null');
        END $$;

        CREATE OR REPLACE FUNCTION ald.chain_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres'
        SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
        DECLARE head ald.audit_chain_heads;
        BEGIN
            -- locked without another version of it: whoever looks walks through all those of its transaction
            SELECT * INTO head FROM ald.audit_chain_heads h
            WHERE h.chain = TG_TABLE_NAME AND h.machine_id = NEW.machine_id FOR NO KEY UPDATE;
            IF NOT FOUND THEN
                INSERT INTO ald.audit_chain_heads AS h (chain, machine_id, seq, hash)
                VALUES (TG_TABLE_NAME, NEW.machine_id, 0, decode(repeat('00', 32), 'hex'))
                ON CONFLICT (chain, machine_id) DO UPDATE SET seq = h.seq RETURNING * INTO head;
            END IF;
            -- whoever writes does not say when; and now that it is our turn, times rise with the numbers
            NEW.recorded_at := clock_timestamp();
            NEW.seq := head.seq + 1;
            NEW.previous_hash := head.hash;
            NEW.row_hash := ald.audit_hash(TG_TABLE_NAME, head.hash, to_jsonb(NEW));
            UPDATE ald.audit_chain_heads h SET seq = NEW.seq, hash = NEW.row_hash
            WHERE h.chain = TG_TABLE_NAME AND h.machine_id = NEW.machine_id;
            RETURN NEW;
        END $$;
        """

    /// A handful of commands is one change instead of two for each of them, since every statement prepares the table's
    /// checks anew. Statements are planned for each call: what was planned while the table was empty goes through all
    /// of it, and thousands of commands may come before anybody counts its rows.
    private static let quickTakingScript = """
        CREATE INDEX parameter_control_commands_due ON ald.parameter_control_commands (machine_id, not_after)
            WHERE status = 'pending';

        CREATE OR REPLACE FUNCTION ald.expire_parameter_commands(p_machine_id int) RETURNS int
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
        DECLARE
            now timestamptz := clock_timestamp();
            pending bigint[];
            claimed bigint[];
        BEGIN
            SELECT array_agg(o.command_id) INTO pending FROM (
                SELECT c.command_id FROM ald.parameter_control_commands c
                WHERE c.machine_id = p_machine_id AND c.status = 'pending' AND c.not_after <= now
                FOR UPDATE SKIP LOCKED) o;
            SELECT array_agg(o.command_id) INTO claimed FROM (
                SELECT c.command_id FROM ald.parameter_control_commands c
                WHERE c.machine_id = p_machine_id AND c.status = 'claimed' AND c.lease_until <= now
                    AND (c.not_after <= now OR c.attempts >= 5)
                FOR UPDATE SKIP LOCKED) o;
            IF num_nonnulls(pending, claimed) = 0 THEN RETURN 0; END IF;
            UPDATE ald.parameter_control_commands c SET finished_at = now, lease_until = NULL,
                status = CASE WHEN c.not_after <= now THEN 'expired' ELSE 'failed' END,
                error = CASE WHEN c.not_after <= now THEN 'not begun in time'
                    ELSE format('claimed %s times and never begun', c.attempts) END
            WHERE c.machine_id = p_machine_id AND c.command_id = ANY (pending || claimed);
            RETURN cardinality(pending || claimed);
        END $$;

        INSERT INTO ald.status_transitions VALUES ('parameter_control_commands', 'pending', 'executing');

        CREATE FUNCTION ald.begin_parameter_commands(
            p_machine_id int, p_worker text, p_command_ids bigint[], p_detected_at timestamptz, p_lease_seconds float8
        ) RETURNS SETOF ald.parameter_control_commands LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
        SET plan_cache_mode = force_custom_plan AS $$
        DECLARE
            now timestamptz := clock_timestamp();
            item record;
            candidate bigint;
            allowed bigint[] := '{}';
            refused bigint[] := '{}';
        BEGIN
            -- as in begin_parameter_command: a run that begins sees these commands, or they see the run
            IF EXISTS (SELECT FROM ald.parameter_control_commands c
                       JOIN ald.component_parameters p USING (machine_id, parameter_id)
                       WHERE c.machine_id = p_machine_id AND c.command_id = ANY (p_command_ids)
                           AND c.target_value <> 0 AND p.data_type = 'binary') THEN
                PERFORM ald.hold_machine_state(p_machine_id);
            END IF;
            -- whoever waits for one of them has decided nothing yet: the statements behind this one see what is so then
            PERFORM FROM ald.parameter_control_commands c
            WHERE c.machine_id = p_machine_id AND c.command_id = ANY (p_command_ids)
                AND (c.status = 'pending' OR c.status = 'claimed' AND c.lease_until <= now)
            ORDER BY c.command_id FOR UPDATE;
            -- limits may have changed since it was asked for
            FOR item IN
                SELECT c.command_id,
                    ald.command_problem(p_machine_id, c.parameter_id, c.target_value) IS NULL AS is_allowed
                FROM ald.parameter_control_commands c
                WHERE c.machine_id = p_machine_id AND c.command_id = ANY (p_command_ids)
                    AND c.not_after > clock_timestamp() AND c.attempts < 5
                    AND (c.status = 'pending' OR c.status = 'claimed' AND c.lease_until <= now)
            LOOP
                IF item.is_allowed THEN
                    allowed := allowed || item.command_id;
                ELSE
                    refused := refused || item.command_id;
                END IF;
            END LOOP;
            RETURN QUERY
                UPDATE ald.parameter_control_commands c SET status = 'executing', executing_at = clock_timestamp(),
                    claimed_by = p_worker, claimed_at = p_detected_at, attempts = c.attempts + 1,
                    lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
                WHERE c.machine_id = p_machine_id AND c.command_id = ANY (allowed)
                    AND c.not_after > clock_timestamp()
                RETURNING c.*;
            UPDATE ald.parameter_control_commands c SET status = 'claimed',
                claimed_by = p_worker, claimed_at = p_detected_at, attempts = c.attempts + 1,
                lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
            WHERE c.machine_id = p_machine_id AND c.command_id = ANY (refused);
            FOREACH candidate IN ARRAY refused LOOP
                -- it ends it and says why, unless limits have just changed again
                IF ald.begin_parameter_command(p_machine_id, candidate, p_worker, p_lease_seconds) THEN
                    RETURN QUERY SELECT c.* FROM ald.parameter_control_commands c
                        WHERE c.machine_id = p_machine_id AND c.command_id = candidate;
                END IF;
            END LOOP;
        END $$;
        COMMENT ON FUNCTION ald.begin_parameter_commands IS
            'Claims and begins these commands; those that are returned are to be executed at once. unique_violation: '
            'another terminal has just claimed one of such a parameter.';

        CREATE OR REPLACE FUNCTION ald.take_parameter_commands(
            p_machine_id int, p_worker text, p_limit int, p_lease_seconds float8
        ) RETURNS SETOF ald.parameter_control_commands LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
        SET plan_cache_mode = force_custom_plan AS $$
        DECLARE
            now timestamptz;
            candidate bigint;
            candidates bigint[];
            begun ald.parameter_control_commands[];
        BEGIN
            PERFORM ald.expire_parameter_commands(p_machine_id);
            now := clock_timestamp();
            -- from the first open command of one parameter to that of the next: those behind them, and parameters
            -- without any, are not looked at
            WITH RECURSIVE firsts AS (
                (SELECT c.* FROM ald.parameter_control_commands c
                 WHERE c.machine_id = p_machine_id AND c.status IN ('pending', 'claimed', 'executing')
                 ORDER BY c.parameter_id, c.command_id LIMIT 1)
                UNION ALL
                SELECT n.* FROM firsts f CROSS JOIN LATERAL (
                    SELECT c.* FROM ald.parameter_control_commands c
                    WHERE c.machine_id = p_machine_id AND c.parameter_id > f.parameter_id
                        AND c.status IN ('pending', 'claimed', 'executing')
                    ORDER BY c.parameter_id, c.command_id LIMIT 1) n)
            SELECT array_agg(o.command_id) INTO candidates FROM (
                SELECT f.command_id FROM firsts f
                WHERE f.not_after > now AND f.attempts < 5
                    AND (f.status = 'pending' OR f.status = 'claimed' AND f.lease_until <= now)
                ORDER BY f.command_id LIMIT p_limit) o;
            now := clock_timestamp();
            BEGIN
                SELECT array_agg(c ORDER BY c.command_id) INTO begun
                FROM ald.begin_parameter_commands(p_machine_id, p_worker, candidates, now, p_lease_seconds) c;
                RETURN QUERY SELECT * FROM unnest(begun);
            EXCEPTION WHEN unique_violation THEN
                -- all but that one
                FOREACH candidate IN ARRAY candidates LOOP
                    BEGIN
                        RETURN QUERY SELECT * FROM ald.begin_parameter_commands(
                            p_machine_id, p_worker, ARRAY[candidate], now, p_lease_seconds);
                    EXCEPTION WHEN unique_violation THEN
                        CONTINUE;
                    END;
                END LOOP;
            END;
        END $$;

        CREATE OR REPLACE FUNCTION ald.finish_parameter_commands(
            p_machine_id int, p_worker text, p_command_ids bigint[], p_statuses text[], p_errors text[],
            p_actual_values float8[], p_written timestamptz[], p_verified timestamptz[]
        ) RETURNS SETOF bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
        SET plan_cache_mode = force_custom_plan AS $$
        DECLARE
            ended bigint[];
            item record;
        BEGIN
            PERFORM FROM ald.parameter_control_commands c
            WHERE c.machine_id = p_machine_id AND c.command_id = ANY (p_command_ids) AND c.claimed_by = p_worker
                AND c.finished_at IS NULL
            ORDER BY c.command_id FOR UPDATE;
            WITH told AS (
                UPDATE ald.parameter_control_commands c SET status = u.status, error = u.error, lease_until = NULL,
                    actual_value = u.actual, written_at = u.written, verified_at = u.verified,
                    finished_at = clock_timestamp()
                FROM unnest(p_command_ids, p_statuses, p_errors, p_actual_values, p_written, p_verified)
                    u(id, status, error, actual, written, verified)
                WHERE c.machine_id = p_machine_id AND c.command_id = u.id AND c.claimed_by = p_worker
                    AND c.finished_at IS NULL
                RETURNING c.command_id)
            SELECT array_agg(t.command_id) INTO ended FROM told t;
            FOR item IN
                SELECT c.parameter_id, c.target_value FROM ald.parameter_control_commands c
                JOIN ald.component_parameters p USING (machine_id, parameter_id)
                WHERE c.machine_id = p_machine_id AND c.command_id = ANY (ended) AND c.status = 'succeeded'
                    AND p.set_value IS DISTINCT FROM c.target_value
                ORDER BY c.command_id FOR NO KEY UPDATE OF p
            LOOP
                -- limits that were narrowed meanwhile do not keep the command from ending
                UPDATE ald.component_parameters p SET set_value = item.target_value
                WHERE p.machine_id = p_machine_id AND p.parameter_id = item.parameter_id
                    AND ald.command_problem(p_machine_id, item.parameter_id, item.target_value) IS NULL;
            END LOOP;
            RETURN QUERY
                SELECT unnest(ended)
                -- the answer to an earlier call may have been lost
                UNION SELECT u.id FROM unnest(p_command_ids, p_statuses) u(id, status)
                    JOIN ald.parameter_control_commands c ON c.machine_id = p_machine_id AND c.command_id = u.id
                    WHERE c.claimed_by = p_worker AND c.status = u.status;
        END $$;

        ALTER FUNCTION ald.retake_parameter_commands(int, text, int, float8, bigint[])
            SET plan_cache_mode = force_custom_plan;
        ALTER FUNCTION ald.adopt_parameter_commands(int, text, float8) SET plan_cache_mode = force_custom_plan;

        INSERT INTO ald.role_grants (role, privileges, object) VALUES
            ('ald_commands', 'EXECUTE', 'FUNCTION ald.begin_parameter_commands');
        SELECT ald.apply_grants();
        """
}
