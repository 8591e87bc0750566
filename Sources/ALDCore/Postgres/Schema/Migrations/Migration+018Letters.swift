extension Migration {
    static let lettersByWhomScript = """
        ALTER TABLE ald_history.dead_letter_events ADD COLUMN reported_actor text;
        COMMENT ON COLUMN ald_history.dead_letter_events.actor IS
            'The login that wrote the entry; of an event from a file that which brought the file.';
        COMMENT ON COLUMN ald_history.dead_letter_events.reported_actor IS
            'The login that a file names; null for what happened in this database. Nobody has checked it.';
        CREATE OR REPLACE VIEW ald.dead_letter_events WITH (security_invoker = on) AS
        SELECT * FROM ald_history.dead_letter_events;

        CREATE OR REPLACE FUNCTION ald_history.hold_letter(
            p_machine_id int, p_origin bigint, p_batch bigint, p_row int, p_operator text, p_reason text
        ) RETURNS ald_history.dead_letters LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE letter ald_history.dead_letters;
        BEGIN
            PERFORM ald_history.admit(p_machine_id);
            IF btrim(coalesce(p_operator, '')) = '' OR btrim(coalesce(p_reason, '')) = '' THEN
                RAISE EXCEPTION 'a dead letter is not touched without the name of an operator and a reason'
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            SELECT * INTO letter FROM ald_history.dead_letters d
            WHERE (d.machine_id, d.origin, d.batch_number, d.row_number) = (p_machine_id, p_origin, p_batch, p_row)
            FOR UPDATE;
            RETURN letter;
        END $$;

        CREATE FUNCTION ald_history.act_for(p_operator text, p_reason text, OUT acting_for text, OUT reason text)
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            acting_for := coalesce(current_setting('ald.acting_for', true), '');
            reason := coalesce(current_setting('ald.reason', true), '');
            PERFORM set_config('ald.acting_for', p_operator, true), set_config('ald.reason', p_reason, true);
        END $$;
        COMMENT ON FUNCTION ald_history.act_for IS
            'Says for whom and why the next change is made, and returns what was said before: what the transaction does '
            'afterwards must not be taken for it.';

        CREATE FUNCTION ald_history.write_letter(
            p_letter ald_history.dead_letters, p_event text, p_operator text, p_reason text, p_at timestamptz
        ) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE earlier record;
        BEGIN
            earlier := ald_history.act_for(p_operator, p_reason);
            UPDATE ald_history.dead_letters d SET attempts = p_letter.attempts, refused_at = p_letter.refused_at,
                message = p_letter.message, sqlstate = p_letter.sqlstate, detail = p_letter.detail,
                hint = p_letter.hint, context = p_letter.context, schema_name = p_letter.schema_name,
                table_name = p_letter.table_name, column_name = p_letter.column_name,
                constraint_name = p_letter.constraint_name, revision = p_letter.revision,
                revised_payload = p_letter.revised_payload, state = p_letter.state, operator = p_letter.operator,
                reason = p_letter.reason, closed_at = p_letter.closed_at
            WHERE (d.machine_id, d.origin, d.batch_number, d.row_number)
                = (p_letter.machine_id, p_letter.origin, p_letter.batch_number, p_letter.row_number);
            PERFORM ald_history.act_for(earlier.acting_for, earlier.reason);
            PERFORM ald_history.note_letter(p_letter, p_event, p_operator, p_reason,
                CASE p_event WHEN 'revised' THEN p_letter.revised_payload END,
                CASE p_event WHEN 'refused' THEN ald_history.letter_evidence(p_letter) END, p_at);
        END $$;
        COMMENT ON FUNCTION ald_history.write_letter IS
            'Writes what has become of a letter that the caller has locked, with its event, for somebody by name.';

        CREATE OR REPLACE FUNCTION ald.revise_dead_letter(
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
            revision := revision + 1;
            letter.revision := revision;
            letter.revised_payload := p_payload;
            letter.operator := p_operator;
            letter.reason := p_reason;
            PERFORM ald_history.write_letter(letter, status, p_operator, p_reason, clock_timestamp());
        END $$;

        CREATE OR REPLACE FUNCTION ald.import_dead_letter(
            p_machine_id int, p_content jsonb, p_operator text, p_reason text
        ) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            item ald_history.dead_letters :=
                jsonb_populate_record(NULL::ald_history.dead_letters, p_content -> 'letter');
            present ald_history.dead_letters;
            landed timestamptz;
            earlier record;
            is_new boolean;
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
            earlier := ald_history.act_for(p_operator, p_reason);
            INSERT INTO ald_history.dead_letters SELECT item.* ON CONFLICT DO NOTHING;
            is_new := FOUND;
            PERFORM ald_history.act_for(earlier.acting_for, earlier.reason);
            IF NOT is_new THEN RETURN 'known'; END IF;
            -- Anybody can write a file: whom it names as a login is kept as what it says, beside who has brought it.
            INSERT INTO ald_history.dead_letter_events (machine_id, origin, batch_number, row_number, event_number,
                event, happened_at, operator, reason, revision, payload, evidence, reported_actor)
            SELECT item.machine_id, item.origin, item.batch_number, item.row_number, e.event_number, e.event,
                e.happened_at, e.operator, e.reason, e.revision, e.payload, e.evidence,
                coalesce(e.reported_actor, e.actor, '')
            FROM jsonb_populate_recordset(NULL::ald_history.dead_letter_events, p_content -> 'events') e;
            PERFORM ald_history.note_letter(item, 'imported', p_operator, p_reason, NULL, NULL);
            RETURN 'imported';
        END $$;
        """
}
