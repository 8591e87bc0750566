extension Migration {
    /// How a batch lives on whose name is closed stands beside the closed name, so that everybody who has the batch, as
    /// the copy of a spool has, cuts it into the same parts under the same names.
    static let decidedCuts = Migration(
        version: 21, name: "cuts are decided once",
        script: """
            ALTER TABLE ald_history.ingest_batches
                ADD COLUMN cut_origin bigint, ADD COLUMN cut_number bigint, ADD COLUMN cut text,
                ADD COLUMN cut_letter bytea,
                -- those that were there have none of these columns; to look at each would take long
                ADD CONSTRAINT ingest_batches_cut CHECK (CASE WHEN cut_origin IS NULL
                    THEN num_nonnulls(cut_number, cut, cut_letter) = 0 ELSE row_count = 0 END) NOT VALID;
            COMMENT ON COLUMN ald_history.ingest_batches.cut_origin IS
                'Of a name that was closed: the origin of the parts that its batch lives on in; null for all others.';
            COMMENT ON COLUMN ald_history.ingest_batches.cut_number IS
                'The number of the first part; null when only a part has told that there are some.';
            COMMENT ON COLUMN ald_history.ingest_batches.cut IS
                'How the batch is cut: halves, letter, again, around a row, or apart with the parameters of one part.';
            COMMENT ON COLUMN ald_history.ingest_batches.cut_letter IS
                'The dead letter among the parts, as the writer encodes it.';

            CREATE FUNCTION ald.cut_obstacle(p_machine_id int, p_origin bigint, p_batch bigint, p_cut_origin bigint)
            RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            DECLARE entry ald_history.ingest_batches;
            BEGIN
                PERFORM ald_history.admit(p_machine_id);
                -- A restored database may have forgotten that the name was closed.
                INSERT INTO ald_history.ingest_batches
                    (machine_id, origin, batch_number, row_count, sha256, cut_origin)
                VALUES (p_machine_id, p_origin, p_batch, 0, sha256('cut'), p_cut_origin)
                ON CONFLICT (machine_id, origin, batch_number) DO NOTHING;
                IF FOUND THEN RETURN NULL; END IF;
                -- Earlier writers have closed names without a word on the parts.
                UPDATE ald_history.ingest_batches b SET cut_origin = p_cut_origin
                WHERE b.machine_id = p_machine_id AND b.origin = p_origin AND b.batch_number = p_batch
                    AND b.row_count = 0 AND b.cut_origin IS NULL;
                SELECT * INTO STRICT entry FROM ald_history.ingest_batches b
                WHERE b.machine_id = p_machine_id AND b.origin = p_origin AND b.batch_number = p_batch;
                RETURN CASE WHEN entry.cut_origin = p_cut_origin THEN NULL WHEN entry.cut_origin IS NULL THEN 0
                    ELSE 2 END;
            END $$;
            COMMENT ON FUNCTION ald.cut_obstacle IS
                'Asked before a part of a batch that was cut is landed. Null: parts of this origin may land. 0: the batch '
                'landed whole, so the part is there. 2: it was cut by somebody else into other parts, so a copy of the '
                'spool has gone its own way.';

            CREATE FUNCTION ald.void_batch(
                p_machine_id int, p_origin bigint, p_batch bigint, p_sha256 bytea, p_void_sha256 bytea,
                p_parent_origin bigint, p_parent bigint, p_cut_origin bigint, p_cut_number bigint, p_cut text,
                p_letter bytea, OUT status int, OUT cut_origin bigint, OUT cut_number bigint, OUT cut text,
                OUT letter bytea
            ) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
            DECLARE entry ald_history.ingest_batches;
            BEGIN
                IF p_parent IS NOT NULL THEN
                    status := ald.cut_obstacle(p_machine_id, p_parent_origin, p_parent, p_origin);
                    IF status IS NOT NULL THEN RETURN; END IF;
                END IF;
                status := ald_history.claim_batch(p_machine_id, p_origin, p_batch, 0, p_void_sha256, NULL, NULL);
                IF status = 3 THEN RETURN; END IF;
                IF status <> 2 THEN
                    UPDATE ald_history.ingest_batches b SET cut_origin = p_cut_origin, cut_number = p_cut_number,
                        cut = p_cut, cut_letter = p_letter
                    WHERE b.machine_id = p_machine_id AND b.origin = p_origin AND b.batch_number = p_batch
                        AND b.cut_origin IS NULL;
                END IF;
                SELECT * INTO STRICT entry FROM ald_history.ingest_batches b
                WHERE b.machine_id = p_machine_id AND b.origin = p_origin AND b.batch_number = p_batch;
                status := CASE WHEN entry.sha256 = p_sha256 THEN 0 WHEN entry.sha256 <> p_void_sha256
                    OR entry.cut_number IS NULL THEN 2 ELSE 1 END;
                cut_origin := entry.cut_origin;
                cut_number := entry.cut_number;
                cut := entry.cut;
                letter := entry.cut_letter;
            END $$;
            COMMENT ON FUNCTION ald.void_batch IS
                'Closes a batch''s name for ever. 1: it is closed, and the batch lives on as was decided when it was '
                'closed first, which is what is returned; 0: it had landed; 2: the name is taken by other contents, or '
                'by parts of which nobody has said how they were cut; 3: its writer had forgotten it.';

            INSERT INTO ald.role_grants (role, privileges, object)
            SELECT 'ald_' || r, 'EXECUTE', 'FUNCTION ' || f
            FROM unnest('{collector, recipes}'::text[]) r, unnest('{ald.cut_obstacle, ald.void_batch}'::text[]) f;
            SELECT ald.apply_grants();
            """)
}
