extension Migration {
    /// What waited out an outage lands behind what is new, so every event is sorted in by its own numbers, and none depends
    /// on one that is not there yet.
    static let runEventsScript = """
        -- Steps are told by who runs them, each with its own number and times, and counted by nobody else.
        DROP TRIGGER a_count ON ald.process_execution_state;
        DROP TRIGGER d_history ON ald.process_execution_state;
        DROP FUNCTION ald.count_step();
        DROP FUNCTION ald.record_step();
        ALTER TABLE ald.process_execution_state ADD COLUMN status_number bigint NOT NULL DEFAULT 0;
        COMMENT ON COLUMN ald.process_execution_state.occurrence IS 'Number of the newest step that was begun, from 1.';
        COMMENT ON COLUMN ald.process_execution_state.status_number IS 'Number of the newest pause or resumption.';
        COMMENT ON TABLE ald.process_execution_state IS 'Where a process is; follows from its events.';
        COMMENT ON TABLE ald.step_execution_history IS 'Every step that was begun; follows from the events of its process.';

        CREATE FUNCTION ald_history.follow_step(e ald_history.process_events) RETURNS void
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            number CONSTANT bigint := (e.details ->> 'occurrence')::bigint;
            is_end CONSTANT boolean := e.kind <> 'step_began';
            newer boolean;
        BEGIN
            IF number IS NULL THEN RETURN; END IF;
            IF is_end THEN
                -- a row that stands for it already was closed by what came after it, and knows no better
                INSERT INTO ald.step_execution_history AS h (machine_id, process_id, occurrence, step_id,
                    loop_iterations, started_at, ended_at, outcome)
                VALUES (e.machine_id, e.process_id, number, e.step_id, e.loop_iterations,
                    (e.details ->> 'started')::timestamptz, e.happened_at, e.details ->> 'outcome')
                ON CONFLICT (machine_id, process_id, occurrence) DO UPDATE
                SET started_at = excluded.started_at, ended_at = excluded.ended_at, outcome = excluded.outcome;
            ELSIF NOT EXISTS (SELECT FROM ald.step_execution_history h WHERE h.machine_id = e.machine_id
                    AND h.process_id = e.process_id AND h.occurrence >= number)
                AND EXISTS (SELECT FROM ald.process_executions p WHERE p.machine_id = e.machine_id
                    AND p.process_id = e.process_id AND p.ended_at IS NULL)
            THEN
                UPDATE ald.step_execution_history h
                SET ended_at = greatest(e.happened_at, h.started_at), outcome = 'completed'
                WHERE h.machine_id = e.machine_id AND h.process_id = e.process_id AND h.ended_at IS NULL;
                INSERT INTO ald.step_execution_history
                    (machine_id, process_id, occurrence, step_id, loop_iterations, started_at)
                VALUES (e.machine_id, e.process_id, number, e.step_id, e.loop_iterations, e.happened_at);
            END IF;
            SELECT number > s.occurrence OR number = s.occurrence AND is_end INTO newer
            FROM ald.process_execution_state s
            WHERE s.machine_id = e.machine_id AND s.process_id = e.process_id FOR UPDATE;
            UPDATE ald.process_execution_state s SET
                completed_steps = greatest(s.completed_steps, (e.details ->> 'completed')::bigint),
                occurrence = greatest(s.occurrence, number), updated_at = greatest(s.updated_at, e.happened_at),
                step_id = CASE WHEN NOT newer THEN s.step_id WHEN is_end THEN NULL ELSE e.step_id END,
                loop_iterations = CASE WHEN NOT newer THEN s.loop_iterations WHEN is_end THEN '{}'
                    ELSE e.loop_iterations END
            WHERE s.machine_id = e.machine_id AND s.process_id = e.process_id;
        END $$;
        COMMENT ON FUNCTION ald_history.follow_step IS 'A step that has begun or ended, in history and state.';

        CREATE FUNCTION ald_history.follow_operation(e ald_history.process_events) RETURNS void
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            number CONSTANT bigint := (e.details ->> 'operation')::bigint;
            what CONSTANT text := e.details ->> 'what';
        BEGIN
            IF number IS NULL THEN RETURN; END IF;
            -- told once, by whichever of its two events comes first
            IF what <> 'safety' AND NOT EXISTS (SELECT FROM ald.recipe_execution_audit a
                WHERE a.machine_id = e.machine_id AND a.process_id = e.process_id AND a.operation = number
                    AND a.event = 'initiated')
            THEN
                INSERT INTO ald.recipe_execution_audit (machine_id, process_id, operation, event, kind, step_id,
                    loop_iterations, parameter_id, target_value)
                VALUES (e.machine_id, e.process_id, number, 'initiated', what, e.step_id, e.loop_iterations,
                    (e.details ->> 'parameter')::int, (e.details ->> 'target')::float8);
            END IF;
            IF e.details ->> 'event' IS NULL THEN RETURN; END IF;
            INSERT INTO ald.recipe_execution_audit (machine_id, process_id, operation, event, kind, step_id,
                loop_iterations, parameter_id, target_value, actual_value, write_started_at, write_ended_at,
                verification, attempts, error)
            VALUES (e.machine_id, e.process_id, number, e.details ->> 'event', what, e.step_id, e.loop_iterations,
                (e.details ->> 'parameter')::int, (e.details ->> 'target')::float8, (e.details ->> 'actual')::float8,
                (e.details ->> 'write_started')::timestamptz, (e.details ->> 'write_ended')::timestamptz,
                coalesce(e.details ->> 'verification', 'none'), coalesce((e.details ->> 'attempts')::int, 0),
                e.details ->> 'error');
        END $$;
        COMMENT ON FUNCTION ald_history.follow_operation IS 'Something done to the machine, in the audit.';

        CREATE FUNCTION ald_history.follow_state(e ald_history.process_events) RETURNS void
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF e.message IN ('completed', 'failed', 'aborted') THEN
                -- nothing paused is completed: the resumption is still on its way
                UPDATE ald.process_executions p SET status = 'running'
                WHERE p.machine_id = e.machine_id AND p.process_id = e.process_id AND p.status = 'paused'
                    AND e.message = 'completed';
                UPDATE ald.process_executions p SET status = e.message, error = e.details ->> 'error',
                    ended_at = greatest(e.happened_at, p.started_at)
                WHERE p.machine_id = e.machine_id AND p.process_id = e.process_id AND p.ended_at IS NULL;
            ELSIF e.message IN ('running', 'paused') THEN
                UPDATE ald.process_execution_state s SET status_number = (e.details ->> 'change')::bigint
                WHERE s.machine_id = e.machine_id AND s.process_id = e.process_id
                    AND s.status_number < (e.details ->> 'change')::bigint;
                IF FOUND THEN
                    UPDATE ald.process_executions p SET status = e.message
                    WHERE p.machine_id = e.machine_id AND p.process_id = e.process_id AND p.ended_at IS NULL
                        AND p.status <> e.message;
                END IF;
            END IF;
        END $$;
        COMMENT ON FUNCTION ald_history.follow_state IS 'A run that pauses, goes on or ends.';

        CREATE FUNCTION ald_history.follow_event() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
        BEGIN
            -- a database that was restored need not know the process
            IF EXISTS (SELECT FROM ald.process_executions p
                WHERE p.machine_id = NEW.machine_id AND p.process_id = NEW.process_id) THEN
                IF starts_with(NEW.kind, 'step_') THEN PERFORM ald_history.follow_step(NEW); END IF;
                PERFORM ald_history.follow_operation(NEW);
                IF NEW.kind = 'state' THEN PERFORM ald_history.follow_state(NEW); END IF;
            END IF;
            RETURN NULL;
        END $$;
        COMMENT ON FUNCTION ald_history.follow_event IS
            'State, history of steps, audit and end of a process follow from its events, in whatever order they land.';

        CREATE FUNCTION ald_history.take_turn_of_row() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM ald_history.take_turn(NEW.machine_id);
            RETURN NEW;
        END $$;
        COMMENT ON FUNCTION ald_history.take_turn_of_row IS
            'An event may end a process, which takes turns with recording: before the first row, as recording does.';
        CREATE TRIGGER a_turn BEFORE INSERT ON ald_history.process_events
            FOR EACH ROW EXECUTE FUNCTION ald_history.take_turn_of_row();
        CREATE TRIGGER e_follow AFTER INSERT ON ald_history.process_events
            FOR EACH ROW EXECUTE FUNCTION ald_history.follow_event();
        """
}
