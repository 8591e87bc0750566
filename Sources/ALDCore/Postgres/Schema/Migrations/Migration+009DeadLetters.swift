extension Migration {
    /// A record that the schema refuses is kept with the reason. It came through the ledger as any other, so it is here
    /// once; what becomes of it is written beside it, and the record itself is never changed.
    static let deadLetters = Migration(
        version: 9, name: "dead letters",
        script: """
            CREATE TABLE ald_history.dead_letters (
                machine_id int NOT NULL,
                origin bigint NOT NULL,
                batch_number bigint NOT NULL,
                row_number int NOT NULL CHECK (row_number >= 0),
                format smallint NOT NULL,
                payload bytea NOT NULL,
                recorded_at timestamptz NOT NULL,
                refused_at timestamptz NOT NULL,
                attempts int NOT NULL,
                message text NOT NULL,
                sqlstate text,
                detail text,
                hint text,
                context text,
                schema_name text,
                table_name text,
                column_name text,
                constraint_name text,
                revision int NOT NULL DEFAULT 0 CHECK (revision >= 0),
                revised_payload bytea,
                state text NOT NULL DEFAULT 'open',
                operator text,
                reason text,
                landed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
                closed_at timestamptz,
                PRIMARY KEY (machine_id, origin, batch_number, row_number),
                CONSTRAINT dead_letters_state CHECK (state IN ('open', 'requeued', 'discarded')),
                CONSTRAINT dead_letters_closed CHECK ((state = 'open') = (closed_at IS NULL)),
                CONSTRAINT dead_letters_revised CHECK ((revision = 0) = (revised_payload IS NULL)),
                CONSTRAINT dead_letters_discarded_by_name CHECK (state <> 'discarded'
                    OR coalesce(operator, '') <> '' AND coalesce(reason, '') <> '')
            );
            CREATE INDEX dead_letters_open ON ald_history.dead_letters (machine_id, refused_at) WHERE state = 'open';
            COMMENT ON TABLE ald_history.dead_letters IS
                'Records that the schema refused, each with the reason and what became of it.';
            COMMENT ON COLUMN ald_history.dead_letters.origin IS
                'With batch_number and row_number the place of the record in the batch that was refused.';
            COMMENT ON COLUMN ald_history.dead_letters.payload IS
                'The record as it was accepted, in the form that format says; never changed.';
            COMMENT ON COLUMN ald_history.dead_letters.revised_payload IS 'As somebody has corrected it.';

            SELECT ald.protect_table('ald_history.dead_letters');
            CREATE VIEW ald.dead_letters WITH (security_invoker = on) AS
            SELECT *, concat_ws('/', coalesce(sqlstate, ''), coalesce(table_name, ''), coalesce(column_name, ''),
                coalesce(constraint_name, '')) AS fingerprint
            FROM ald_history.dead_letters;
            COMMENT ON VIEW ald.dead_letters IS
                'Records that the schema refused, each with the reason and what became of it. The fingerprint is the '
                'same for records that broke the same rule.';

            CREATE FUNCTION ald.apply_dead_letter_batch(
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
                    p_schemas, p_tables, p_columns, p_constraints) u;
                RETURN status;
            END $$;
            COMMENT ON FUNCTION ald.apply_dead_letter_batch IS
                'Lands a batch of dead letters; see record_cycle for what it returns.';

            INSERT INTO ald.role_grants (role, privileges, object)
            SELECT 'ald_' || r, p, k || ' ' || o FROM (VALUES
                ('operator reader auditor', 'SELECT', 'TABLE', 'ald_history.dead_letters ald.dead_letters'),
                ('collector', 'EXECUTE', 'FUNCTION', 'ald.apply_dead_letter_batch')
            ) g(roles, p, k, objects), string_to_table(roles, ' ') r, regexp_split_to_table(objects, '[[:space:]]+') o;
            SELECT ald.apply_grants();
            """)
}
