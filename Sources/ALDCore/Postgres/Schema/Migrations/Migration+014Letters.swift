extension Migration {
    /// A process event that was refused is sent again as any other record is.
    static let eventLettersScript = """
        CREATE FUNCTION ald_history.read_process_event(
            p_bytes bytea, OUT process_id bigint, OUT event_number bigint, OUT happened_at timestamptz,
            OUT step_id int, OUT loop_iterations text, OUT kind text, OUT message text, OUT details text
        ) LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            depth CONSTANT int := ald_history.read_integer(p_bytes, 29, 4);
            place int := 33 + 4 * depth;
        BEGIN
            IF depth NOT BETWEEN 0 AND 1000 THEN
                RAISE EXCEPTION 'the record is cut short' USING ERRCODE = 'invalid_binary_representation';
            END IF;
            process_id := ald_history.read_integer(p_bytes, 1, 8);
            event_number := ald_history.read_integer(p_bytes, 9, 8);
            happened_at := ald_history.read_time(p_bytes, 17);
            step_id := nullif(ald_history.read_integer(p_bytes, 25, 4), 0);
            SELECT '{' || coalesce(string_agg(ald_history.read_integer(p_bytes, 33 + 4 * i, 4)::text, ',' ORDER BY i),
                '') || '}' INTO loop_iterations FROM generate_series(0, depth - 1) i;
            kind := ald_history.read_text(p_bytes, place);
            place := place + 4 + ald_history.read_integer(p_bytes, place, 4);
            message := ald_history.read_text(p_bytes, place);
            place := place + 4 + ald_history.read_integer(p_bytes, place, 4);
            details := ald_history.read_text(p_bytes, place);
            IF octet_length(p_bytes) <> place + 3 + ald_history.read_integer(p_bytes, place, 4) THEN
                RAISE EXCEPTION 'the record is too long' USING ERRCODE = 'invalid_binary_representation';
            END IF;
        END $$;
        COMMENT ON FUNCTION ald_history.read_process_event IS 'A record of format 4: one process event.';

        CREATE OR REPLACE FUNCTION ald_history.land_letter(p_letter ald_history.dead_letters) RETURNS int
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            contents CONSTANT bytea := coalesce(p_letter.revised_payload, p_letter.payload);
            digest CONSTANT bytea :=
                sha256(int4send(p_letter.machine_id) || int2send(p_letter.format) || contents);
            claim record;
            reading record;
            gap record;
            event record;
        BEGIN
            SELECT * INTO STRICT claim FROM ald_history.requeue_claim(
                p_letter.machine_id, p_letter.origin, p_letter.batch_number, p_letter.row_number);
            CASE p_letter.format
            WHEN 1 THEN
                SELECT * INTO STRICT reading FROM ald_history.read_reading(contents);
                IF NOT EXISTS (SELECT FROM ald.component_parameters p
                               WHERE (p.machine_id, p.parameter_id) = (p_letter.machine_id, reading.parameter_id)) THEN
                    RAISE EXCEPTION 'machine % has no parameter %', p_letter.machine_id, reading.parameter_id
                        USING ERRCODE = 'foreign_key_violation', TABLE = 'component_parameters', SCHEMA = 'ald',
                            COLUMN = 'parameter_id', HINT = 'Register the parameter, or correct the record.';
                END IF;
                PERFORM ald.ensure_history_partitions((reading.sampled_at AT TIME ZONE 'UTC')::date, 1);
                RETURN (SELECT r.status FROM ald.record_cycle(p_letter.machine_id, claim.origin, claim.batch_number, 1,
                    digest, ARRAY[reading.parameter_id], ARRAY[reading.sampled_at], ARRAY[reading.value],
                    ARRAY[reading.quality]) r);
            WHEN 2 THEN
                SELECT * INTO STRICT gap FROM ald_history.read_gap(contents);
                RETURN ald.apply_gap_batch(p_letter.machine_id, claim.origin, claim.batch_number, 1, digest,
                    ARRAY[gap.first_missed_at], ARRAY[gap.last_missed_at], ARRAY[gap.instants], ARRAY[gap.cause],
                    ARRAY[gap.detail]);
            WHEN 4 THEN
                SELECT * INTO STRICT event FROM ald_history.read_process_event(contents);
                RETURN ald.apply_process_event_batch(p_letter.machine_id, claim.origin, claim.batch_number, 1, digest,
                    ARRAY[event.process_id], ARRAY[event.event_number], ARRAY[event.happened_at], ARRAY[event.kind],
                    ARRAY[event.step_id], ARRAY[event.loop_iterations], ARRAY[event.message], ARRAY[event.details]);
            ELSE
                RAISE EXCEPTION 'a record of format % cannot be sent again by this version', p_letter.format
                    USING ERRCODE = 'feature_not_supported';
            END CASE;
        END $$;
        """
}
