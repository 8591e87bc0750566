extension Migration {
    static let letterDecisionsScript = """
        CREATE OR REPLACE FUNCTION ald.requeue_dead_letter(
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
            refusal := letter;
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
                refusal.attempts := refusal.attempts + 1;
                refusal.refused_at := clock_timestamp();
                refusal.detail := nullif(refusal.detail, '');
                refusal.hint := nullif(refusal.hint, '');
                refusal.context := nullif(refusal.context, '');
                refusal.schema_name := nullif(refusal.schema_name, '');
                refusal.table_name := nullif(refusal.table_name, '');
                refusal.column_name := nullif(refusal.column_name, '');
                refusal.constraint_name := nullif(refusal.constraint_name, '');
                PERFORM ald_history.write_letter(refusal, status, p_operator, p_reason, refusal.refused_at);
                RETURN;
            END IF;
            -- 0: it had landed under this claim before and the letter was imported since
            IF landing NOT IN (0, 1) THEN
                status := 'collision';
                RETURN;
            END IF;
            status := 'requeued';
            PERFORM ald_history.close_letter(letter, status, status, p_operator, p_reason);
        END $$;

        CREATE FUNCTION ald_history.close_letter(
            p_letter ald_history.dead_letters, p_state text, p_event text, p_operator text, p_reason text
        ) RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            p_letter.state := p_state;
            p_letter.closed_at := CASE WHEN p_state <> 'open' THEN clock_timestamp() END;
            p_letter.operator := p_operator;
            p_letter.reason := p_reason;
            PERFORM ald_history.write_letter(p_letter, p_event, p_operator, p_reason, clock_timestamp());
            RETURN p_event;
        END $$;
        COMMENT ON FUNCTION ald_history.close_letter IS
            'Gives a letter that the caller has locked another state, with its event, which it returns.';

        CREATE OR REPLACE FUNCTION ald.discard_dead_letter(
            p_machine_id int, p_origin bigint, p_batch bigint, p_row int, p_operator text, p_reason text
        ) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            letter ald_history.dead_letters :=
                ald_history.hold_letter(p_machine_id, p_origin, p_batch, p_row, p_operator, p_reason);
        BEGIN
            RETURN CASE letter.state
                WHEN 'open' THEN ald_history.close_letter(letter, 'discarded', 'discarded', p_operator, p_reason)
                WHEN 'discarded' THEN 'already' ELSE coalesce(letter.state, 'absent') END;
        END $$;

        CREATE OR REPLACE FUNCTION ald.reopen_dead_letter(
            p_machine_id int, p_origin bigint, p_batch bigint, p_row int, p_operator text, p_reason text
        ) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            letter ald_history.dead_letters :=
                ald_history.hold_letter(p_machine_id, p_origin, p_batch, p_row, p_operator, p_reason);
        BEGIN
            RETURN CASE letter.state
                WHEN 'discarded' THEN ald_history.close_letter(letter, 'open', 'reopened', p_operator, p_reason)
                WHEN 'open' THEN 'already' ELSE coalesce(letter.state, 'absent') END;
        END $$;
        """
}
