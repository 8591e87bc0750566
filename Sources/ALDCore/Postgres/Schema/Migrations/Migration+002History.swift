extension Migration {
    /// The claim of a batch and its rows happen in one statement, so a batch that is sent twice lands once. The caller
    /// names the machine first, which lets a distributed database send the whole call to the node that owns it.
    static let historyAndLedger = Migration(
        version: 2, name: "history, gaps and the batch ledger",
        script: """
            CREATE TABLE ald.parameter_value_history (
                machine_id int NOT NULL,
                parameter_id int NOT NULL,
                sampled_at timestamptz NOT NULL,
                value float8,
                quality smallint NOT NULL CHECK (quality IN (0, 64, 192)),
                CONSTRAINT value_present_unless_bad CHECK ((value IS NULL) = (quality = 0))
            ) PARTITION BY RANGE (sampled_at);
            CREATE INDEX ON ald.parameter_value_history
                USING brin (sampled_at) WITH (pages_per_range = 32, autosummarize = on);
            COMMENT ON TABLE ald.parameter_value_history IS
                'Every parameter at every collection instant; one partition per UTC day.';
            COMMENT ON COLUMN ald.parameter_value_history.sampled_at IS 'When the reading of this cycle began.';
            COMMENT ON COLUMN ald.parameter_value_history.quality IS
                '192 good, 64 uncertain (outside the parameter''s range), 0 bad (not read, value is null).';

            CREATE TABLE ald.collection_gaps (
                machine_id int NOT NULL,
                first_missed_at timestamptz NOT NULL,
                last_missed_at timestamptz NOT NULL CHECK (first_missed_at <= last_missed_at),
                instants int NOT NULL CHECK (instants > 0),
                cause text NOT NULL CHECK (cause IN ('late', 'plc', 'spool')),
                detail text NOT NULL
            );
            CREATE INDEX ON ald.collection_gaps (machine_id, first_missed_at);
            COMMENT ON TABLE ald.collection_gaps IS 'Every run of collection instants without readings, and why.';
            COMMENT ON COLUMN ald.collection_gaps.instants IS 'How many collection instants the gap covers.';

            CREATE TABLE ald.ingest_batches (
                machine_id int NOT NULL,
                origin bigint NOT NULL,
                batch_number bigint NOT NULL,
                row_count int NOT NULL CHECK (row_count >= 0),
                sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
                applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
                PRIMARY KEY (machine_id, origin, batch_number)
            );
            COMMENT ON TABLE ald.ingest_batches IS
                'The ledger: one row per batch, written in the same transaction as the batch''s rows.';

            -- 1: claimed now, the rows must follow in this transaction; 0: applied earlier; 2: another batch has this number
            CREATE FUNCTION ald.claim_batch(
                p_machine_id int, p_origin bigint, p_batch bigint, p_rows int, p_sha256 bytea
            ) RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
            DECLARE earlier bytea;
            BEGIN
                INSERT INTO ald.ingest_batches (machine_id, origin, batch_number, row_count, sha256)
                VALUES (p_machine_id, p_origin, p_batch, p_rows, p_sha256)
                ON CONFLICT (machine_id, origin, batch_number) DO NOTHING;
                IF FOUND THEN RETURN 1; END IF;
                SELECT b.sha256 INTO STRICT earlier FROM ald.ingest_batches b
                WHERE b.machine_id = p_machine_id AND b.origin = p_origin AND b.batch_number = p_batch;
                RETURN CASE WHEN earlier = p_sha256 THEN 0 ELSE 2 END;
            END $$;

            CREATE FUNCTION ald.apply_history_batch(
                p_machine_id int, p_origin bigint, p_batch bigint, p_rows int, p_sha256 bytea,
                p_parameters int[], p_times timestamptz[], p_values float8[], p_qualities smallint[]
            ) RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
            DECLARE status int; inserted int;
            BEGIN
                status := ald.claim_batch(p_machine_id, p_origin, p_batch, p_rows, p_sha256);
                IF status <> 1 THEN RETURN status; END IF;
                -- unnest pads short arrays with nulls, which would turn a sender's bug into silently missing values
                IF (p_rows <> ANY (ARRAY[cardinality(p_parameters), cardinality(p_times), cardinality(p_values),
                                         cardinality(p_qualities)])) IS NOT FALSE THEN
                    RAISE EXCEPTION 'batch %/%: an array does not have % elements', p_origin, p_batch, p_rows
                        USING ERRCODE = 'AL004';
                END IF;
                INSERT INTO ald.parameter_value_history (machine_id, parameter_id, sampled_at, value, quality)
                SELECT p_machine_id, u.parameter_id, u.sampled_at, u.value, u.quality
                FROM unnest(p_parameters, p_times, p_values, p_qualities) u(parameter_id, sampled_at, value, quality);
                GET DIAGNOSTICS inserted = ROW_COUNT;
                IF inserted <> p_rows THEN
                    RAISE EXCEPTION 'batch %/%: % rows inserted, % announced', p_origin, p_batch, inserted, p_rows
                        USING ERRCODE = 'AL004';
                END IF;
                RETURN status;
            END $$;

            CREATE FUNCTION ald.apply_gap_batch(
                p_machine_id int, p_origin bigint, p_batch bigint, p_rows int, p_sha256 bytea,
                p_first timestamptz[], p_last timestamptz[], p_instants int[], p_causes text[], p_details text[]
            ) RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
            DECLARE status int;
            BEGIN
                status := ald.claim_batch(p_machine_id, p_origin, p_batch, p_rows, p_sha256);
                IF status <> 1 THEN RETURN status; END IF;
                IF (p_rows <> ANY (ARRAY[cardinality(p_first), cardinality(p_last), cardinality(p_instants),
                                         cardinality(p_causes), cardinality(p_details)])) IS NOT FALSE THEN
                    RAISE EXCEPTION 'batch %/%: an array does not have % elements', p_origin, p_batch, p_rows
                        USING ERRCODE = 'AL004';
                END IF;
                INSERT INTO ald.collection_gaps
                    (machine_id, first_missed_at, last_missed_at, instants, cause, detail)
                SELECT p_machine_id, u.first_missed_at, u.last_missed_at, u.instants, u.cause, u.detail
                FROM unnest(p_first, p_last, p_instants, p_causes, p_details)
                    u(first_missed_at, last_missed_at, instants, cause, detail);
                RETURN status;
            END $$;

            -- creates the partitions of `days` UTC days from `first_day` on; returns how many were missing
            CREATE FUNCTION ald.ensure_history_partitions(first_day date, days int)
            RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
            DECLARE day date; partition text; created int := 0;
            BEGIN
                IF days < 1 OR days > 400 THEN
                    RAISE EXCEPTION 'days is %, must be 1 to 400', days USING ERRCODE = 'invalid_parameter_value';
                END IF;
                -- two collectors must not create the same day at once
                PERFORM pg_advisory_xact_lock(hashtext('ald.ensure_history_partitions'));
                FOR offset_days IN 0 .. days - 1 LOOP
                    day := first_day + offset_days;
                    partition := 'parameter_value_history_' || to_char(day, 'YYYYMMDD');
                    IF to_regclass(format('ald.%I', partition)) IS NULL THEN
                        -- attached, not created in place: that would wait for every reader of the history, and all
                        -- others would wait behind it
                        EXECUTE format('CREATE TABLE ald.%I (LIKE ald.parameter_value_history INCLUDING ALL)', partition);
                        EXECUTE format(
                            'ALTER TABLE ald.parameter_value_history ATTACH PARTITION ald.%I FOR VALUES FROM (%L) TO (%L)',
                            partition, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
                        created := created + 1;
                    END IF;
                END LOOP;
                RETURN created;
            END $$;
            """)
}
