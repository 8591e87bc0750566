extension Migration {
    /// A backlog goes into the history by `COPY`, straight into the table: half as long as through arrays, which the
    /// server unpacks into a row store first. Only who owns the tables may do it; everybody else calls `record_cycle`.
    static let historyByCopy = Migration(
        version: 11, name: "history by copy",
        script: """
            CREATE FUNCTION ald_history.at_microseconds(p_microseconds bigint) RETURNS timestamptz
            LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
                SELECT timestamptz '1970-01-01 00:00:00+00' + p_microseconds * interval '1 microsecond'
            $$;
            COMMENT ON FUNCTION ald_history.at_microseconds IS 'The instant so many microseconds after 1970.';

            CREATE FUNCTION ald_history.merge_current(
                p_machine_id int, p_parameters int[], p_times timestamptz[], p_values float8[], p_qualities smallint[]
            ) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
            BEGIN
                WITH every AS (
                        SELECT c.*, 1000000000 + c.n AS place FROM ald_history.current_readings r,
                            unnest(r.parameter_ids, r.sampled_at, r.readings, r.qualities)
                            WITH ORDINALITY c(p, t, v, q, n)
                        WHERE r.machine_id = p_machine_id
                        UNION ALL
                        SELECT b.*, b.n
                        FROM unnest(p_parameters, p_times, p_values, p_qualities) WITH ORDINALITY b(p, t, v, q, n)),
                    newest AS (SELECT DISTINCT ON (p) * FROM every ORDER BY p, t DESC, place DESC)
                INSERT INTO ald_history.current_readings AS r
                    (machine_id, newest_at, parameter_ids, sampled_at, readings, qualities)
                SELECT p_machine_id, max(t), array_agg(p ORDER BY place), array_agg(t ORDER BY place),
                    array_agg(v ORDER BY place), array_agg(q ORDER BY place) FROM newest
                HAVING count(*) FILTER (WHERE place < 1000000000) > 0
                ON CONFLICT (machine_id) DO UPDATE SET newest_at = excluded.newest_at,
                    parameter_ids = excluded.parameter_ids, sampled_at = excluded.sampled_at,
                    readings = excluded.readings, qualities = excluded.qualities;
            END $$;
            COMMENT ON FUNCTION ald_history.merge_current IS
                'Replaces the current values that are older than these readings, as record_cycle does.';

            CREATE FUNCTION ald_history.begin_copy(
                p_machine_id int, p_synchronised boolean, p_origins bigint[], p_numbers bigint[], p_rows int[],
                p_sha256 bytea[], p_first bigint[], p_last bigint[], p_buckets bigint[],
                p_parameters int[], p_times bigint[], p_values float8[], p_qualities smallint[]
            ) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
            DECLARE
                earliest timestamptz;
                latest timestamptz;
                claimed int;
            BEGIN
                IF (cardinality(p_numbers) <> ANY (ARRAY[cardinality(p_origins), cardinality(p_rows),
                        cardinality(p_sha256), cardinality(p_first), cardinality(p_last)])) IS NOT FALSE
                    OR (cardinality(p_parameters) <> ANY (ARRAY[cardinality(p_times), cardinality(p_values),
                        cardinality(p_qualities)])) IS NOT FALSE THEN
                    RAISE EXCEPTION 'arrays that belong together have different lengths' USING ERRCODE = 'AL004';
                END IF;
                -- A client whose network is cut in the middle of its rows would hold the machine's turn until the
                -- server's kernel gives up, two hours by default.
                PERFORM set_config('tcp_keepalives_idle', '5', true), set_config('tcp_keepalives_interval', '5', true),
                    set_config('tcp_keepalives_count', '3', true);
                IF p_synchronised THEN PERFORM ald_history.take_turn(p_machine_id); END IF;
                PERFORM ald_history.admit(p_machine_id);
                SELECT ald_history.at_microseconds(min(t)) INTO earliest FROM unnest(p_first) t;
                SELECT ald_history.at_microseconds(max(t)) INTO latest FROM unnest(p_last) t;
                IF earliest < (SELECT raw_floor::timestamp AT TIME ZONE 'UTC' FROM ald_history.retention)
                    OR p_synchronised AND EXISTS (
                        SELECT FROM ald.process_executions e WHERE e.machine_id = p_machine_id
                            AND e.started_at <= latest AND (e.ended_at IS NULL OR e.ended_at > earliest)) THEN
                    RAISE EXCEPTION 'some of these readings go to other tables, too' USING ERRCODE = 'AL005';
                END IF;
                INSERT INTO ald_history.ingest_batches
                    (machine_id, origin, batch_number, row_count, sha256, first_at, last_at)
                SELECT p_machine_id, u.origin, u.number, u.n, u.sha256, ald_history.at_microseconds(u.first),
                    ald_history.at_microseconds(u.last)
                FROM unnest(p_origins, p_numbers, p_rows, p_sha256, p_first, p_last)
                    u(origin, number, n, sha256, first, last)
                WHERE NOT EXISTS (SELECT FROM ald_history.ingest_origins o WHERE o.machine_id = p_machine_id
                    AND o.origin = u.origin AND o.low_water >= u.number)
                ORDER BY u.origin, u.number
                ON CONFLICT (machine_id, origin, batch_number) DO NOTHING;
                GET DIAGNOSTICS claimed = ROW_COUNT;
                IF claimed <> cardinality(p_numbers) THEN
                    RAISE EXCEPTION 'some of these batches are known' USING ERRCODE = 'AL005';
                END IF;
                INSERT INTO ald_history.rollup_queue
                SELECT p_machine_id, ald_history.at_microseconds(b) FROM unnest(p_buckets) b;
                IF p_synchronised THEN
                    PERFORM ald_history.merge_current(p_machine_id, p_parameters,
                        ARRAY(SELECT ald_history.at_microseconds(t) FROM unnest(p_times) WITH ORDINALITY u(t, n)
                              ORDER BY n), p_values, p_qualities);
                END IF;
            END $$;
            COMMENT ON FUNCTION ald_history.begin_copy IS
                'Claims batches of readings and does all that record_cycle does but to insert them: that must follow in '
                'the same transaction, by COPY into parameter_value_history. Fails with AL005, and nothing is done, when '
                'one of them is known already or record_cycle would write more than the history; then it has to be '
                'called. p_buckets are the starts of the five minutes that the readings fall into, p_parameters and what '
                'follows the newest reading of each parameter; instants in microseconds after 1970.';
            """)
}
