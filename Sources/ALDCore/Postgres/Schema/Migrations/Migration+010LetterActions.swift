extension Migration {
    /// What operators do with dead letters. Each function says in one word what it did, and doing it again does nothing.
    static let letterActionsScript = """
        CREATE FUNCTION ald.revise_dead_letter(
            p_machine_id int, p_origin bigint, p_batch bigint, p_row int, p_revision int, p_payload bytea,
            p_operator text, p_reason text, OUT status text, OUT revision int
        ) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE letter ald_history.dead_letters;
        BEGIN
            letter := ald_history.hold_letter(p_machine_id, p_origin, p_batch, p_row, p_operator, p_reason);
            revision := letter.revision;
            status := CASE WHEN letter.machine_id IS NULL THEN 'absent'
                WHEN letter.state <> 'open' THEN letter.state
                WHEN coalesce(letter.revised_payload, letter.payload) = p_payload THEN 'unchanged'
                WHEN letter.revision IS DISTINCT FROM p_revision THEN 'stale' ELSE 'revised' END;
            IF status <> 'revised' THEN RETURN; END IF;
            UPDATE ald_history.dead_letters d
            SET revision = d.revision + 1, revised_payload = p_payload, operator = p_operator, reason = p_reason
            WHERE (d.machine_id, d.origin, d.batch_number, d.row_number) = (p_machine_id, p_origin, p_batch, p_row)
            RETURNING d.* INTO STRICT letter;
            revision := letter.revision;
            PERFORM ald_history.note_letter(letter, 'revised', p_operator, p_reason, p_payload, NULL);
        END $$;
        COMMENT ON FUNCTION ald.revise_dead_letter IS
            'Corrects the record of an open dead letter: a new revision, the old ones stay. revised: done; unchanged: '
            'it is so already; stale: somebody else has revised p_revision since; requeued, discarded: it is closed; '
            'absent: there is none.';

        CREATE FUNCTION ald_history.land_letter(p_letter ald_history.dead_letters) RETURNS int
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            contents CONSTANT bytea := coalesce(p_letter.revised_payload, p_letter.payload);
            digest CONSTANT bytea :=
                sha256(int4send(p_letter.machine_id) || int2send(p_letter.format) || contents);
            claim record;
            reading record;
            gap record;
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
            ELSE
                RAISE EXCEPTION 'a record of format % cannot be sent again by this version', p_letter.format
                    USING ERRCODE = 'feature_not_supported';
            END CASE;
        END $$;
        COMMENT ON FUNCTION ald_history.land_letter IS
            'Lands the record as the writer would, under the letter''s own claim; see record_cycle for what it returns.';

        CREATE FUNCTION ald.requeue_dead_letter(
            p_machine_id int, p_origin bigint, p_batch bigint, p_row int, p_revision int, p_operator text,
            p_reason text, OUT status text, OUT message text
        ) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            letter ald_history.dead_letters;
            refusal ald_history.dead_letters;
            landing int;
        BEGIN
            PERFORM ald_history.admit(p_machine_id);
            -- the machine's turn comes before any row
            PERFORM ald_history.take_turn(p_machine_id);
            letter := ald_history.hold_letter(p_machine_id, p_origin, p_batch, p_row, p_operator, p_reason);
            status := CASE WHEN letter.machine_id IS NULL THEN 'absent'
                WHEN letter.state = 'requeued' THEN 'already'
                WHEN letter.state <> 'open' THEN letter.state
                WHEN letter.revision IS DISTINCT FROM p_revision THEN 'stale' END;
            IF status IS NOT NULL THEN RETURN; END IF;
            BEGIN
                landing := ald_history.land_letter(letter);
            EXCEPTION WHEN data_exception OR integrity_constraint_violation OR cardinality_violation
                OR with_check_option_violation OR raise_exception
            THEN
                GET STACKED DIAGNOSTICS refusal.sqlstate = RETURNED_SQLSTATE, refusal.message = MESSAGE_TEXT,
                    refusal.detail = PG_EXCEPTION_DETAIL, refusal.hint = PG_EXCEPTION_HINT,
                    refusal.context = PG_EXCEPTION_CONTEXT, refusal.schema_name = SCHEMA_NAME,
                    refusal.table_name = TABLE_NAME, refusal.column_name = COLUMN_NAME,
                    refusal.constraint_name = CONSTRAINT_NAME;
                -- a missing partition is no fault of the record
                IF refusal.sqlstate = '23514' AND refusal.constraint_name = '' THEN RAISE; END IF;
                status := 'refused';
                message := refusal.message;
            END;
            IF status = 'refused' THEN
                IF NOT EXISTS (
                    SELECT FROM ald_history.dead_letter_events e WHERE e.event = 'refused'
                        AND (e.machine_id, e.origin, e.batch_number, e.row_number)
                            = (p_machine_id, p_origin, p_batch, p_row)
                ) THEN
                    PERFORM ald_history.note_letter(letter, 'refused', NULL, NULL, NULL,
                        ald_history.letter_evidence(letter), letter.refused_at);
                END IF;
                UPDATE ald_history.dead_letters d SET attempts = d.attempts + 1, refused_at = clock_timestamp(),
                    message = refusal.message, sqlstate = refusal.sqlstate, detail = nullif(refusal.detail, ''),
                    hint = nullif(refusal.hint, ''), context = nullif(refusal.context, ''),
                    schema_name = nullif(refusal.schema_name, ''), table_name = nullif(refusal.table_name, ''),
                    column_name = nullif(refusal.column_name, ''),
                    constraint_name = nullif(refusal.constraint_name, '')
                WHERE (d.machine_id, d.origin, d.batch_number, d.row_number)
                    = (p_machine_id, p_origin, p_batch, p_row)
                RETURNING d.* INTO STRICT letter;
                PERFORM ald_history.note_letter(letter, 'refused', p_operator, p_reason, NULL,
                    ald_history.letter_evidence(letter), letter.refused_at);
                RETURN;
            END IF;
            -- 0: it had landed under this claim before and the letter was imported since
            IF landing NOT IN (0, 1) THEN
                status := 'collision';
                RETURN;
            END IF;
            UPDATE ald_history.dead_letters d
            SET state = 'requeued', operator = p_operator, reason = p_reason, closed_at = clock_timestamp()
            WHERE (d.machine_id, d.origin, d.batch_number, d.row_number) = (p_machine_id, p_origin, p_batch, p_row)
            RETURNING d.* INTO STRICT letter;
            PERFORM ald_history.note_letter(letter, 'requeued', p_operator, p_reason, NULL, NULL);
            status := 'requeued';
        END $$;
        COMMENT ON FUNCTION ald.requeue_dead_letter IS
            'Lands the record of an open dead letter, once, and closes the letter in the same transaction. requeued: '
            'done; already: it was; refused: the database refuses it still, the letter stays open with the new reason; '
            'stale: somebody has revised p_revision since; discarded: it is closed; absent: there is none; collision: '
            'other contents have landed under its name. What is no fault of the record is raised and changes nothing.';

        CREATE FUNCTION ald.discard_dead_letter(
            p_machine_id int, p_origin bigint, p_batch bigint, p_row int, p_operator text, p_reason text
        ) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE letter ald_history.dead_letters;
        BEGIN
            letter := ald_history.hold_letter(p_machine_id, p_origin, p_batch, p_row, p_operator, p_reason);
            IF letter.machine_id IS NULL THEN RETURN 'absent'; END IF;
            IF letter.state = 'discarded' THEN RETURN 'already'; END IF;
            IF letter.state <> 'open' THEN RETURN letter.state; END IF;
            UPDATE ald_history.dead_letters d
            SET state = 'discarded', operator = p_operator, reason = p_reason, closed_at = clock_timestamp()
            WHERE (d.machine_id, d.origin, d.batch_number, d.row_number) = (p_machine_id, p_origin, p_batch, p_row)
            RETURNING d.* INTO STRICT letter;
            PERFORM ald_history.note_letter(letter, 'discarded', p_operator, p_reason, NULL, NULL);
            RETURN 'discarded';
        END $$;
        COMMENT ON FUNCTION ald.discard_dead_letter IS
            'Gives up an open dead letter by name and with a reason; it stays as evidence. discarded: done; already: it '
            'was; requeued: its record has landed; absent: there is none.';

        CREATE FUNCTION ald.reopen_dead_letter(
            p_machine_id int, p_origin bigint, p_batch bigint, p_row int, p_operator text, p_reason text
        ) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE letter ald_history.dead_letters;
        BEGIN
            letter := ald_history.hold_letter(p_machine_id, p_origin, p_batch, p_row, p_operator, p_reason);
            IF letter.machine_id IS NULL THEN RETURN 'absent'; END IF;
            IF letter.state = 'open' THEN RETURN 'already'; END IF;
            IF letter.state <> 'discarded' THEN RETURN letter.state; END IF;
            UPDATE ald_history.dead_letters d
            SET state = 'open', operator = p_operator, reason = p_reason, closed_at = NULL
            WHERE (d.machine_id, d.origin, d.batch_number, d.row_number) = (p_machine_id, p_origin, p_batch, p_row)
            RETURNING d.* INTO STRICT letter;
            PERFORM ald_history.note_letter(letter, 'reopened', p_operator, p_reason, NULL, NULL);
            RETURN 'reopened';
        END $$;
        COMMENT ON FUNCTION ald.reopen_dead_letter IS
            'Takes the discarding of a dead letter back. reopened: done; already: it is open; requeued: its record has '
            'landed, which is final; absent: there is none.';

        CREATE FUNCTION ald.import_dead_letter(
            p_machine_id int, p_content jsonb, p_operator text, p_reason text
        ) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            item ald_history.dead_letters :=
                jsonb_populate_record(NULL::ald_history.dead_letters, p_content -> 'letter');
            present ald_history.dead_letters;
            landed timestamptz;
        BEGIN
            IF item.machine_id IS DISTINCT FROM p_machine_id THEN
                RAISE EXCEPTION 'the letter is of machine %, not of %', item.machine_id, p_machine_id
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            present := ald_history.hold_letter(
                p_machine_id, item.origin, item.batch_number, item.row_number, p_operator, p_reason);
            IF present.machine_id IS NOT NULL THEN
                RETURN CASE WHEN (present.format, present.payload) = (item.format, item.payload) THEN 'known'
                    ELSE 'collision' END;
            END IF;
            -- Whether the record has landed is for this database's ledger to say, not for the file.
            SELECT b.applied_at INTO landed FROM ald_history.ingest_batches b, ald_history.requeue_claim(
                item.machine_id, item.origin, item.batch_number, item.row_number) c
            WHERE (b.machine_id, b.origin, b.batch_number) = (item.machine_id, c.origin, c.batch_number);
            IF landed IS NOT NULL THEN
                item.state := 'requeued';
                item.closed_at := landed;
            ELSIF item.state = 'requeued' THEN
                item.state := 'open';
                item.closed_at := NULL;
            END IF;
            item.landed_at := clock_timestamp();
            INSERT INTO ald_history.dead_letters SELECT item.* ON CONFLICT DO NOTHING;
            IF NOT FOUND THEN RETURN 'known'; END IF;
            INSERT INTO ald_history.dead_letter_events (machine_id, origin, batch_number, row_number, event_number,
                event, happened_at, operator, reason, actor, revision, payload, evidence)
            SELECT item.machine_id, item.origin, item.batch_number, item.row_number, e.event_number, e.event,
                e.happened_at, e.operator, e.reason, e.actor, e.revision, e.payload, e.evidence
            FROM jsonb_populate_recordset(NULL::ald_history.dead_letter_events, p_content -> 'events') e;
            PERFORM ald_history.note_letter(item, 'imported', p_operator, p_reason, NULL, NULL);
            RETURN 'imported';
        END $$;
        COMMENT ON FUNCTION ald.import_dead_letter IS
            'Brings a dead letter from another database, or back into this one, with its history. imported: done; '
            'known: it is here; collision: another record has its name.';

        INSERT INTO ald.role_grants (role, privileges, object)
        SELECT 'ald_' || r, p, k || ' ' || o FROM (VALUES
            ('operator reader auditor', 'SELECT', 'TABLE',
                'ald_history.dead_letter_events ald.dead_letter_events ald_history.ingest_origins'),
            ('operator reader auditor', 'EXECUTE', 'FUNCTION', 'ald_history.requeue_claim'),
            ('operator', 'EXECUTE', 'FUNCTION',
                'ald.revise_dead_letter ald.requeue_dead_letter ald.discard_dead_letter ald.reopen_dead_letter
                 ald.import_dead_letter')
        ) g(roles, p, k, objects), string_to_table(roles, ' ') r, regexp_split_to_table(objects, '[[:space:]]+') o;
        SELECT ald.apply_grants();
        """
}
