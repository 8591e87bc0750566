extension Migration {
    /// Five minutes, hours and days, summed up anew whenever a reading arrives, however late.
    static let rollupsScript = """
        CREATE TABLE ald_history.rollup_5m (
            machine_id int NOT NULL,
            parameter_id int NOT NULL,
            bucket timestamptz NOT NULL,
            n_good int NOT NULL,
            n_uncertain int NOT NULL,
            n_bad int NOT NULL,
            n int NOT NULL,
            sum float8 NOT NULL,
            sumsq float8 NOT NULL,
            min float8,
            max float8,
            first_at timestamptz,
            last_at timestamptz,
            first_value float8,
            last_value float8,
            PRIMARY KEY (machine_id, parameter_id, bucket)
        ) PARTITION BY RANGE (bucket);
        CREATE TABLE ald_history.rollup_1h (LIKE ald_history.rollup_5m INCLUDING ALL) PARTITION BY RANGE (bucket);
        CREATE TABLE ald_history.rollup_1d (LIKE ald_history.rollup_5m INCLUDING ALL);
        COMMENT ON TABLE ald_history.rollup_5m IS 'Readings summed up by five minutes; one partition per UTC day.';
        COMMENT ON TABLE ald_history.rollup_1h IS 'Readings summed up by hours; one partition per month.';
        COMMENT ON TABLE ald_history.rollup_1d IS 'Readings summed up by UTC days, kept for ever.';
        SELECT ald.protect_table('ald_history.rollup_5m');
        SELECT ald.protect_table('ald_history.rollup_1h');
        SELECT ald.protect_table('ald_history.rollup_1d');

        DO $$
        DECLARE tier record;
        BEGIN
            FOR tier IN
                SELECT * FROM (VALUES ('5m', 'five minutes'), ('1h', 'hour'), ('1d', 'UTC day')) t(name, span)
            LOOP
                EXECUTE format('CREATE VIEW ald.parameter_rollup_%s WITH (security_invoker = on) AS
                    SELECT *, sum / nullif(n, 0) AS mean FROM ald_history.rollup_%1$s', tier.name);
                EXECUTE format('COMMENT ON VIEW ald.parameter_rollup_%s IS %L', tier.name,
                    format('One row per parameter and %s: n values, their sum, sum of squares, smallest, largest, '
                        'first and last, so that rows can be joined; how many readings were good, uncertain and bad.',
                        tier.span));
            END LOOP;
        END $$;

        -- readings that were there before the queue
        INSERT INTO ald_history.rollup_queue
        SELECT DISTINCT machine_id, date_bin('5 minutes', sampled_at, 'epoch') FROM ald_history.parameter_value_history;

        CREATE FUNCTION ald_history.as_rollup(p_readings text) RETURNS text
        LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
            SELECT format($sql$ (SELECT machine_id, parameter_id, sampled_at AS bucket, (quality = 192)::int AS n_good,
                (quality = 64)::int AS n_uncertain, (quality = 0)::int AS n_bad, (v IS NOT NULL)::int AS n,
                coalesce(v, 0) AS sum, coalesce(v * v, 0) AS sumsq, v AS min, v AS max,
                CASE WHEN v IS NOT NULL THEN sampled_at END AS first_at,
                CASE WHEN v IS NOT NULL THEN sampled_at END AS last_at,
                v AS first_value, v AS last_value
                FROM %s readings, LATERAL (SELECT CASE WHEN value = 0 OR abs(value) BETWEEN 1e-150 AND 1e150
                    THEN value END)
                    f(v)) readings $sql$, p_readings)
        $$;
        COMMENT ON FUNCTION ald_history.as_rollup IS
            'A query that makes rows of a rollup of readings, one each. What is not finite, or so large or small '
            'that its square is not, is counted by its quality and enters no sum.';

        CREATE FUNCTION ald_history.write_rollup(p_target text, p_width interval, p_source text, p_add boolean,
            p_rows tid[])
        RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
        BEGIN
            EXECUTE format($sql$
                INSERT INTO ald_history.%I AS r (machine_id, parameter_id, bucket, n_good, n_uncertain, n_bad, n, sum,
                    sumsq, min, max, first_at, last_at, first_value, last_value)
                SELECT machine_id, parameter_id, date_bin(%L, bucket, 'epoch'), sum(n_good), sum(n_uncertain),
                    sum(n_bad), sum(n), sum(sum), sum(sumsq), min(min), max(max), min(first_at), max(last_at),
                    (array_agg(first_value ORDER BY first_at, first_value))[1],
                    (array_agg(last_value ORDER BY last_at DESC NULLS LAST, last_value DESC))[1]
                FROM %s GROUP BY 1, 2, 3
                ON CONFLICT (machine_id, parameter_id, bucket) DO UPDATE SET %s
                $sql$, p_target, p_width, p_source,
                CASE WHEN p_add THEN $sql$
                    n_good = r.n_good + excluded.n_good, n_uncertain = r.n_uncertain + excluded.n_uncertain,
                    n_bad = r.n_bad + excluded.n_bad, n = r.n + excluded.n, sum = r.sum + excluded.sum,
                    sumsq = r.sumsq + excluded.sumsq, min = least(r.min, excluded.min),
                    max = greatest(r.max, excluded.max),
                    first_at = least(r.first_at, excluded.first_at), last_at = greatest(r.last_at, excluded.last_at),
                    first_value = CASE WHEN excluded.n = 0
                        OR (r.n > 0 AND (r.first_at, r.first_value) <= (excluded.first_at, excluded.first_value))
                        THEN r.first_value ELSE excluded.first_value END,
                    last_value = CASE WHEN excluded.n = 0
                        OR (r.n > 0 AND (r.last_at, r.last_value) >= (excluded.last_at, excluded.last_value))
                        THEN r.last_value ELSE excluded.last_value END
                    $sql$ ELSE $sql$
                    n_good = excluded.n_good, n_uncertain = excluded.n_uncertain, n_bad = excluded.n_bad,
                    n = excluded.n, sum = excluded.sum, sumsq = excluded.sumsq, min = excluded.min, max = excluded.max,
                    first_at = excluded.first_at, last_at = excluded.last_at, first_value = excluded.first_value,
                    last_value = excluded.last_value $sql$ END) USING p_rows;
        END $$;
        COMMENT ON FUNCTION ald_history.write_rollup IS
            'Sums up p_source, which has the columns of a rollup, by p_width; replaces what is there or, with '
            'p_add, adds to it.';

        -- The queue's rows are taken before the readings are
        -- looked at, so what is committed in between is summed up now and stays in the queue for another time; nothing
        -- is missed.
        CREATE FUNCTION ald_history.roll_up(p_now timestamptz, p_limit int) RETURNS int
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
        DECLARE
            source CONSTANT text := ' ald_history.%I WHERE machine_id = ANY (%L) AND %I >= %L AND %I < %L ';
            machines int[];
            buckets timestamptz[];
            part record;
        BEGIN
            WITH due AS (SELECT DISTINCT q.bucket FROM ald_history.rollup_queue q
                         WHERE q.bucket <= p_now - interval '5 minutes' ORDER BY 1 LIMIT p_limit),
                taken AS (DELETE FROM ald_history.rollup_queue q USING due WHERE q.bucket = due.bucket
                          RETURNING q.machine_id, q.bucket)
            SELECT array_agg(t.machine_id), array_agg(t.bucket) INTO machines, buckets
            FROM (SELECT DISTINCT machine_id, bucket FROM taken) t;
            FOR part IN
                SELECT u.bucket, array_agg(u.machine_id) AS machines
                FROM unnest(machines, buckets) u(machine_id, bucket)
                GROUP BY 1 ORDER BY 1
            LOOP
                PERFORM ald_history.ensure_partition('rollup_5m', part.bucket::date, false);
                PERFORM ald_history.write_rollup('rollup_5m', '5 minutes', ald_history.as_rollup(format(
                    '(SELECT * FROM' || source || ')', 'parameter_value_history', part.machines, 'sampled_at',
                    part.bucket, 'sampled_at', part.bucket + interval '5 minutes')), false, NULL);
            END LOOP;
            FOR part IN
                SELECT date_trunc('hour', u.bucket) AS bucket, array_agg(DISTINCT u.machine_id) AS machines
                FROM unnest(machines, buckets) u(machine_id, bucket) GROUP BY 1 ORDER BY 1
            LOOP
                PERFORM ald_history.ensure_partition('rollup_1h', part.bucket::date, true);
                PERFORM ald_history.write_rollup('rollup_1h', '1 hour', format(source, 'rollup_5m', part.machines,
                    'bucket', part.bucket, 'bucket', part.bucket + interval '1 hour'), false, NULL);
            END LOOP;
            FOR part IN
                SELECT date_trunc('day', u.bucket) AS bucket, array_agg(DISTINCT u.machine_id) AS machines
                FROM unnest(machines, buckets) u(machine_id, bucket) GROUP BY 1 ORDER BY 1
            LOOP
                PERFORM ald_history.write_rollup('rollup_1d', '1 day', format(source, 'rollup_1h', part.machines,
                    'bucket', part.bucket, 'bucket', part.bucket + interval '1 day'), false, NULL);
            END LOOP;
            RETURN coalesce(cardinality(buckets), 0);
        END $$;
        COMMENT ON FUNCTION ald_history.roll_up IS
            'Sums up anew every closed bucket that received readings.';

        CREATE FUNCTION ald_history.roll_up_late(p_now timestamptz, p_limit int) RETURNS int
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
        DECLARE
            taken tid[];
            five_minutes date;
            hours date;
            day date;
        BEGIN
            taken := ARRAY(SELECT ctid FROM ald_history.late_values WHERE merged_at IS NULL LIMIT p_limit);
            SELECT r.five_minute_floor, r.hour_floor INTO STRICT five_minutes, hours FROM ald_history.retention r;
            FOR day IN SELECT DISTINCT l.sampled_at::date FROM ald_history.late_values l WHERE l.ctid = ANY (taken) LOOP
                IF day >= five_minutes THEN PERFORM ald_history.ensure_partition('rollup_5m', day, false); END IF;
                IF day >= hours THEN PERFORM ald_history.ensure_partition('rollup_1h', day, true); END IF;
            END LOOP;
            PERFORM ald_history.write_rollup('rollup_' || t.name, t.width, ald_history.as_rollup(format(
                '(SELECT * FROM ald_history.late_values WHERE ctid = ANY ($1) AND sampled_at >= %L)', t.floor)),
                true, taken)
            FROM (VALUES ('5m', interval '5 minutes', five_minutes), ('1h', '1 hour', hours),
                ('1d', '1 day', '-infinity')) t(name, width, floor);
            UPDATE ald_history.late_values SET merged_at = p_now WHERE ctid = ANY (taken);
            RETURN cardinality(taken);
        END $$;
        COMMENT ON FUNCTION ald_history.roll_up_late IS
            'Adds readings whose day was dropped to the rollups: they cannot be summed up anew, the others are '
            'gone.';
        """
}
