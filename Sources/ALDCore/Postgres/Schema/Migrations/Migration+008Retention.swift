extension Migration {
    /// What is dropped and when, and reading at the right resolution.
    static let retentionScript = """
        CREATE FUNCTION ald_history.drop_before(p_parent text, p_cut date) RETURNS int
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            partition regclass;
            dropped int := 0;
        BEGIN
            FOR partition IN
                SELECT i.inhrelid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = format('ald_history.%I', p_parent)::regclass
                    AND to_date(split_part(c.relname, '_', -1), 'YYYYMMDD') < p_cut
            LOOP
                EXECUTE format('DROP TABLE %s', partition);
                dropped := dropped + 1;
            END LOOP;
            RETURN dropped;
        END $$;
        COMMENT ON FUNCTION ald_history.drop_before IS
            'Drops the partitions of the parent that lie before the day, and returns how many.';

        CREATE FUNCTION ald_history.has_before(p_parent text, p_cut date) RETURNS boolean
        LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
            SELECT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = format('ald_history.%I', p_parent)::regclass
                    AND to_date(split_part(c.relname, '_', -1), 'YYYYMMDD') < p_cut)
        $$;
        COMMENT ON FUNCTION ald_history.has_before IS
            'Whether a partition of the parent lies before the day.';

        CREATE FUNCTION ald_history.apply_retention(p_now timestamptz, OUT dropped int, OUT hindrance text)
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '200ms' AS $$
        DECLARE
            rule ald_history.retention;
            dirty date;
            unreconciled date;
            cut date;
        BEGIN
            dropped := 0;
            DELETE FROM ald_history.late_values l USING ald_history.retention r
            WHERE l.merged_at < p_now - make_interval(days => r.raw_days);
            SELECT * INTO STRICT rule FROM ald_history.retention;
            BEGIN
                -- Nobody inserts from here on: what the queue says now stays true. The floor is raised with the drop; a
                -- batch that read the old one finds no partition, is sent again and goes to late_values.
                PERFORM pg_advisory_xact_lock(hashtext('ald_history.partitions'),
                    'ald_history.parameter_value_history'::regclass::oid::int);
                IF ald_history.has_before('parameter_value_history', p_now::date - rule.raw_days) THEN
                    LOCK TABLE ONLY ald_history.parameter_value_history IN ACCESS EXCLUSIVE MODE;
                END IF;
                SELECT min(q.bucket)::date INTO dirty FROM ald_history.rollup_queue q;
                SELECT min(greatest(b.first_at::date, rule.raw_floor)) INTO unreconciled
                FROM ald_history.ingest_batches b
                WHERE b.applied_at > p_now - rule.unreconciled AND b.last_at::date >= rule.raw_floor;
                cut := least(p_now::date - rule.raw_days, dirty, unreconciled);
                IF cut < p_now::date - rule.raw_days THEN
                    hindrance := CASE cut WHEN dirty THEN 'readings of ' || cut || ' are not in the rollups yet'
                        ELSE 'readings of ' || cut || ' arrived within the last ' || rule.unreconciled END;
                END IF;
                rule.raw_floor := greatest(rule.raw_floor, cut);
                dropped := dropped + ald_history.drop_before('parameter_value_history', rule.raw_floor);
                UPDATE ald_history.retention SET raw_floor = rule.raw_floor WHERE raw_floor <> rule.raw_floor;
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                hindrance := 'somebody reads the history for long';
                SELECT * INTO STRICT rule FROM ald_history.retention;
            END;
            BEGIN
                -- five-minute rows are summed up anew from readings, so they live at least as long; hours likewise
                rule.five_minute_floor := greatest(rule.five_minute_floor,
                    least(p_now::date - rule.five_minute_days, rule.raw_floor));
                dropped := dropped + ald_history.drop_before('rollup_5m', rule.five_minute_floor);
                rule.hour_floor := greatest(rule.hour_floor,
                    date_trunc('month', least(p_now::date - rule.hour_days, rule.five_minute_floor)));
                dropped := dropped + ald_history.drop_before('rollup_1h', rule.hour_floor);
                UPDATE ald_history.retention SET five_minute_floor = rule.five_minute_floor,
                    hour_floor = rule.hour_floor
                WHERE (five_minute_floor, hour_floor) <> (rule.five_minute_floor, rule.hour_floor);
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                hindrance := coalesce(hindrance, 'somebody reads the rollups for long');
            END;
        END $$;
        COMMENT ON FUNCTION ald_history.apply_retention IS
            'Drops what is kept no longer. Its locks last until the transaction ends, so this comes last in it; '
            'inserters wait for us at most as long as we wait for a reader, 0.2 s.';

        CREATE FUNCTION ald.maintain(
            p_now timestamptz DEFAULT clock_timestamp(), p_limit int DEFAULT 1000,
            OUT rolled_up int, OUT late int, OUT created int, OUT dropped int, OUT hindrance text
        ) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM ald_history.refuse_future(p_now);
            rolled_up := 0; late := 0; created := 0; dropped := 0;
            IF NOT pg_try_advisory_xact_lock(hashtext('ald.maintain')) THEN
                hindrance := 'somebody else is at it';
                RETURN;
            END IF;
            created := ald.ensure_history_partitions((p_now AT TIME ZONE 'UTC')::date - 1, 9);
            rolled_up := ald_history.roll_up(p_now, p_limit);
            late := ald_history.roll_up_late(p_now, p_limit * 100);
            SELECT r.dropped, r.hindrance INTO dropped, hindrance FROM ald_history.apply_retention(p_now) r;
        END $$;
        COMMENT ON FUNCTION ald.maintain IS
            'To be called every minute: makes partitions for a week ahead, brings at most p_limit buckets of five '
            'minutes up to date, adds late readings, drops what is kept no longer. hindrance says why something had to '
            'wait.';

        CREATE FUNCTION ald.parameter_series(
            p_machine_id int, p_parameter_id int, p_from timestamptz, p_to timestamptz, p_points int DEFAULT 1000
        ) RETURNS TABLE (at timestamptz, width interval, n int, mean float8, min float8, max float8, first_value float8,
            last_value float8, n_bad int)
        LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
        DECLARE
            seconds CONSTANT float8 := extract(epoch FROM p_to - p_from);
            rule ald_history.retention;
            tier text;
        BEGIN
            SELECT * INTO STRICT rule FROM ald_history.retention;
            IF seconds <= p_points AND p_from >= rule.raw_floor THEN
                RETURN QUERY SELECT h.sampled_at, interval '0', (h.value IS NOT NULL)::int, h.value, h.value, h.value,
                    h.value, h.value, (h.quality = 0)::int
                FROM ald.parameter_value_history h WHERE h.machine_id = p_machine_id AND h.parameter_id = p_parameter_id
                    AND h.sampled_at >= p_from AND h.sampled_at < p_to ORDER BY h.sampled_at;
                RETURN;
            END IF;
            tier := CASE WHEN seconds / 300 <= p_points AND p_from >= rule.five_minute_floor THEN '5m'
                         WHEN seconds / 3600 <= p_points AND p_from >= rule.hour_floor THEN '1h' ELSE '1d' END;
            RETURN QUERY EXECUTE format(
                'SELECT r.bucket, %L::interval, r.n, r.mean, r.min, r.max, r.first_value, r.last_value, r.n_bad
                FROM ald.parameter_rollup_%s r
                WHERE r.machine_id = $1 AND r.parameter_id = $2 AND r.bucket >= $3 AND r.bucket < $4 ORDER BY r.bucket',
                CASE tier WHEN '5m' THEN '5 minutes' WHEN '1h' THEN '1 hour' ELSE '1 day' END, tier)
            USING p_machine_id, p_parameter_id, p_from, p_to;
        END $$;
        COMMENT ON FUNCTION ald.parameter_series IS
            'One parameter over time in the finest resolution that is still kept and gives at most about p_points '
            'rows: readings, five minutes, hours or days. width says which; 0 for readings.';

        INSERT INTO ald.role_grants (role, privileges, object)
        SELECT 'ald_' || r, p, k || ' ' || o FROM (VALUES
            ('operator reader auditor', 'SELECT', 'TABLE',
                'ald_history.rollup_5m ald_history.rollup_1h ald_history.rollup_1d ald.parameter_rollup_5m
                 ald.parameter_rollup_1h ald.parameter_rollup_1d'),
            ('operator reader auditor', 'EXECUTE', 'FUNCTION', 'ald.parameter_series'),
            ('maintainer collector', 'EXECUTE', 'FUNCTION', 'ald.maintain')
        ) g(roles, p, k, objects), string_to_table(roles, ' ') r, regexp_split_to_table(objects, '[[:space:]]+') o;
        SELECT ald.apply_grants();
        """
}
