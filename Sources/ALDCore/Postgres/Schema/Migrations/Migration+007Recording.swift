extension Migration {
    /// History, process points and current values in one call.
    static let recordingScript = """
        CREATE FUNCTION ald_history.take_turn(p_machine_id int) RETURNS void
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF current_setting('transaction_isolation') <> 'read committed' THEN
                RAISE EXCEPTION 'recording needs the isolation level read committed, not %',
                    current_setting('transaction_isolation') USING ERRCODE = 'active_sql_transaction',
                    HINT = 'An older snapshot would not show what was recorded while this one waited for its turn.';
            END IF;
            PERFORM pg_advisory_xact_lock(hashtext('ald.machine'), p_machine_id);
        END $$;
        COMMENT ON FUNCTION ald_history.take_turn IS
            'Recording, and the start and the end of a process, take turns per machine: one lock that is taken '
            'before any row and held to the end. So they cannot deadlock, and each sees all that came before it.';

        CREATE FUNCTION ald.record_cycle(
            p_machine_id int, p_origin bigint, p_batch bigint, p_rows int, p_sha256 bytea,
            p_parameters int[], p_times timestamptz[], p_values float8[], p_qualities smallint[],
            OUT status int, OUT history_rows int, OUT process_rows int, OUT current_values int
        ) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            earliest timestamptz;
            latest timestamptz;
            process record;
            points int;
        BEGIN
            history_rows := 0; process_rows := 0; current_values := 0;
            PERFORM ald_history.take_turn(p_machine_id);
            SELECT min(t), max(t) INTO earliest, latest FROM unnest(p_times) t;
            status := ald_history.claim_batch(p_machine_id, p_origin, p_batch, p_rows, p_sha256, earliest, latest);
            IF status <> 1 THEN RETURN; END IF;
            PERFORM ald_history.insert_readings(
                p_machine_id, p_rows, p_parameters, p_times, p_values, p_qualities, earliest, latest);
            history_rows := p_rows;

            FOR process IN
                SELECT e.process_id, e.started_at, coalesce(e.ended_at, 'infinity') AS ended_at
                FROM ald.process_executions e
                WHERE e.machine_id = p_machine_id AND e.started_at <= latest
                    AND (e.ended_at IS NULL OR e.ended_at > earliest)
            LOOP
                INSERT INTO ald_history.process_data_points
                    (machine_id, process_id, parameter_id, sampled_at, value, quality)
                SELECT p_machine_id, process.process_id, u.* FROM unnest(p_parameters, p_times, p_values, p_qualities)
                    u(parameter_id, sampled_at, value, quality)
                WHERE u.sampled_at >= process.started_at AND u.sampled_at < process.ended_at;
                GET DIAGNOSTICS points = ROW_COUNT;
                process_rows := process_rows + points;
            END LOOP;

            -- What a cycle usually is: one instant, newer than all there is, of parameters that are first in the row.
            UPDATE ald_history.current_readings c SET newest_at = latest,
                sampled_at = p_times || c.sampled_at[p_rows + 1:], readings = p_values || c.readings[p_rows + 1:],
                qualities = p_qualities || c.qualities[p_rows + 1:]
            WHERE c.machine_id = p_machine_id AND earliest = latest AND c.newest_at < latest
                AND c.parameter_ids[:p_rows] = p_parameters;
            IF FOUND THEN current_values := p_rows; RETURN; END IF;
            -- Everything else is merged. A batch that waited in a spool never overwrites what is newer.
            WITH every AS (
                    SELECT c.*, 1000000000 + c.n AS place FROM ald_history.current_readings r,
                        unnest(r.parameter_ids, r.sampled_at, r.readings, r.qualities) WITH ORDINALITY c(p, t, v, q, n)
                    WHERE r.machine_id = p_machine_id
                    UNION ALL
                    SELECT b.*, b.n
                    FROM unnest(p_parameters, p_times, p_values, p_qualities) WITH ORDINALITY b(p, t, v, q, n)),
                newest AS (SELECT DISTINCT ON (p) * FROM every ORDER BY p, t DESC, place DESC),
                written AS (
                    INSERT INTO ald_history.current_readings AS r
                        (machine_id, newest_at, parameter_ids, sampled_at, readings, qualities)
                    SELECT p_machine_id, max(t), array_agg(p ORDER BY place), array_agg(t ORDER BY place),
                        array_agg(v ORDER BY place), array_agg(q ORDER BY place) FROM newest HAVING count(*) > 0
                    ON CONFLICT (machine_id) DO UPDATE SET newest_at = excluded.newest_at,
                        parameter_ids = excluded.parameter_ids, sampled_at = excluded.sampled_at,
                        readings = excluded.readings, qualities = excluded.qualities)
            SELECT count(*) FILTER (WHERE place < 1000000000) INTO current_values FROM newest;
        END $$;
        COMMENT ON FUNCTION ald.record_cycle IS
            'Records readings of one machine, usually of one instant: history always, process points for the time a '
            'process ran, the current value where none is newer; all or nothing, and once per origin and batch. '
            'status: 1 recorded, 0 recorded earlier, 2 this name has other contents, 3 its writer had forgotten it; '
            'nothing is written unless it is 1.';

        CREATE FUNCTION ald_history.follow_process() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE month date;
        BEGIN
            PERFORM ald_history.take_turn(NEW.machine_id);
            IF TG_OP = 'INSERT' THEN
                FOR month IN
                    SELECT DISTINCT date_trunc('month', h.sampled_at AT TIME ZONE 'UTC')
                    FROM ald.parameter_value_history h
                    WHERE h.machine_id = NEW.machine_id AND h.sampled_at >= NEW.started_at
                        AND h.sampled_at < coalesce(NEW.ended_at, 'infinity')
                LOOP
                    PERFORM ald_history.ensure_partition('process_data_points', month, true);
                END LOOP;
                INSERT INTO ald_history.process_data_points
                    (machine_id, process_id, parameter_id, sampled_at, value, quality)
                SELECT h.machine_id, NEW.process_id, h.parameter_id, h.sampled_at, h.value, h.quality
                FROM ald.parameter_value_history h
                WHERE h.machine_id = NEW.machine_id AND h.sampled_at >= NEW.started_at
                    AND h.sampled_at < coalesce(NEW.ended_at, 'infinity');
            ELSE
                DELETE FROM ald_history.process_data_points p
                WHERE p.machine_id = NEW.machine_id AND p.process_id = NEW.process_id AND p.sampled_at >= NEW.ended_at;
            END IF;
            RETURN NULL;
        END $$;
        COMMENT ON FUNCTION ald_history.follow_process IS
            'A process that starts gets the readings recorded since its start, one that ends gives back those '
            'after its end.';
        CREATE TRIGGER y_points_begin AFTER INSERT ON ald.process_executions
            FOR EACH ROW EXECUTE FUNCTION ald_history.follow_process();
        CREATE TRIGGER y_points_end AFTER UPDATE ON ald.process_executions FOR EACH ROW
            WHEN (NEW.ended_at IS NOT NULL AND OLD.ended_at IS DISTINCT FROM NEW.ended_at)
            EXECUTE FUNCTION ald_history.follow_process();

        INSERT INTO ald.role_grants (role, privileges, object)
        SELECT 'ald_' || r, p, k || ' ' || o FROM (VALUES
            ('recipes commands operator reader auditor', 'SELECT', 'TABLE',
                'ald_history.current_readings ald.component_parameter_values ald.component_parameters_full'),
            ('recipes commands', 'UPDATE (set_value)', 'TABLE', 'ald.component_parameters'),
            ('collector', 'EXECUTE', 'FUNCTION', 'ald.record_cycle'),
            ('collector', 'UPDATE (set_value)', 'TABLE', 'ald.component_parameters')
        ) g(roles, p, k, objects), string_to_table(roles, ' ') r, regexp_split_to_table(objects, '[[:space:]]+') o;
        SELECT ald.apply_grants();
        """
}
