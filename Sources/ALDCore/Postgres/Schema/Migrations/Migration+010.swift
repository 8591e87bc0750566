extension Migration {
    static let deadLetterQueue = Migration(
        version: 10, name: "dead letters are corrected, sent again and discarded",
        script: [letterHistoryScript, letterRecordsScript, letterActionsScript, lettersOnceScript]
            .joined(separator: "\n\n"))

    /// After a restore, a letter may have come back from a file before the writer that had sent it sends it again.
    private static let lettersOnceScript = """
        CREATE OR REPLACE FUNCTION ald.apply_dead_letter_batch(
            p_machine_id int, p_origin bigint, p_batch bigint, p_rows int, p_sha256 bytea,
            p_origins bigint[], p_batches bigint[], p_row_numbers int[], p_formats smallint[], p_payloads bytea[],
            p_recorded timestamptz[], p_refused timestamptz[], p_attempts int[], p_messages text[],
            p_states text[], p_details text[], p_hints text[], p_contexts text[], p_schemas text[],
            p_tables text[], p_columns text[], p_constraints text[]
        ) RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE status int;
        BEGIN
            status := ald_history.claim_batch(p_machine_id, p_origin, p_batch, p_rows, p_sha256, NULL, NULL);
            IF status <> 1 THEN RETURN status; END IF;
            IF (p_rows <> ANY (ARRAY[cardinality(p_origins), cardinality(p_batches), cardinality(p_row_numbers),
                    cardinality(p_formats), cardinality(p_payloads), cardinality(p_recorded),
                    cardinality(p_refused), cardinality(p_attempts), cardinality(p_messages),
                    cardinality(p_states), cardinality(p_details), cardinality(p_hints), cardinality(p_contexts),
                    cardinality(p_schemas), cardinality(p_tables), cardinality(p_columns),
                    cardinality(p_constraints)])) IS NOT FALSE THEN
                RAISE EXCEPTION 'batch %/%: an array does not have % elements', p_origin, p_batch, p_rows
                    USING ERRCODE = 'AL004';
            END IF;
            INSERT INTO ald_history.dead_letters (machine_id, origin, batch_number, row_number, format, payload,
                recorded_at, refused_at, attempts, message, sqlstate, detail, hint, context, schema_name,
                table_name, column_name, constraint_name)
            SELECT p_machine_id, u.* FROM unnest(p_origins, p_batches, p_row_numbers, p_formats, p_payloads,
                p_recorded, p_refused, p_attempts, p_messages, p_states, p_details, p_hints, p_contexts,
                p_schemas, p_tables, p_columns, p_constraints)
                AS u(origin, batch_number, row_number, format, payload)
            -- the same letter, from a file; another one of this name is an error
            WHERE NOT EXISTS (SELECT FROM ald_history.dead_letters d
                WHERE (d.machine_id, d.origin, d.batch_number, d.row_number, d.format, d.payload)
                    = (p_machine_id, u.origin, u.batch_number, u.row_number, u.format, u.payload));
            RETURN status;
        END $$;
        """
}
