extension Migration {
    /// Partitions are made ahead, and healed by whoever misses one.
    static let partitionsScript = """
        CREATE FUNCTION ald_history.is_partition(p_parent regclass, p_partition text) RETURNS boolean
        LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
            SELECT EXISTS (SELECT FROM pg_inherits WHERE inhparent = p_parent
                           AND inhrelid = to_regclass(format('ald_history.%I', p_partition)))
        $$;
        COMMENT ON FUNCTION ald_history.is_partition IS
            'Whether a table of this name is attached to the parent.';

        CREATE FUNCTION ald_history.ensure_partition(p_parent text, p_day date, p_monthly boolean)
        RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
        DECLARE
            start date := CASE WHEN p_monthly THEN date_trunc('month', p_day) ELSE p_day END;
            finish date := CASE WHEN p_monthly THEN start + interval '1 month' ELSE start + 1 END;
            parent regclass := format('ald_history.%I', p_parent);
            partition text := p_parent || to_char(start, CASE WHEN p_monthly THEN '_YYYYMM' ELSE '_YYYYMMDD' END);
        BEGIN
            IF ald_history.is_partition(parent, partition) THEN RETURN false; END IF;
            -- Two creators must not make the same one; the second finds it when the first has committed. Whoever drops
            -- days holds this lock, too.
            PERFORM pg_advisory_xact_lock(hashtext('ald_history.partitions'), parent::oid::int);
            IF ald_history.is_partition(parent, partition) THEN RETURN false; END IF;
            IF p_parent = 'parameter_value_history' AND p_day < (SELECT raw_floor FROM ald_history.retention) THEN
                RETURN false;
            END IF;
            IF to_regclass(format('ald_history.%I', partition)) IS NOT NULL THEN
                RAISE EXCEPTION 'ald_history.% exists and is no partition of %', partition, parent
                    USING ERRCODE = 'duplicate_table', HINT = 'Attach it again, or rename it.';
            END IF;
            -- Attached, not created in place: that would wait for every reader of the parent, and all others would wait
            -- behind it. Attaching lets rows in meanwhile.
            EXECUTE format('CREATE TABLE ald_history.%I (LIKE %s INCLUDING ALL)', partition, parent);
            EXECUTE format('ALTER TABLE ald_history.%I ENABLE ROW LEVEL SECURITY', partition);
            EXECUTE format('ALTER TABLE %s ATTACH PARTITION ald_history.%I FOR VALUES FROM (%L) TO (%L)',
                parent, partition, start::timestamptz, finish::timestamptz);
            RETURN true;
        END $$;
        COMMENT ON FUNCTION ald_history.ensure_partition IS
            'Creates the partition of one UTC day or of its month and returns true; false when it is there, or '
            'its readings were dropped already.';

        CREATE OR REPLACE FUNCTION ald.ensure_history_partitions(first_day date, days int)
        RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            earliest CONSTANT date := '2000-01-01';
            latest CONSTANT date := '2199-12-31';
            day date;
            created int := 0;
        BEGIN
            IF (days BETWEEN 1 AND 400) IS NOT TRUE THEN
                RAISE EXCEPTION 'days is %, must be 1 to 400', days USING ERRCODE = 'invalid_parameter_value';
            END IF;
            -- a clock that was never set says 1970 or worse; a partition for it would be a lie that nobody finds
            IF (first_day >= earliest AND first_day + (days - 1) <= latest) IS NOT TRUE THEN
                RAISE EXCEPTION 'readings of % cannot be recorded: days from % to % can', first_day, earliest, latest
                    USING ERRCODE = 'datetime_field_overflow', HINT = 'Check the clock of the collector.';
            END IF;
            FOR day IN SELECT first_day + g FROM generate_series(0, days - 1) g ORDER BY 1 LOOP
                IF ald_history.ensure_partition('parameter_value_history', day, false) THEN
                    created := created + 1;
                END IF;
                PERFORM ald_history.ensure_partition('process_data_points', day, true);
            END LOOP;
            RETURN created;
        END $$;
        COMMENT ON FUNCTION ald.ensure_history_partitions IS
            'Creates the partitions of `days` UTC days from `first_day` on and returns how many were missing. '
            'Days whose readings were dropped stay without: what comes so late has a table of its own.';
        """
}
