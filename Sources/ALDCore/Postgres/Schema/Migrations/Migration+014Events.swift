extension Migration {
    /// What a terminal did in a process comes through its spool and the ledger, as readings do, so that it waits for no
    /// database and is there once.
    static let processEventsScript = """
        CREATE TABLE ald_history.process_events (
            machine_id int NOT NULL,
            seq bigint NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            process_id bigint NOT NULL,
            event_number bigint NOT NULL CHECK (event_number > 0),
            happened_at timestamptz NOT NULL CHECK (isfinite(happened_at)),
            kind text NOT NULL CHECK (kind ~ '^[a-z][a-z_]{0,39}$'),
            step_id int CHECK (step_id > 0),
            loop_iterations int[] NOT NULL DEFAULT '{}'
                CHECK (cardinality(loop_iterations) <= 8 AND 0 < ALL (loop_iterations)),
            message text NOT NULL DEFAULT '',
            details json NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(details::jsonb) = 'object'),
            origin bigint NOT NULL,
            batch_number bigint NOT NULL,
            row_number int NOT NULL CHECK (row_number >= 0),
            previous_hash bytea NOT NULL,
            row_hash bytea NOT NULL,
            PRIMARY KEY (machine_id, seq),
            UNIQUE (machine_id, origin, batch_number, row_number)
        );
        CREATE INDEX process_events_in_order
            ON ald_history.process_events (machine_id, process_id, happened_at, event_number, seq);
        COMMENT ON TABLE ald_history.process_events IS
            'What terminals did in each process, step by step and output by output; only added to, each row bound to '
            'the one before it by a hash, kept for ever. There is no foreign key: what was done is told also of a '
            'process that a restored database does not know.';
        COMMENT ON COLUMN ald_history.process_events.seq IS
            'Numbers the machine''s events from 1 as they landed, which need not be the order in which they happened.';
        COMMENT ON COLUMN ald_history.process_events.event_number IS
            'Counts the events of a process as its terminal has made them; with happened_at their order.';
        COMMENT ON COLUMN ald_history.process_events.happened_at IS 'By the terminal''s clock.';
        COMMENT ON COLUMN ald_history.process_events.details IS
            'What the kind has to say, as one object; as it was written, so that it can be compared with the digest.';
        COMMENT ON COLUMN ald_history.process_events.origin IS
            'With batch_number and row_number the place of the event in the batch that it came with.';
        SELECT ald.protect_table('ald_history.process_events');
        CREATE TRIGGER no_change BEFORE UPDATE OR DELETE ON ald_history.process_events
            FOR EACH ROW EXECUTE FUNCTION ald.refuse_change('entries are only added');
        CREATE TRIGGER no_truncate BEFORE TRUNCATE ON ald_history.process_events
            FOR EACH STATEMENT EXECUTE FUNCTION ald.refuse_change('entries are only added');
        CREATE TRIGGER z_chain BEFORE INSERT ON ald_history.process_events
            FOR EACH ROW EXECUTE FUNCTION ald.chain_row();

        CREATE VIEW ald.process_events WITH (security_invoker = on) AS SELECT * FROM ald_history.process_events;
        COMMENT ON VIEW ald.process_events IS
            'What terminals did in each process. Its order is that of happened_at, event_number, seq.';

        CREATE FUNCTION ald.apply_process_event_batch(
            p_machine_id int, p_origin bigint, p_batch bigint, p_rows int, p_sha256 bytea,
            p_processes bigint[], p_numbers bigint[], p_times timestamptz[], p_kinds text[], p_steps int[],
            p_iterations text[], p_messages text[], p_details text[]
        ) RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE status int;
        BEGIN
            status := ald_history.claim_batch(p_machine_id, p_origin, p_batch, p_rows, p_sha256, NULL, NULL);
            IF status <> 1 THEN RETURN status; END IF;
            IF (p_rows <> ANY (ARRAY[cardinality(p_processes), cardinality(p_numbers), cardinality(p_times),
                    cardinality(p_kinds), cardinality(p_steps), cardinality(p_iterations), cardinality(p_messages),
                    cardinality(p_details)])) IS NOT FALSE THEN
                RAISE EXCEPTION 'batch %/%: an array does not have % elements', p_origin, p_batch, p_rows
                    USING ERRCODE = 'AL004';
            END IF;
            INSERT INTO ald_history.process_events (machine_id, origin, batch_number, row_number, process_id,
                event_number, happened_at, kind, step_id, loop_iterations, message, details)
            SELECT p_machine_id, p_origin, p_batch, u.n - 1, u.process, u.number, u.happened, u.kind, u.step,
                u.iterations::int[], u.message, u.details::json
            FROM unnest(p_processes, p_numbers, p_times, p_kinds, p_steps, p_iterations, p_messages, p_details)
                WITH ORDINALITY u(process, number, happened, kind, step, iterations, message, details, n)
            ORDER BY u.n;
            RETURN status;
        END $$;
        COMMENT ON FUNCTION ald.apply_process_event_batch IS
            'Lands a batch of process events; see record_cycle for what it returns. Iterations as an array is written, '
            'for instance {2,1}.';

        -- A terminal that runs recipes has a spool of its own: what its batches need beside their kind.
        INSERT INTO ald.role_grants (role, privileges, object)
        SELECT 'ald_' || r, p, k || ' ' || o FROM (VALUES
            ('recipes operator reader auditor', 'SELECT', 'TABLE', 'ald.process_events ald_history.process_events'),
            ('collector recipes', 'EXECUTE', 'FUNCTION', 'ald.apply_process_event_batch'),
            ('recipes', 'EXECUTE', 'FUNCTION', 'ald.apply_gap_batch ald.apply_dead_letter_batch
                ald.missing_batches ald.forget_batches')
        ) g(roles, p, k, objects), string_to_table(roles, ' ') r, regexp_split_to_table(objects, '[[:space:]]+') o;
        SELECT ald.apply_grants();
        """
}
