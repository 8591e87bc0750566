extension Migration {
    /// Batches land once; writers ask which did, and say which they have forgotten.
    static let batchesScript = """
        CREATE FUNCTION ald_history.admit(p_machine_id int) RETURNS void
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF NOT pg_has_role(session_user, current_user, 'MEMBER') THEN
                PERFORM ald.require_machine(p_machine_id);
            END IF;
        END $$;
        COMMENT ON FUNCTION ald_history.admit IS
            'Refuses who is no member of the machine (42501). The functions that write run with their owner''s '
            'rights, so nobody else needs any on the tables.';

        DROP FUNCTION ald.claim_batch(int, bigint, bigint, int, bytea);
        CREATE FUNCTION ald_history.claim_batch(
            p_machine_id int, p_origin bigint, p_batch bigint, p_rows int, p_sha256 bytea,
            p_first timestamptz, p_last timestamptz
        ) RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE earlier bytea;
        BEGIN
            PERFORM ald_history.admit(p_machine_id);
            IF NOT EXISTS (SELECT FROM ald_history.ingest_origins o
                           WHERE o.machine_id = p_machine_id AND o.origin = p_origin AND o.low_water >= p_batch) THEN
                INSERT INTO ald_history.ingest_batches
                    (machine_id, origin, batch_number, row_count, sha256, first_at, last_at)
                VALUES (p_machine_id, p_origin, p_batch, p_rows, p_sha256, p_first, p_last)
                ON CONFLICT (machine_id, origin, batch_number) DO NOTHING;
                IF FOUND THEN RETURN 1; END IF;
            END IF;
            SELECT b.sha256 INTO earlier FROM ald_history.ingest_batches b
            WHERE b.machine_id = p_machine_id AND b.origin = p_origin AND b.batch_number = p_batch;
            RETURN CASE WHEN earlier IS NULL THEN 3 WHEN earlier = p_sha256 THEN 0 ELSE 2 END;
        END $$;
        COMMENT ON FUNCTION ald_history.claim_batch IS
            '1: claimed now, the rows must follow in this transaction; 0: applied earlier; 2: another batch has '
            'this number; 3: its writer had forgotten it and sends it nevertheless, so an old spool was started.';

        CREATE FUNCTION ald_history.insert_readings(
            p_machine_id int, p_rows int, p_parameters int[], p_times timestamptz[], p_values float8[],
            p_qualities smallint[], p_first timestamptz, p_last timestamptz
        ) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            floor timestamptz;
            inserted int;
            late int := 0;
        BEGIN
            -- unnest pads short arrays with nulls, which would turn a sender's bug into silently missing values
            IF (p_rows <> ANY (ARRAY[cardinality(p_parameters), cardinality(p_times), cardinality(p_values),
                                     cardinality(p_qualities)])) IS NOT FALSE THEN
                RAISE EXCEPTION 'an array does not have % elements', p_rows USING ERRCODE = 'AL004';
            END IF;
            SELECT raw_floor::timestamp AT TIME ZONE 'UTC' INTO STRICT floor FROM ald_history.retention;
            IF p_first < floor THEN
                INSERT INTO ald_history.late_values (machine_id, parameter_id, sampled_at, value, quality)
                SELECT p_machine_id, u.* FROM unnest(p_parameters, p_times, p_values, p_qualities)
                    u(parameter_id, sampled_at, value, quality)
                WHERE u.sampled_at < floor;
                GET DIAGNOSTICS late = ROW_COUNT;
                INSERT INTO ald_history.parameter_value_history (machine_id, parameter_id, sampled_at, value, quality)
                SELECT p_machine_id, u.* FROM unnest(p_parameters, p_times, p_values, p_qualities)
                    u(parameter_id, sampled_at, value, quality)
                WHERE (u.sampled_at < floor) IS NOT TRUE;
            ELSE
                INSERT INTO ald_history.parameter_value_history (machine_id, parameter_id, sampled_at, value, quality)
                SELECT p_machine_id, u.* FROM unnest(p_parameters, p_times, p_values, p_qualities)
                    u(parameter_id, sampled_at, value, quality);
            END IF;
            GET DIAGNOSTICS inserted = ROW_COUNT;
            IF inserted + late <> p_rows THEN
                RAISE EXCEPTION '% rows inserted, % announced', inserted + late, p_rows USING ERRCODE = 'AL004';
            END IF;
            IF inserted = 0 THEN RETURN; END IF;
            IF date_bin('5 minutes', p_first, 'epoch') = date_bin('5 minutes', p_last, 'epoch') THEN
                INSERT INTO ald_history.rollup_queue VALUES (p_machine_id, date_bin('5 minutes', p_first, 'epoch'));
            ELSE
                INSERT INTO ald_history.rollup_queue
                SELECT DISTINCT p_machine_id, date_bin('5 minutes', t, 'epoch') FROM unnest(p_times) t WHERE t >= floor;
            END IF;
        END $$;
        COMMENT ON FUNCTION ald_history.insert_readings IS
            'Inserts readings and leaves word for the rollups.';

        CREATE OR REPLACE FUNCTION ald.apply_history_batch(
            p_machine_id int, p_origin bigint, p_batch bigint, p_rows int, p_sha256 bytea,
            p_parameters int[], p_times timestamptz[], p_values float8[], p_qualities smallint[]
        ) RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            earliest timestamptz;
            latest timestamptz;
            status int;
        BEGIN
            SELECT min(t), max(t) INTO earliest, latest FROM unnest(p_times) t;
            status := ald_history.claim_batch(p_machine_id, p_origin, p_batch, p_rows, p_sha256, earliest, latest);
            IF status = 1 THEN
                PERFORM ald_history.insert_readings(
                    p_machine_id, p_rows, p_parameters, p_times, p_values, p_qualities, earliest, latest);
            END IF;
            RETURN status;
        END $$;
        COMMENT ON FUNCTION ald.apply_history_batch IS
            'Lands a batch of readings in the history alone; see record_cycle for what it returns.';

        CREATE OR REPLACE FUNCTION ald.apply_gap_batch(
            p_machine_id int, p_origin bigint, p_batch bigint, p_rows int, p_sha256 bytea,
            p_first timestamptz[], p_last timestamptz[], p_instants int[], p_causes text[], p_details text[]
        ) RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE status int;
        BEGIN
            status := ald_history.claim_batch(p_machine_id, p_origin, p_batch, p_rows, p_sha256, NULL, NULL);
            IF status <> 1 THEN RETURN status; END IF;
            IF (p_rows <> ANY (ARRAY[cardinality(p_first), cardinality(p_last), cardinality(p_instants),
                                     cardinality(p_causes), cardinality(p_details)])) IS NOT FALSE THEN
                RAISE EXCEPTION 'batch %/%: an array does not have % elements', p_origin, p_batch, p_rows
                    USING ERRCODE = 'AL004';
            END IF;
            INSERT INTO ald_history.collection_gaps
                (machine_id, first_missed_at, last_missed_at, instants, cause, detail)
            SELECT p_machine_id, u.* FROM unnest(p_first, p_last, p_instants, p_causes, p_details)
                u(first_missed_at, last_missed_at, instants, cause, detail);
            RETURN status;
        END $$;
        COMMENT ON FUNCTION ald.apply_gap_batch IS
            'Lands a batch of gaps; see record_cycle for what it returns.';

        -- Reconciling: a writer asks for all batches it still remembers at once, never for the highest number: a
        -- fail-over loses batches in the middle.
        CREATE FUNCTION ald.missing_batches(p_machine_id int, p_origins bigint[], p_numbers bigint[], p_sha256 bytea[])
        RETURNS TABLE (origin bigint, batch_number bigint, status int)
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM ald_history.admit(p_machine_id);
            IF (cardinality(p_origins) <> ANY (ARRAY[cardinality(p_numbers), cardinality(p_sha256)])) IS NOT FALSE THEN
                RAISE EXCEPTION 'the arrays have different lengths' USING ERRCODE = 'AL004';
            END IF;
            RETURN QUERY
            SELECT u.origin, u.batch_number,
                CASE WHEN b.sha256 IS NOT NULL THEN 2 WHEN o.low_water >= u.batch_number THEN 3 ELSE 1 END
            FROM unnest(p_origins, p_numbers, p_sha256) u(origin, batch_number, sha256)
            LEFT JOIN ald_history.ingest_batches b ON b.machine_id = p_machine_id AND b.origin = u.origin
                AND b.batch_number = u.batch_number
            LEFT JOIN ald_history.ingest_origins o ON o.machine_id = p_machine_id AND o.origin = u.origin
            WHERE b.sha256 IS DISTINCT FROM u.sha256
            ORDER BY 1, 2;
        END $$;
        COMMENT ON FUNCTION ald.missing_batches IS
            'Of the given batches those that are not in the ledger as they are: 1 missing, 2 there with other '
            'contents, 3 missing and at or below the low water.';

        CREATE FUNCTION ald.forget_batches(p_machine_id int, p_origin bigint, p_low_water bigint)
        RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM ald_history.admit(p_machine_id);
            INSERT INTO ald_history.ingest_origins AS o (machine_id, origin, low_water)
            VALUES (p_machine_id, p_origin, p_low_water)
            ON CONFLICT (machine_id, origin) DO UPDATE SET low_water = excluded.low_water
            WHERE o.low_water < excluded.low_water;
        END $$;
        COMMENT ON FUNCTION ald.forget_batches IS
            'A writer promises never to send a batch of this origin up to the low water again; it never goes back.';

        CREATE FUNCTION ald_history.refuse_future(p_now timestamptz) RETURNS void
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF (isfinite(p_now) AND p_now <= clock_timestamp() + interval '1 hour') IS NOT TRUE THEN
                RAISE EXCEPTION 'it is not yet %', p_now USING ERRCODE = 'invalid_parameter_value',
                    HINT = 'The clocks of the database server and of this program differ.';
            END IF;
        END $$;
        COMMENT ON FUNCTION ald_history.refuse_future IS
            'Refuses a time that has not come (22023): who says it is later than it is would drop what is not '
            'old. An hour is allowed for clocks that differ.';

        CREATE FUNCTION ald.prune_ledger(
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
                SELECT l.machine_id, l.origin, l.batch_number FROM ald_history.ingest_batches l
                JOIN ald_history.ingest_origins o ON (o.machine_id, o.origin) = (l.machine_id, l.origin)
                    AND l.batch_number <= o.low_water
                WHERE l.applied_at < p_now - p_keep LIMIT p_limit);
            GET DIAGNOSTICS pruned = ROW_COUNT;
            RETURN pruned;
        END $$;
        COMMENT ON FUNCTION ald.prune_ledger IS
            'Removes ledger rows of batches that are older than p_keep and that their writer has forgotten. A batch '
            'that could be sent again stays known for ever.';

        DELETE FROM ald.role_grants WHERE object = 'FUNCTION ald.claim_batch' OR role = 'ald_collector'
            AND object IN ('TABLE ald.parameter_value_history', 'TABLE ald.collection_gaps',
                'TABLE ald.ingest_batches');
        INSERT INTO ald.role_grants (role, privileges, object)
        SELECT 'ald_' || r, p, k || ' ' || o FROM (VALUES
            ('operator reader auditor', 'SELECT', 'TABLE',
                'ald_history.parameter_value_history ald_history.late_values ald_history.collection_gaps
                 ald_history.process_data_points ald_history.ingest_batches ald_history.retention
                 ald.process_data_points ald.ingest_batches'),
            ('operator reader auditor', 'EXECUTE', 'FUNCTION', 'ald.transaction_id'),
            ('collector', 'EXECUTE', 'FUNCTION', 'ald.missing_batches ald.forget_batches'),
            ('maintainer', 'EXECUTE', 'FUNCTION', 'ald.prune_ledger')
        ) g(roles, p, k, objects), string_to_table(roles, ' ') r, regexp_split_to_table(objects, '[[:space:]]+') o;
        SELECT ald.apply_grants();
        """
}
