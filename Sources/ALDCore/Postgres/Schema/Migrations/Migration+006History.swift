extension Migration {
    /// Moves what is recorded into a schema that only functions write, and leaves views where it was.
    static let privateHistoryScript = """
        CREATE SCHEMA ald_history;
        REVOKE ALL ON SCHEMA ald_history FROM PUBLIC;
        COMMENT ON SCHEMA ald_history IS
            'Where the recorded data lies. People read it through the views of schema ald; only functions write it.';

        DO $$
        DECLARE moved regclass;
        BEGIN
            FOR moved IN SELECT relid FROM pg_partition_tree('ald.parameter_value_history') LOOP
                EXECUTE format('ALTER TABLE %s SET SCHEMA ald_history', moved);
            END LOOP;
        END $$;
        ALTER TABLE ald.collection_gaps SET SCHEMA ald_history;
        ALTER TABLE ald.ingest_batches SET SCHEMA ald_history;

        -- A backlog lands behind fresher rows: minmax would remember one wide range per block range, minmax-multi
        -- remembers several narrow ones.
        DROP INDEX ald_history.parameter_value_history_sampled_at_idx;
        CREATE INDEX parameter_value_history_brin ON ald_history.parameter_value_history
            USING brin (sampled_at timestamptz_minmax_multi_ops) WITH (pages_per_range = 32, autosummarize = on);

        -- The ledger says which times a batch covers, so that retention can see what may still be reconciled.
        ALTER TABLE ald_history.ingest_batches
            ADD COLUMN first_at timestamptz,
            ADD COLUMN last_at timestamptz,
            ADD CONSTRAINT ingest_batches_span CHECK (first_at <= last_at);
        COMMENT ON COLUMN ald_history.ingest_batches.first_at IS
            'Earliest time in a batch of readings; null for other batches.';
        COMMENT ON COLUMN ald_history.ingest_batches.last_at IS
            'Latest time in a batch of readings; null for other batches.';
        CREATE INDEX ingest_batches_applied ON ald_history.ingest_batches USING brin (applied_at)
            WITH (pages_per_range = 16, autosummarize = on);

        CREATE TABLE ald_history.ingest_origins (
            machine_id int NOT NULL,
            origin bigint NOT NULL,
            low_water bigint NOT NULL,
            PRIMARY KEY (machine_id, origin)
        );
        COMMENT ON TABLE ald_history.ingest_origins IS
            'How far a writer has forgotten its batches: none up to low_water is ever sent again.';

        CREATE TABLE ald_history.retention (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            raw_days int NOT NULL DEFAULT 7 CHECK (raw_days BETWEEN 2 AND 36500),
            five_minute_days int NOT NULL DEFAULT 30 CHECK (five_minute_days BETWEEN 2 AND 36500),
            hour_days int NOT NULL DEFAULT 365 CHECK (hour_days BETWEEN 2 AND 36500),
            unreconciled interval NOT NULL DEFAULT '1 day' CHECK (unreconciled >= '0'),
            raw_floor date NOT NULL DEFAULT '-infinity',
            five_minute_floor date NOT NULL DEFAULT '-infinity',
            hour_floor date NOT NULL DEFAULT '-infinity',
            CHECK (raw_days <= five_minute_days AND five_minute_days <= hour_days),
            CHECK (hour_floor <= five_minute_floor AND five_minute_floor <= raw_floor)
        );
        INSERT INTO ald_history.retention DEFAULT VALUES;
        COMMENT ON TABLE ald_history.retention IS 'How long each resolution is kept, and how far that has been done.';
        COMMENT ON COLUMN ald_history.retention.unreconciled IS
            'No day is dropped before its newest batch is this old: until then a writer may find that the database '
            'lost it.';
        COMMENT ON COLUMN ald_history.retention.raw_floor IS
            'First UTC day whose readings may still be there. Readings of earlier days go to late_values.';

        CREATE TABLE ald_history.late_values (
            machine_id int NOT NULL,
            parameter_id int NOT NULL,
            sampled_at timestamptz NOT NULL CHECK (isfinite(sampled_at)),
            value float8,
            quality smallint NOT NULL CHECK (quality IN (0, 64, 192)),
            merged_at timestamptz,
            CONSTRAINT value_present_unless_bad CHECK ((value IS NULL) = (quality = 0))
        );
        CREATE INDEX late_values_machine ON ald_history.late_values (machine_id, sampled_at);
        COMMENT ON TABLE ald_history.late_values IS
            'Readings that arrived after their day was dropped: kept for as long as others are, counted in the '
            'rollups once.';
        COMMENT ON COLUMN ald_history.late_values.merged_at IS 'When the rollups counted it; null before.';

        CREATE TABLE ald_history.rollup_queue (machine_id int NOT NULL, bucket timestamptz NOT NULL);
        COMMENT ON TABLE ald_history.rollup_queue IS
            'Five minutes of a machine that received readings since they were last summed up; one row per batch, no '
            'key, so that nobody waits for anybody.';

        CREATE TABLE ald_history.process_data_points (
            machine_id int NOT NULL,
            parameter_id int NOT NULL,
            process_id bigint NOT NULL,
            sampled_at timestamptz NOT NULL,
            value float8,
            quality smallint NOT NULL CHECK (quality IN (0, 64, 192)),
            CONSTRAINT value_present_unless_bad CHECK ((value IS NULL) = (quality = 0))
        ) PARTITION BY RANGE (sampled_at);
        COMMENT ON TABLE ald_history.process_data_points IS
            'Every reading taken between the start of a process and its end; one partition per month, kept for ever.';
        CREATE INDEX process_data_points_brin ON ald_history.process_data_points
            USING brin (sampled_at timestamptz_minmax_multi_ops, process_id int8_minmax_multi_ops)
            WITH (pages_per_range = 32, autosummarize = on);

        -- Members see their machines' rows through the tables; a partition by its own name is closed to all but the
        -- owner.
        SELECT ald.protect_table(t::regclass) FROM unnest('{ald_history.ingest_origins, ald_history.retention,
            ald_history.late_values, ald_history.rollup_queue, ald_history.process_data_points}'::text[]) t;
        CREATE POLICY everybody ON ald_history.retention FOR SELECT USING (true);
        DO $$
        DECLARE part regclass;
        BEGIN
            FOR part IN SELECT relid FROM pg_partition_tree('ald_history.parameter_value_history') WHERE isleaf LOOP
                EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', part);
            END LOOP;
        END $$;

        CREATE VIEW ald.parameter_value_history WITH (security_invoker = on) AS
        SELECT machine_id, parameter_id, sampled_at, value, quality FROM ald_history.parameter_value_history
        UNION ALL
        SELECT machine_id, parameter_id, sampled_at, value, quality FROM ald_history.late_values;
        COMMENT ON VIEW ald.parameter_value_history IS
            'Every parameter at every collection instant, for as long as retention keeps it.';
        CREATE VIEW ald.collection_gaps WITH (security_invoker = on) AS SELECT * FROM ald_history.collection_gaps;
        COMMENT ON VIEW ald.collection_gaps IS 'Every run of collection instants without readings, and why.';

        CREATE VIEW ald.process_data_points WITH (security_invoker = on) AS
        SELECT machine_id, process_id, parameter_id, sampled_at, value, quality FROM ald_history.process_data_points;
        COMMENT ON VIEW ald.process_data_points IS
            'Every reading taken between the start of a process and its end, pauses included; kept for ever.';

        CREATE FUNCTION ald.transaction_id(p_origin bigint, p_batch bigint) RETURNS uuid
        LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
            SELECT (lpad(to_hex(p_origin), 16, '0') || lpad(to_hex(p_batch), 16, '0'))::uuid
        $$;
        COMMENT ON FUNCTION ald.transaction_id IS
            'A batch''s name as one UUID: origin in the first half, number in the second.';
        CREATE VIEW ald.ingest_batches WITH (security_invoker = on) AS
        SELECT *, ald.transaction_id(origin, batch_number) AS transaction_id FROM ald_history.ingest_batches;
        COMMENT ON VIEW ald.ingest_batches IS
            'The ledger: one row per batch, written in the same transaction as the batch''s rows.';
        """
}
