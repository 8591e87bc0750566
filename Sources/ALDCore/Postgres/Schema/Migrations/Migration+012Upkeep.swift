extension Migration {
    /// Maintenance also forgets ledger rows, and everybody who reads can see how far it is.
    static let upkeepScript = """
        ALTER TABLE ald_history.retention ADD COLUMN ledger interval NOT NULL DEFAULT '7 days'
            CONSTRAINT retention_ledger CHECK (ledger >= interval '2 days');
        COMMENT ON COLUMN ald_history.retention.ledger IS
            'How long the ledger knows a batch at least that its writer has forgotten. Far longer than a statement can '
            'run and than writers keep what was confirmed.';
        ALTER TABLE ald_history.retention ADD COLUMN ledger_floor timestamptz NOT NULL DEFAULT '-infinity';
        COMMENT ON COLUMN ald_history.retention.ledger_floor IS
            'Batches of readings that landed before this instant may have been removed from the ledger, later ones not.';

        -- A writer forgets its batches in their order, nearly in that of their times. So the lowest numbers are looked
        -- at, and not the whole ledger every minute.
        CREATE OR REPLACE FUNCTION ald.prune_ledger(
            p_now timestamptz, p_keep interval DEFAULT '7 days', p_limit int DEFAULT 100000
        ) RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE pruned int;
        BEGIN
            -- A statement that began before its batch was applied by another, and wakes up after its ledger row was
            -- pruned, would apply it again. statement_timeout ends it long before; an hour is hundreds of times that.
            IF (p_keep >= interval '1 hour') IS NOT TRUE THEN
                RAISE EXCEPTION 'the ledger is kept for at least an hour, not for %', p_keep
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            PERFORM ald_history.refuse_future(p_now);
            DELETE FROM ald_history.ingest_batches b WHERE (b.machine_id, b.origin, b.batch_number) IN (
                SELECT l.machine_id, l.origin, l.batch_number FROM ald_history.ingest_origins o
                CROSS JOIN LATERAL (SELECT * FROM ald_history.ingest_batches i
                    -- those of gaps and dead letters are few, and what proves that none of them is missing
                    WHERE i.machine_id = o.machine_id AND i.origin = o.origin AND i.batch_number <= o.low_water
                        AND i.first_at IS NOT NULL
                    ORDER BY i.batch_number LIMIT p_limit) l
                WHERE l.applied_at < p_now - p_keep LIMIT p_limit);
            GET DIAGNOSTICS pruned = ROW_COUNT;
            IF pruned > 0 THEN
                UPDATE ald_history.retention r SET ledger_floor = p_now - p_keep WHERE r.ledger_floor < p_now - p_keep;
            END IF;
            RETURN pruned;
        END $$;

        CREATE FUNCTION ald_history.raw_floor(p_now timestamptz, p_rolled_up boolean, OUT floor date,
            OUT hindrance text)
        LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
        DECLARE
            rule ald_history.retention;
            due date;
            dirty date;
            unreconciled date;
        BEGIN
            SELECT * INTO STRICT rule FROM ald_history.retention;
            due := p_now::date - rule.raw_days;
            SELECT min(q.bucket)::date INTO dirty FROM ald_history.rollup_queue q
            WHERE NOT p_rolled_up OR q.bucket > p_now - interval '5 minutes';
            SELECT min(greatest(b.first_at::date, rule.raw_floor)) INTO unreconciled
            FROM ald_history.ingest_batches b
            WHERE b.applied_at > p_now - rule.unreconciled AND b.last_at::date >= rule.raw_floor;
            floor := least(due, dirty, unreconciled);
            IF floor < due THEN
                hindrance := CASE floor WHEN dirty THEN 'readings of ' || floor || ' are not in the rollups yet'
                    ELSE 'readings of ' || floor || ' arrived within the last ' || rule.unreconciled END;
            END IF;
            floor := greatest(rule.raw_floor, floor);
        END $$;
        COMMENT ON FUNCTION ald_history.raw_floor IS
            'The first day whose readings are kept at this time, and why it is not a later one. p_rolled_up: as if the '
            'rollups had all that is due.';

        CREATE FUNCTION ald_history.rollup_floors(p_now timestamptz, p_raw_floor date, OUT five_minutes date,
            OUT hours date)
        LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
            -- five-minute rows are summed up anew from readings, so they live at least as long; hours likewise
            SELECT f.five_minutes, greatest(r.hour_floor,
                date_trunc('month', least(p_now::date - r.hour_days, f.five_minutes))::date)
            FROM ald_history.retention r, LATERAL (SELECT greatest(r.five_minute_floor,
                least(p_now::date - r.five_minute_days, p_raw_floor))) f(five_minutes)
        $$;
        COMMENT ON FUNCTION ald_history.rollup_floors IS
            'The first days whose rollups by five minutes and by hours are kept, given that of the readings.';

        CREATE OR REPLACE FUNCTION ald_history.apply_retention(p_now timestamptz, OUT dropped int, OUT hindrance text)
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '200ms' AS $$
        DECLARE
            raw date;
            five_minutes date;
            hours date;
        BEGIN
            dropped := 0;
            DELETE FROM ald_history.late_values l USING ald_history.retention r
            WHERE l.merged_at < p_now - make_interval(days => r.raw_days);
            BEGIN
                -- Nobody inserts from here on: what the queue says now stays true. The floor is raised with the drop; a
                -- batch that read the old one finds no partition, is sent again and goes to late_values.
                PERFORM pg_advisory_xact_lock(hashtext('ald_history.partitions'),
                    'ald_history.parameter_value_history'::regclass::oid::int);
                IF ald_history.has_before('parameter_value_history',
                    (SELECT p_now::date - r.raw_days FROM ald_history.retention r)) THEN
                    LOCK TABLE ONLY ald_history.parameter_value_history IN ACCESS EXCLUSIVE MODE;
                END IF;
                SELECT f.floor, f.hindrance INTO raw, hindrance FROM ald_history.raw_floor(p_now, false) f;
                dropped := dropped + ald_history.drop_before('parameter_value_history', raw);
                UPDATE ald_history.retention SET raw_floor = raw WHERE raw_floor <> raw;
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                hindrance := 'somebody reads the history for long';
            END;
            BEGIN
                SELECT f.five_minutes, f.hours INTO STRICT five_minutes, hours FROM ald_history.retention r,
                    ald_history.rollup_floors(p_now, r.raw_floor) f;
                dropped := dropped + ald_history.drop_before('rollup_5m', five_minutes)
                    + ald_history.drop_before('rollup_1h', hours);
                UPDATE ald_history.retention SET five_minute_floor = five_minutes, hour_floor = hours
                WHERE (five_minute_floor, hour_floor) <> (five_minutes, hours);
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                hindrance := coalesce(hindrance, 'somebody reads the rollups for long');
            END;
        END $$;

        DROP FUNCTION ald.maintain(timestamptz, int);
        CREATE FUNCTION ald.maintain(
            p_now timestamptz DEFAULT clock_timestamp(), p_limit int DEFAULT 1000,
            OUT rolled_up int, OUT late int, OUT created int, OUT dropped int, OUT pruned int, OUT hindrance text
        ) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM ald_history.refuse_future(p_now);
            rolled_up := 0; late := 0; created := 0; dropped := 0; pruned := 0;
            IF NOT pg_try_advisory_xact_lock(hashtext('ald.maintain')) THEN
                hindrance := 'somebody else is at it';
                RETURN;
            END IF;
            created := ald.ensure_history_partitions((p_now AT TIME ZONE 'UTC')::date - 1, 9);
            rolled_up := ald_history.roll_up(p_now, p_limit);
            late := ald_history.roll_up_late(p_now, p_limit * 100);
            -- what may still be reconciled is looked up there when a day is dropped
            SELECT ald.prune_ledger(p_now, greatest(r.ledger, r.unreconciled), p_limit * 20) INTO pruned
            FROM ald_history.retention r;
            SELECT r.dropped, r.hindrance INTO dropped, hindrance FROM ald_history.apply_retention(p_now) r;
        END $$;
        COMMENT ON FUNCTION ald.maintain IS
            'To be called every minute: makes partitions for a week ahead, brings at most p_limit buckets of five '
            'minutes up to date, adds at most p_limit * 100 late readings, removes at most p_limit * 20 rows of the '
            'ledger, drops what is kept no longer. hindrance says why something had to wait.';

        CREATE FUNCTION ald.maintenance_plan(p_now timestamptz DEFAULT clock_timestamp())
        RETURNS TABLE (task text, object text, amount bigint, bytes bigint)
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
        DECLARE
            raw date;
            hindrance text;
        BEGIN
            PERFORM ald_history.refuse_future(p_now);
            SELECT f.floor, f.hindrance INTO raw, hindrance FROM ald_history.raw_floor(p_now, true) f;
            RETURN QUERY
            SELECT 'create', 'parameter_value_history', count(*), NULL::bigint
            FROM generate_series(p_now::date - 1, p_now::date + 7, interval '1 day') d
            WHERE NOT ald_history.is_partition('ald_history.parameter_value_history',
                    'parameter_value_history_' || to_char(d, 'YYYYMMDD'))
                AND d::date >= (SELECT raw_floor FROM ald_history.retention)
            UNION ALL
            SELECT 'sum up', 'rollup_5m', count(*), NULL FROM (SELECT DISTINCT q.machine_id, q.bucket
                FROM ald_history.rollup_queue q WHERE q.bucket <= p_now - interval '5 minutes') q
            UNION ALL
            SELECT 'add late', 'late_values', count(*), NULL FROM ald_history.late_values WHERE merged_at IS NULL
            UNION ALL
            SELECT 'prune', 'ingest_batches', count(*), NULL FROM ald_history.ingest_batches b
            JOIN ald_history.ingest_origins o ON o.machine_id = b.machine_id AND o.origin = b.origin
                AND b.batch_number <= o.low_water AND b.first_at IS NOT NULL, ald_history.retention r
            WHERE b.applied_at < p_now - greatest(r.ledger, r.unreconciled);
            RETURN QUERY
            SELECT 'drop', c.relname::text, NULL::bigint, pg_total_relation_size(c.oid)
            FROM ald_history.rollup_floors(p_now, raw) f,
                LATERAL (VALUES ('parameter_value_history', raw), ('rollup_5m', f.five_minutes),
                    ('rollup_1h', f.hours)) k(parent, floor)
            JOIN pg_inherits i ON i.inhparent = format('ald_history.%I', k.parent)::regclass
            JOIN pg_class c ON c.oid = i.inhrelid AND to_date(split_part(c.relname, '_', -1), 'YYYYMMDD') < k.floor
            ORDER BY 2;
            IF hindrance IS NOT NULL THEN RETURN QUERY SELECT 'wait', hindrance, NULL::bigint, NULL::bigint; END IF;
        END $$;
        COMMENT ON FUNCTION ald.maintenance_plan IS
            'What ald.maintain has to do at this time, called until it is through: create, sum up, add late, prune and '
            'drop, and wait with the reason for what it will not drop yet.';

        CREATE FUNCTION ald.upkeep(p_now timestamptz DEFAULT clock_timestamp())
        RETURNS TABLE (machine_id int, rollups_waiting bigint, rollups_due_since timestamptz, late_waiting bigint,
            ledger_batches bigint, ledger_since timestamptz, ledger_forgotten bigint, dead_letters_open bigint,
            dead_letters_since timestamptz)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            SELECT m.machine_id, q.waiting, q.since, l.waiting, b.batches, b.since, b.forgotten, d.letters, d.since
            FROM ald.machines m,
                LATERAL (SELECT count(DISTINCT q.bucket), min(q.bucket) + interval '5 minutes'
                    FROM ald_history.rollup_queue q
                    WHERE q.machine_id = m.machine_id AND q.bucket <= p_now - interval '5 minutes') q(waiting, since),
                LATERAL (SELECT count(*) FROM ald_history.late_values l
                    WHERE l.machine_id = m.machine_id AND l.merged_at IS NULL) l(waiting),
                LATERAL (SELECT count(*), min(b.applied_at), count(*) FILTER (WHERE b.batch_number <= o.low_water)
                    FROM ald_history.ingest_batches b LEFT JOIN ald_history.ingest_origins o USING (machine_id, origin)
                    WHERE b.machine_id = m.machine_id) b(batches, since, forgotten),
                LATERAL (SELECT count(*), min(d.refused_at) FROM ald_history.dead_letters d
                    WHERE d.machine_id = m.machine_id AND d.state = 'open') d(letters, since)
            WHERE m.machine_id IN (SELECT ald.my_machines()) OR pg_has_role(session_user, current_user, 'MEMBER')
            ORDER BY 1
        $$;
        COMMENT ON FUNCTION ald.upkeep IS
            'How far maintenance is, for each machine of the caller: buckets of five minutes that have ended and are not '
            'summed up, and since when (a minute is normal); late readings that are in no rollup; batches in the '
            'ledger and those of them whose writer has forgotten them; dead letters that nobody has closed.';

        INSERT INTO ald.role_grants (role, privileges, object)
        SELECT 'ald_' || r, p, k || ' ald.' || o FROM (VALUES
            ('recipes commands operator reader auditor', 'EXECUTE', 'FUNCTION', 'value_problem'),
            ('recipes operator reader auditor', 'EXECUTE', 'FUNCTION', 'recipe_obstacle'),
            ('collector recipes commands maintainer', 'EXECUTE', 'FUNCTION', 'reachable_since'),
            ('collector recipes commands', 'EXECUTE', 'FUNCTION', 'has_successor'),
            ('operator', 'EXECUTE', 'FUNCTION', 'request_recipe_command'),
            ('auditor', 'EXECUTE', 'FUNCTION', 'require_chains'),
            ('collector operator reader auditor maintainer', 'EXECUTE', 'FUNCTION', 'upkeep'),
            ('collector maintainer', 'EXECUTE', 'FUNCTION', 'maintenance_plan')
        ) g(roles, p, k, objects), string_to_table(roles, ' ') r, regexp_split_to_table(objects, '[[:space:]]+') o;
        SELECT ald.apply_grants();
        """
}
