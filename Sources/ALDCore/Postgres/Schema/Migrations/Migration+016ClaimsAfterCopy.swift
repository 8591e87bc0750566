extension Migration {
    /// The names of copied batches are claimed behind their rows, so that a client that falls silent in the middle of
    /// them holds nobody up: neither the machine's turn nor a name is taken until everything has arrived.
    static let claimsAfterCopy = Migration(
        version: 16, name: "claims after copy",
        script: """
            CREATE FUNCTION ald_history.copy_obstacle(
                p_machine_id int, p_synchronised boolean, p_origins bigint[], p_numbers bigint[], p_first timestamptz,
                p_last timestamptz
            ) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
                SELECT CASE
                    WHEN p_first < (SELECT raw_floor::timestamp AT TIME ZONE 'UTC' FROM ald_history.retention)
                        THEN 'some of these readings are late'
                    WHEN p_synchronised AND EXISTS (SELECT FROM ald.process_executions e
                        WHERE e.machine_id = p_machine_id AND e.started_at <= p_last
                            AND (e.ended_at IS NULL OR e.ended_at > p_first))
                        THEN 'some of these readings belong to a process'
                    WHEN EXISTS (SELECT FROM unnest(p_origins, p_numbers) u(origin, number)
                        WHERE EXISTS (SELECT FROM ald_history.ingest_batches b WHERE b.machine_id = p_machine_id
                                AND b.origin = u.origin AND b.batch_number = u.number)
                            OR EXISTS (SELECT FROM ald_history.ingest_origins o WHERE o.machine_id = p_machine_id
                                AND o.origin = u.origin AND o.low_water >= u.number))
                        THEN 'some of these batches are known' END
            $$;
            COMMENT ON FUNCTION ald_history.copy_obstacle IS
                'Why record_cycle has to be called for these readings, or has to be asked about these batches; null when '
                'they may be copied. Takes no lock: finish_copy looks again.';

            CREATE FUNCTION ald_history.finish_copy(
                p_machine_id int, p_synchronised boolean, p_origins bigint[], p_numbers bigint[], p_rows int[],
                p_sha256 bytea[], p_first bigint[], p_last bigint[], p_buckets bigint[],
                p_parameters int[], p_times bigint[], p_values float8[], p_qualities smallint[]
            ) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
            DECLARE
                obstacle text;
                claimed int;
            BEGIN
                IF (cardinality(p_numbers) <> ANY (ARRAY[cardinality(p_origins), cardinality(p_rows),
                        cardinality(p_sha256), cardinality(p_first), cardinality(p_last)])) IS NOT FALSE
                    OR (cardinality(p_parameters) <> ANY (ARRAY[cardinality(p_times), cardinality(p_values),
                        cardinality(p_qualities)])) IS NOT FALSE THEN
                    RAISE EXCEPTION 'arrays that belong together have different lengths' USING ERRCODE = 'AL004';
                END IF;
                IF p_synchronised THEN PERFORM ald_history.take_turn(p_machine_id); END IF;
                PERFORM ald_history.admit(p_machine_id);
                obstacle := ald_history.copy_obstacle(p_machine_id, p_synchronised, p_origins, p_numbers,
                    (SELECT ald_history.at_microseconds(min(t)) FROM unnest(p_first) t),
                    (SELECT ald_history.at_microseconds(max(t)) FROM unnest(p_last) t));
                IF obstacle IS NULL THEN
                    INSERT INTO ald_history.ingest_batches
                        (machine_id, origin, batch_number, row_count, sha256, first_at, last_at)
                    SELECT p_machine_id, u.origin, u.number, u.n, u.sha256, ald_history.at_microseconds(u.first),
                        ald_history.at_microseconds(u.last)
                    FROM unnest(p_origins, p_numbers, p_rows, p_sha256, p_first, p_last)
                        u(origin, number, n, sha256, first, last)
                    ORDER BY u.origin, u.number
                    ON CONFLICT (machine_id, origin, batch_number) DO NOTHING;
                    GET DIAGNOSTICS claimed = ROW_COUNT;
                    IF claimed <> cardinality(p_numbers) THEN
                        obstacle := 'some of these batches have become known just now';
                    END IF;
                END IF;
                -- the rows that were copied go with it
                IF obstacle IS NOT NULL THEN RAISE EXCEPTION '%', obstacle USING ERRCODE = 'AL005'; END IF;
                INSERT INTO ald_history.rollup_queue
                SELECT p_machine_id, ald_history.at_microseconds(b) FROM unnest(p_buckets) b;
                IF p_synchronised THEN
                    PERFORM ald_history.merge_current(p_machine_id, p_parameters,
                        ARRAY(SELECT ald_history.at_microseconds(t) FROM unnest(p_times) WITH ORDINALITY u(t, n)
                              ORDER BY n), p_values, p_qualities);
                END IF;
            END $$;
            COMMENT ON FUNCTION ald_history.finish_copy IS
                'Claims batches of readings whose rows were copied into parameter_value_history before, in the same '
                'transaction, and does all else that record_cycle does. Fails with AL005, which takes the rows away '
                'again, when copy_obstacle sees one or another writer was faster: then record_cycle has to be called. '
                'p_buckets are the starts of the five minutes that the readings fall into, p_parameters and what '
                'follows the newest reading of each parameter; instants in microseconds after 1970.';
            COMMENT ON FUNCTION ald_history.begin_copy IS
                'What collectors of schema version 11 to 15 call before they copy; as finish_copy, but it holds the '
                'machine''s turn while the rows are under way.';
            """)
}
