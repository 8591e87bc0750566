extension Migration {
    /// What people did with dead letters is kept beside them, and what must not change cannot be changed.
    static let letterHistoryScript = """
        CREATE TABLE ald_history.dead_letter_events (
            machine_id int NOT NULL,
            origin bigint NOT NULL,
            batch_number bigint NOT NULL,
            row_number int NOT NULL,
            event_number int NOT NULL CHECK (event_number > 0),
            event text NOT NULL
                CHECK (event IN ('refused', 'revised', 'requeued', 'discarded', 'reopened', 'imported')),
            happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            operator text,
            reason text,
            actor text NOT NULL DEFAULT session_user,
            revision int NOT NULL CHECK (revision >= 0),
            payload bytea,
            evidence jsonb,
            PRIMARY KEY (machine_id, origin, batch_number, row_number, event_number),
            FOREIGN KEY (machine_id, origin, batch_number, row_number) REFERENCES ald_history.dead_letters,
            CONSTRAINT dead_letter_events_by_name CHECK (event = 'refused'
                OR coalesce(operator, '') <> '' AND coalesce(reason, '') <> ''),
            CONSTRAINT dead_letter_events_revised CHECK ((event = 'revised') = (payload IS NOT NULL)),
            CONSTRAINT dead_letter_events_refused CHECK ((event = 'refused') = (evidence IS NOT NULL))
        );
        COMMENT ON TABLE ald_history.dead_letter_events IS
            'What became of each dead letter, in order: every revision, every refusal, every decision; only added to.';
        COMMENT ON COLUMN ald_history.dead_letter_events.event_number IS 'Numbers the letter''s events from 1.';
        COMMENT ON COLUMN ald_history.dead_letter_events.operator IS
            'Who wanted it, by name; null for the refusal that made the record a dead letter.';
        COMMENT ON COLUMN ald_history.dead_letter_events.actor IS 'The login.';
        COMMENT ON COLUMN ald_history.dead_letter_events.revision IS
            'The letter''s revision after this event; 0 is the record as it was accepted.';
        COMMENT ON COLUMN ald_history.dead_letter_events.payload IS 'The record as it was corrected.';
        COMMENT ON COLUMN ald_history.dead_letter_events.evidence IS 'What the database said, field by field.';
        SELECT ald.protect_table('ald_history.dead_letter_events');
        CREATE TRIGGER no_change BEFORE UPDATE OR DELETE ON ald_history.dead_letter_events
            FOR EACH ROW EXECUTE FUNCTION ald.refuse_change('entries are only added');
        CREATE TRIGGER no_truncate BEFORE TRUNCATE ON ald_history.dead_letter_events
            FOR EACH STATEMENT EXECUTE FUNCTION ald.refuse_change('entries are only added');
        CREATE VIEW ald.dead_letter_events WITH (security_invoker = on) AS
        SELECT * FROM ald_history.dead_letter_events;
        COMMENT ON VIEW ald.dead_letter_events IS
            'What became of each dead letter, in order: every revision, every refusal, every decision.';

        -- Every day's partition has the same rules, so its letters have the same fingerprint.
        CREATE OR REPLACE VIEW ald.dead_letters WITH (security_invoker = on) AS
        SELECT *, concat_ws('/', coalesce(sqlstate, ''), coalesce(regexp_replace(table_name, '_[0-9]{6,8}$', ''), ''),
            coalesce(column_name, ''), coalesce(constraint_name, '')) AS fingerprint
        FROM ald_history.dead_letters;

        CREATE TRIGGER a_identity BEFORE UPDATE ON ald_history.dead_letters
            FOR EACH ROW EXECUTE FUNCTION ald.refuse_other_identity('machine_id', 'origin', 'batch_number',
                'row_number', 'format', 'payload', 'recorded_at', 'landed_at');
        CREATE TRIGGER b_final BEFORE UPDATE ON ald_history.dead_letters FOR EACH ROW
            WHEN (OLD.state = 'requeued') EXECUTE FUNCTION ald.refuse_change('the record has landed');
        CREATE TRIGGER c_kept BEFORE DELETE ON ald_history.dead_letters
            FOR EACH ROW EXECUTE FUNCTION ald.refuse_change('dead letters are kept');
        CREATE TRIGGER z_no_truncate BEFORE TRUNCATE ON ald_history.dead_letters
            FOR EACH STATEMENT EXECUTE FUNCTION ald.refuse_change('dead letters are kept');
        -- That a record was refused is no decision of anybody's: the writer's letters are not in the audit log, what
        -- people do with them is.
        CREATE CONSTRAINT TRIGGER z_audit AFTER UPDATE OR DELETE ON ald_history.dead_letters
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
            EXECUTE FUNCTION ald.audit_change('machine_id', 'origin', 'batch_number', 'row_number');
        CREATE CONSTRAINT TRIGGER z_audit_import AFTER INSERT ON ald_history.dead_letters
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
            WHEN (coalesce(current_setting('ald.acting_for', true), '') <> '')
            EXECUTE FUNCTION ald.audit_change('machine_id', 'origin', 'batch_number', 'row_number');

        CREATE FUNCTION ald_history.hold_letter(
            p_machine_id int, p_origin bigint, p_batch bigint, p_row int, p_operator text, p_reason text
        ) RETURNS ald_history.dead_letters LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE letter ald_history.dead_letters;
        BEGIN
            PERFORM ald_history.admit(p_machine_id);
            IF btrim(coalesce(p_operator, '')) = '' OR btrim(coalesce(p_reason, '')) = '' THEN
                RAISE EXCEPTION 'a dead letter is not touched without the name of an operator and a reason'
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            PERFORM set_config('ald.acting_for', p_operator, true), set_config('ald.reason', p_reason, true);
            SELECT * INTO letter FROM ald_history.dead_letters d
            WHERE (d.machine_id, d.origin, d.batch_number, d.row_number) = (p_machine_id, p_origin, p_batch, p_row)
            FOR UPDATE;
            RETURN letter;
        END $$;
        COMMENT ON FUNCTION ald_history.hold_letter IS
            'Locks a dead letter for somebody who gives name and reason; null when there is none.';

        CREATE FUNCTION ald_history.note_letter(
            p_letter ald_history.dead_letters, p_event text, p_operator text, p_reason text, p_payload bytea,
            p_evidence jsonb, p_at timestamptz DEFAULT clock_timestamp()
        ) RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
            INSERT INTO ald_history.dead_letter_events (machine_id, origin, batch_number, row_number, event_number,
                event, happened_at, operator, reason, revision, payload, evidence)
            SELECT p_letter.machine_id, p_letter.origin, p_letter.batch_number, p_letter.row_number,
                coalesce(max(e.event_number), 0) + 1, p_event, p_at, p_operator, p_reason, p_letter.revision,
                p_payload, p_evidence
            FROM ald_history.dead_letter_events e
            WHERE (e.machine_id, e.origin, e.batch_number, e.row_number)
                = (p_letter.machine_id, p_letter.origin, p_letter.batch_number, p_letter.row_number)
        $$;
        COMMENT ON FUNCTION ald_history.note_letter IS 'Adds an event to a dead letter that the caller has locked.';

        CREATE FUNCTION ald_history.letter_evidence(p_letter ald_history.dead_letters) RETURNS jsonb
        LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
            SELECT jsonb_strip_nulls(jsonb_build_object('sqlstate', p_letter.sqlstate, 'message', p_letter.message,
                'detail', p_letter.detail, 'hint', p_letter.hint, 'context', p_letter.context,
                'schema', p_letter.schema_name, 'table', p_letter.table_name, 'column', p_letter.column_name,
                'constraint', p_letter.constraint_name))
        $$;
        COMMENT ON FUNCTION ald_history.letter_evidence IS 'What the database said when it refused the record last.';
        """
}
