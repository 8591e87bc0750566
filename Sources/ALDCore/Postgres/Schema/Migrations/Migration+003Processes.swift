extension Migration {
    /// What operators ask of the recipe service, what it runs and where it is.
    static let processesScript = """
        CREATE TABLE ald.recipe_commands (
            machine_id int NOT NULL REFERENCES ald.machines,
            command_id bigint GENERATED ALWAYS AS IDENTITY,
            request_id uuid NOT NULL DEFAULT gen_random_uuid(),
            kind text NOT NULL CHECK (kind IN ('start', 'stop', 'pause', 'resume')),
            recipe_id bigint,
            recipe_version int,
            process_id bigint,
        \(commandColumns("recipe_commands")),
            FOREIGN KEY (machine_id, recipe_id, recipe_version) REFERENCES ald.recipe_versions,
            CONSTRAINT recipe_commands_object CHECK (CASE kind
                WHEN 'start' THEN num_nonnulls(recipe_id, recipe_version) = 2 AND process_id IS NULL
                ELSE num_nonnulls(recipe_id, recipe_version) = 0 AND process_id IS NOT NULL END)
        ) WITH (fillfactor = 70);
        COMMENT ON TABLE ald.recipe_commands IS 'What operators ask of the recipe service; the table is the record.';
        COMMENT ON COLUMN ald.recipe_commands.process_id IS
            'stop, pause, resume: the process that is meant, so that a late command never meets the next one.';
        \(commandRules("recipe_commands", identity: "'kind', 'recipe_id', 'recipe_version', 'process_id'"))

        CREATE TABLE ald.process_executions (
            machine_id int NOT NULL REFERENCES ald.machines,
            process_id bigint GENERATED ALWAYS AS IDENTITY,
            recipe_id bigint,
            recipe_version int,
            command_id bigint,
            operator text NOT NULL CHECK (operator <> ''),
            description text NOT NULL DEFAULT '',
            parameters jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(parameters) = 'object'),
            status text NOT NULL DEFAULT 'preparing'
                CHECK (status IN ('preparing', 'running', 'paused', 'completed', 'failed', 'aborted')),
            started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            ended_at timestamptz,
            error text CHECK (error <> ''),
            PRIMARY KEY (machine_id, process_id),
            UNIQUE (machine_id, command_id),
            FOREIGN KEY (machine_id, recipe_id, recipe_version) REFERENCES ald.recipe_versions,
            FOREIGN KEY (machine_id, command_id) REFERENCES ald.recipe_commands,
            CONSTRAINT process_executions_recipe CHECK (
                num_nonnulls(recipe_id, recipe_version) <> 1 AND (command_id IS NULL OR recipe_id IS NOT NULL)),
            CONSTRAINT process_executions_end
                CHECK ((ended_at IS NULL) = (status IN ('preparing', 'running', 'paused'))),
            CONSTRAINT process_executions_error CHECK (
                CASE status WHEN 'failed' THEN error IS NOT NULL WHEN 'aborted' THEN true ELSE error IS NULL END)
        );
        CREATE UNIQUE INDEX process_executions_one_active ON ald.process_executions (machine_id)
            WHERE status IN ('preparing', 'running', 'paused');
        CREATE INDEX ON ald.process_executions (machine_id, started_at);
        COMMENT ON TABLE ald.process_executions IS 'Every run of a machine. At most one per machine is under way.';
        COMMENT ON COLUMN ald.process_executions.recipe_version IS
            'What is run: a released version, which never changes; null for a run by hand.';
        COMMENT ON COLUMN ald.process_executions.command_id IS
            'The start command, which starts one process and no second.';
        COMMENT ON COLUMN ald.process_executions.parameters IS 'Notes of the operator, for instance the substrate.';
        COMMENT ON COLUMN ald.process_executions.error IS 'failed: why; aborted: why, when it was said.';
        INSERT INTO ald.status_transitions
        SELECT 'process_executions', f, t FROM (VALUES
            ('', 'preparing'), ('', 'running'),
            ('preparing', 'running'), ('preparing', 'failed'), ('preparing', 'aborted'),
            ('running', 'paused'), ('running', 'completed'), ('running', 'failed'), ('running', 'aborted'),
            ('paused', 'running'), ('paused', 'failed'), ('paused', 'aborted')) v(f, t);

        CREATE TABLE ald.machine_state (
            machine_id int PRIMARY KEY REFERENCES ald.machines ON DELETE CASCADE,
            status text NOT NULL DEFAULT 'idle' CHECK (status IN ('offline', 'idle', 'processing', 'error')),
            since timestamptz NOT NULL DEFAULT clock_timestamp(),
            process_id bigint,
            failure text CHECK (failure <> ''),
            failed_component text,
            FOREIGN KEY (machine_id, process_id) REFERENCES ald.process_executions,
            FOREIGN KEY (machine_id, failed_component) REFERENCES ald.machine_components,
            CONSTRAINT machine_state_process CHECK ((status = 'processing') = (process_id IS NOT NULL)),
            CONSTRAINT machine_state_failure CHECK (
                (status = 'error') = (failure IS NOT NULL) AND (failed_component IS NULL OR status = 'error'))
        ) WITH (fillfactor = 70);
        COMMENT ON TABLE ald.machine_state IS
            'What each machine is doing; nothing else says so. processing follows process_executions by itself.';
        COMMENT ON COLUMN ald.machine_state.status IS
            'offline: taken out of service; error: a process failed or somebody said so, and somebody has to clear it.';
        COMMENT ON COLUMN ald.machine_state.process_id IS
            'The process under way, exactly while the status is processing.';
        INSERT INTO ald.status_transitions
        SELECT 'machine_state', f, t FROM (VALUES
            ('', 'idle'), ('', 'offline'), ('idle', 'processing'), ('idle', 'offline'), ('idle', 'error'),
            ('processing', 'idle'), ('processing', 'error'), ('error', 'idle'), ('error', 'offline'),
            ('offline', 'idle'), ('offline', 'error')) v(f, t);

        CREATE FUNCTION ald.create_machine_state() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            INSERT INTO ald.machine_state (machine_id) VALUES (NEW.machine_id);
            RETURN NULL;
        END $$;
        COMMENT ON FUNCTION ald.create_machine_state IS 'Every machine has its row of machine_state.';
        CREATE TRIGGER a_state AFTER INSERT ON ald.machines FOR EACH ROW EXECUTE FUNCTION ald.create_machine_state();
        INSERT INTO ald.machine_state (machine_id) SELECT machine_id FROM ald.machines;

        CREATE FUNCTION ald.stamp_since() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            NEW.since := clock_timestamp();
            RETURN NEW;
        END $$;
        COMMENT ON FUNCTION ald.stamp_since IS 'Notes when the status began.';
        CREATE TRIGGER a_transitions BEFORE INSERT OR UPDATE OF status ON ald.machine_state
            FOR EACH ROW EXECUTE FUNCTION ald.refuse_illegal_transition();
        CREATE TRIGGER b_since BEFORE UPDATE ON ald.machine_state FOR EACH ROW
            WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION ald.stamp_since();

        CREATE TABLE ald.process_execution_state (
            machine_id int NOT NULL,
            process_id bigint NOT NULL,
            step_id int CHECK (step_id > 0),
            loop_iterations int[] NOT NULL DEFAULT '{}'
                CHECK (cardinality(loop_iterations) <= 8 AND 0 < ALL (loop_iterations)),
            completed_steps bigint NOT NULL DEFAULT 0 CHECK (completed_steps >= 0),
            total_steps bigint NOT NULL CHECK (total_steps >= 0),
            occurrence bigint NOT NULL DEFAULT 0,
            updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (machine_id, process_id),
            FOREIGN KEY (machine_id, process_id) REFERENCES ald.process_executions,
            CONSTRAINT process_execution_state_progress CHECK (completed_steps <= total_steps),
            CONSTRAINT process_execution_state_place CHECK (step_id IS NOT NULL OR cardinality(loop_iterations) = 0)
        ) WITH (fillfactor = 50);
        COMMENT ON TABLE ald.process_execution_state IS
            'Where a process is. One statement moves it on and keeps its history.';
        COMMENT ON COLUMN ald.process_execution_state.step_id IS
            'The step under way; null between steps and after the last.';
        COMMENT ON COLUMN ald.process_execution_state.loop_iterations IS
            'Which iteration of each loop around the step, outermost first, from 1.';
        COMMENT ON COLUMN ald.process_execution_state.completed_steps IS
            'Steps done, those in loops once per iteration.';
        COMMENT ON COLUMN ald.process_execution_state.total_steps IS 'Steps to do, those in loops once per iteration.';
        COMMENT ON COLUMN ald.process_execution_state.occurrence IS 'Counts the steps begun; kept by a trigger.';

        CREATE TABLE ald.step_execution_history (
            machine_id int NOT NULL,
            process_id bigint NOT NULL,
            occurrence bigint NOT NULL CHECK (occurrence > 0),
            step_id int NOT NULL,
            loop_iterations int[] NOT NULL,
            started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            ended_at timestamptz,
            outcome text CHECK (outcome IN ('completed', 'failed', 'aborted')),
            PRIMARY KEY (machine_id, process_id, occurrence),
            FOREIGN KEY (machine_id, process_id) REFERENCES ald.process_executions,
            CONSTRAINT step_execution_history_end CHECK ((ended_at IS NULL) = (outcome IS NULL))
        );
        CREATE UNIQUE INDEX step_execution_history_one_open ON ald.step_execution_history (machine_id, process_id)
            WHERE ended_at IS NULL;
        COMMENT ON TABLE ald.step_execution_history IS
            'Every step that was begun, written by triggers of process_execution_state and process_executions.';
        COMMENT ON COLUMN ald.step_execution_history.occurrence IS
            'Counts the steps of the process as they were begun.';

        CREATE FUNCTION ald.count_step() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            NEW.updated_at := clock_timestamp();
            NEW.occurrence := CASE TG_OP WHEN 'UPDATE' THEN OLD.occurrence ELSE 0 END;
            IF NEW.step_id IS NOT NULL AND (TG_OP = 'INSERT'
                OR (OLD.step_id, OLD.loop_iterations) IS DISTINCT FROM (NEW.step_id, NEW.loop_iterations))
            THEN
                NEW.occurrence := NEW.occurrence + 1;
            END IF;
            RETURN NEW;
        END $$;
        COMMENT ON FUNCTION ald.count_step IS 'Counts the steps begun.';
        CREATE FUNCTION ald.record_step() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF TG_OP = 'UPDATE' AND (OLD.step_id, OLD.loop_iterations)
                IS NOT DISTINCT FROM (NEW.step_id, NEW.loop_iterations) THEN RETURN NULL; END IF;
            UPDATE ald.step_execution_history h SET ended_at = NEW.updated_at, outcome = 'completed'
            WHERE h.machine_id = NEW.machine_id AND h.process_id = NEW.process_id AND h.ended_at IS NULL;
            IF NEW.step_id IS NOT NULL THEN
                INSERT INTO ald.step_execution_history
                    (machine_id, process_id, occurrence, step_id, loop_iterations, started_at)
                VALUES (NEW.machine_id, NEW.process_id, NEW.occurrence, NEW.step_id, NEW.loop_iterations,
                    NEW.updated_at);
            END IF;
            RETURN NULL;
        END $$;
        COMMENT ON FUNCTION ald.record_step IS 'Ends the step that was under way and begins the next one.';
        CREATE TRIGGER a_count BEFORE INSERT OR UPDATE ON ald.process_execution_state
            FOR EACH ROW EXECUTE FUNCTION ald.count_step();
        CREATE TRIGGER b_forward BEFORE UPDATE ON ald.process_execution_state FOR EACH ROW
            WHEN (NEW.completed_steps < OLD.completed_steps)
            EXECUTE FUNCTION ald.refuse_change('progress never goes back');
        CREATE TRIGGER c_identity BEFORE UPDATE ON ald.process_execution_state
            FOR EACH ROW EXECUTE FUNCTION ald.refuse_other_identity('machine_id', 'process_id', 'total_steps');
        CREATE TRIGGER d_history AFTER INSERT OR UPDATE ON ald.process_execution_state
            FOR EACH ROW EXECUTE FUNCTION ald.record_step();

        CREATE FUNCTION ald.check_process() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' AND NEW.recipe_id IS NOT NULL AND NOT EXISTS (
                SELECT FROM ald.recipe_versions v WHERE v.machine_id = NEW.machine_id AND v.recipe_id = NEW.recipe_id
                    AND v.version = NEW.recipe_version AND v.status = 'released')
            THEN
                RAISE EXCEPTION 'recipe %, version % is not released', NEW.recipe_id, NEW.recipe_version
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'process_executions_runs_a_release',
                        TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
            END IF;
            IF NEW.status IN ('completed', 'failed', 'aborted') THEN
                NEW.ended_at := coalesce(NEW.ended_at, clock_timestamp());
            END IF;
            RETURN NEW;
        END $$;
        COMMENT ON FUNCTION ald.check_process IS 'Only released versions are run (23514); an end has its time.';

        -- lock order of a process: its own row, machine_state, step_execution_history
        CREATE FUNCTION ald.follow_process() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF NEW.ended_at IS NULL THEN
                UPDATE ald.machine_state s SET status = 'processing', process_id = NEW.process_id
                WHERE s.machine_id = NEW.machine_id AND s.process_id IS DISTINCT FROM NEW.process_id;
            ELSE
                UPDATE ald.machine_state s SET process_id = NULL,
                    status = CASE NEW.status WHEN 'failed' THEN 'error' ELSE 'idle' END,
                    failure = CASE NEW.status WHEN 'failed' THEN NEW.error END
                WHERE s.machine_id = NEW.machine_id AND s.process_id = NEW.process_id;
                UPDATE ald.step_execution_history h SET ended_at = NEW.ended_at, outcome = NEW.status
                WHERE h.machine_id = NEW.machine_id AND h.process_id = NEW.process_id AND h.ended_at IS NULL;
            END IF;
            RETURN NULL;
        END $$;
        COMMENT ON FUNCTION ald.follow_process IS
            'Keeps machine_state and the history of steps in step with the process.';
        CREATE TRIGGER a_transitions BEFORE INSERT OR UPDATE OF status ON ald.process_executions
            FOR EACH ROW EXECUTE FUNCTION ald.refuse_illegal_transition();
        CREATE TRIGGER b_contents BEFORE INSERT OR UPDATE OF status ON ald.process_executions
            FOR EACH ROW EXECUTE FUNCTION ald.check_process();
        CREATE TRIGGER c_identity BEFORE UPDATE ON ald.process_executions FOR EACH ROW
            EXECUTE FUNCTION ald.refuse_other_identity(
                'machine_id', 'process_id', 'recipe_id', 'recipe_version', 'command_id', 'operator', 'started_at');
        CREATE TRIGGER d_ended BEFORE UPDATE ON ald.process_executions FOR EACH ROW
            WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION ald.refuse_change('the process has ended');
        CREATE TRIGGER e_machine AFTER INSERT OR UPDATE OF status ON ald.process_executions
            FOR EACH ROW EXECUTE FUNCTION ald.follow_process();

        CREATE VIEW ald.process_progress WITH (security_invoker = on) AS
        SELECT p.machine_id, p.process_id, r.name AS recipe, p.recipe_version, p.status, p.started_at, p.ended_at,
            x.step_id, s.kind AS step_kind, s.name AS step_name, x.loop_iterations, x.completed_steps, x.total_steps
        FROM ald.process_executions p
        LEFT JOIN ald.process_execution_state x USING (machine_id, process_id)
        LEFT JOIN ald.recipes r USING (machine_id, recipe_id)
        LEFT JOIN ald.recipe_steps s ON (s.machine_id, s.recipe_id, s.version, s.step_id)
            = (p.machine_id, p.recipe_id, p.recipe_version, x.step_id);
        COMMENT ON VIEW ald.process_progress IS 'Processes with the step they are at, for people.';
        """
}
