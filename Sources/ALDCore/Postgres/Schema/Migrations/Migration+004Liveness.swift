extension Migration {
    /// Which terminals live, and what they say of their connections.
    static let livenessScript = """
        CREATE TABLE ald.terminal_instances (
            machine_id int NOT NULL REFERENCES ald.machines,
            instance_id bigint GENERATED ALWAYS AS IDENTITY,
            terminal text NOT NULL CHECK (terminal IN ('terminal1', 'terminal2', 'terminal3')),
            hostname text NOT NULL CHECK (hostname <> ''),
            os_pid int NOT NULL CHECK (os_pid > 0),
            version text NOT NULL,
            environment text NOT NULL DEFAULT 'production'
                CHECK (environment IN ('production', 'development', 'testing')),
            status text NOT NULL DEFAULT 'starting'
                CHECK (status IN ('starting', 'healthy', 'degraded', 'stopping', 'stopped', 'crashed')),
            status_reason text NOT NULL DEFAULT '',
            started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            last_heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            heartbeat_seconds int NOT NULL DEFAULT 10 CHECK (heartbeat_seconds BETWEEN 1 AND 300),
            ended_at timestamptz,
            commands_processed bigint NOT NULL DEFAULT 0 CHECK (commands_processed >= 0),
            errors bigint NOT NULL DEFAULT 0 CHECK (errors >= 0),
            last_error text CHECK (last_error <> ''),
            last_error_at timestamptz,
            PRIMARY KEY (machine_id, instance_id),
            CONSTRAINT terminal_instances_end CHECK ((ended_at IS NULL) = (status NOT IN ('stopped', 'crashed'))),
            CONSTRAINT terminal_instances_last_error CHECK ((last_error IS NULL) = (last_error_at IS NULL))
        ) WITH (fillfactor = 50);
        CREATE UNIQUE INDEX terminal_instances_one_active ON ald.terminal_instances (machine_id, terminal)
            WHERE status IN ('starting', 'healthy', 'degraded', 'stopping');
        COMMENT ON TABLE ald.terminal_instances IS
            'Every start of a terminal. A unique index lets one of each kind run per machine, on whatever host.';
        COMMENT ON COLUMN ald.terminal_instances.terminal IS
            'terminal1 collects, terminal2 runs recipes, terminal3 writes parameters.';
        COMMENT ON COLUMN ald.terminal_instances.os_pid IS
            'For people; whether it lives is judged by heartbeats alone.';
        COMMENT ON COLUMN ald.terminal_instances.last_heartbeat_at IS
            'By the database''s clock, so that hosts with other clocks are judged alike.';
        COMMENT ON COLUMN ald.terminal_instances.heartbeat_seconds IS 'How often it promises to be heard of.';
        INSERT INTO ald.status_transitions
        SELECT 'terminal_instances', f, t FROM (VALUES
            ('', 'starting'), ('starting', 'healthy'), ('starting', 'degraded'), ('starting', 'stopping'),
            ('starting', 'stopped'), ('starting', 'crashed'),
            ('healthy', 'degraded'), ('healthy', 'stopping'), ('healthy', 'stopped'), ('healthy', 'crashed'),
            ('degraded', 'healthy'), ('degraded', 'stopping'), ('degraded', 'stopped'), ('degraded', 'crashed'),
            ('stopping', 'stopped'), ('stopping', 'crashed')) v(f, t);

        CREATE TABLE ald.terminal_health_history (
            machine_id int NOT NULL,
            entry_id bigint GENERATED ALWAYS AS IDENTITY,
            instance_id bigint NOT NULL,
            previous_status text,
            new_status text NOT NULL,
            reason text NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (machine_id, entry_id),
            FOREIGN KEY (machine_id, instance_id) REFERENCES ald.terminal_instances ON DELETE CASCADE
        );
        CREATE INDEX ON ald.terminal_health_history (machine_id, instance_id);
        COMMENT ON TABLE ald.terminal_health_history IS
            'Every change of a terminal''s status, written once, by a trigger.';
        COMMENT ON COLUMN ald.terminal_health_history.previous_status IS 'Null: it has just started.';

        CREATE FUNCTION ald.record_health() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' OR OLD.status <> NEW.status THEN
                INSERT INTO ald.terminal_health_history (machine_id, instance_id, previous_status, new_status, reason)
                VALUES (NEW.machine_id, NEW.instance_id, CASE TG_OP WHEN 'UPDATE' THEN OLD.status END, NEW.status,
                    NEW.status_reason);
            END IF;
            RETURN NULL;
        END $$;
        COMMENT ON FUNCTION ald.record_health IS 'Writes terminal_health_history.';
        CREATE TRIGGER a_transitions BEFORE INSERT OR UPDATE OF status ON ald.terminal_instances
            FOR EACH ROW EXECUTE FUNCTION ald.refuse_illegal_transition();
        CREATE TRIGGER b_ended BEFORE UPDATE ON ald.terminal_instances FOR EACH ROW
            WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION ald.refuse_change('the terminal has ended');
        CREATE TRIGGER c_identity BEFORE UPDATE ON ald.terminal_instances FOR EACH ROW
            EXECUTE FUNCTION ald.refuse_other_identity(
                'machine_id', 'instance_id', 'terminal', 'hostname', 'os_pid', 'version', 'started_at');
        CREATE TRIGGER d_history AFTER INSERT OR UPDATE OF status ON ald.terminal_instances
            FOR EACH ROW EXECUTE FUNCTION ald.record_health();

        CREATE FUNCTION ald.detect_dead_terminals(p_machine_id int, p_missed_heartbeats int)
        RETURNS SETOF ald.terminal_instances LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
            UPDATE ald.terminal_instances t SET status = 'crashed', ended_at = clock_timestamp(),
                status_reason = format('no heartbeat for %s s',
                    round(extract(epoch FROM clock_timestamp() - t.last_heartbeat_at)))
            WHERE t.machine_id = p_machine_id AND t.instance_id IN (
                SELECT d.instance_id FROM ald.terminal_instances d
                WHERE d.machine_id = p_machine_id AND d.ended_at IS NULL
                    AND d.last_heartbeat_at
                        < clock_timestamp() - make_interval(secs => d.heartbeat_seconds * greatest(p_missed_heartbeats,
                            1))
                FOR UPDATE SKIP LOCKED)
            RETURNING t.*
        $$;
        COMMENT ON FUNCTION ald.detect_dead_terminals IS
            'Marks as crashed, and returns, the terminals that missed so many heartbeats in a row.';

        CREATE FUNCTION ald.register_terminal(
            p_machine_id int, p_terminal text, p_hostname text, p_os_pid int, p_version text, p_environment text,
            p_heartbeat_seconds int
        ) RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            id bigint;
            holder ald.terminal_instances;
        BEGIN
            PERFORM ald.detect_dead_terminals(p_machine_id, 3);
            INSERT INTO ald.terminal_instances
                (machine_id, terminal, hostname, os_pid, version, environment, heartbeat_seconds)
            VALUES (p_machine_id, p_terminal, p_hostname, p_os_pid, p_version, p_environment, p_heartbeat_seconds)
            RETURNING instance_id INTO id;
            RETURN id;
        EXCEPTION WHEN unique_violation THEN
            SELECT * INTO holder FROM ald.terminal_instances t
            WHERE t.machine_id = p_machine_id AND t.terminal = p_terminal AND t.ended_at IS NULL;
            RAISE EXCEPTION '% of machine % runs already: process % on %, last heard of % s ago', p_terminal,
                p_machine_id,
                holder.os_pid, holder.hostname, round(extract(epoch FROM clock_timestamp() - holder.last_heartbeat_at))
                USING ERRCODE = 'AL012', HINT = 'Stop it first; one that ended without saying so is forgotten after '
                    'three missed heartbeats.';
        END $$;
        COMMENT ON FUNCTION ald.register_terminal IS
            'Enters a terminal that starts and returns its number; refuses (AL012) while another of its kind lives.';

        CREATE FUNCTION ald.heartbeat(
            p_machine_id int, p_instance_id bigint, p_status text, p_reason text, p_commands_processed bigint,
            p_errors bigint, p_last_error text
        ) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            UPDATE ald.terminal_instances t SET last_heartbeat_at = clock_timestamp(), status = p_status,
                status_reason = p_reason, commands_processed = p_commands_processed, errors = p_errors,
                last_error = coalesce(p_last_error, t.last_error),
                last_error_at = CASE WHEN p_last_error IS NULL THEN t.last_error_at ELSE clock_timestamp() END
            WHERE t.machine_id = p_machine_id AND t.instance_id = p_instance_id AND t.ended_at IS NULL;
            RETURN FOUND;
        END $$;
        COMMENT ON FUNCTION ald.heartbeat IS
            'Says that a terminal lives; false: it was given up and another may run, so it must act no more.';

        CREATE FUNCTION ald.stop_terminal(p_machine_id int, p_instance_id bigint, p_reason text) RETURNS boolean
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            UPDATE ald.terminal_instances t SET status = 'stopped', status_reason = p_reason,
                ended_at = clock_timestamp(), last_heartbeat_at = clock_timestamp()
            WHERE t.machine_id = p_machine_id AND t.instance_id = p_instance_id AND t.ended_at IS NULL;
            RETURN FOUND;
        END $$;
        COMMENT ON FUNCTION ald.stop_terminal IS 'Notes the orderly end of a terminal.';

        CREATE TABLE ald.machine_health (
            machine_id int NOT NULL REFERENCES ald.machines ON DELETE CASCADE,
            terminal text NOT NULL CHECK (terminal IN ('terminal1', 'terminal2', 'terminal3')),
            plc_connected boolean NOT NULL,
            plc_connected_at timestamptz,
            plc_reconnects bigint NOT NULL DEFAULT 0 CHECK (plc_reconnects >= 0),
            plc_error text CHECK (plc_error <> ''),
            bell_connected boolean NOT NULL,
            updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (machine_id, terminal),
            CONSTRAINT machine_health_plc CHECK (
                (plc_connected_at IS NOT NULL OR NOT plc_connected) AND (plc_error IS NULL OR NOT plc_connected))
        ) WITH (fillfactor = 50);
        COMMENT ON TABLE ald.machine_health IS
            'What each terminal says of its connections; believe it while updated_at is fresh.';
        COMMENT ON COLUMN ald.machine_health.plc_connected_at IS 'When the controller was last reached.';
        COMMENT ON COLUMN ald.machine_health.plc_reconnects IS 'How often it was reached again after it was not.';
        COMMENT ON COLUMN ald.machine_health.bell_connected IS
            'Whether notifications come through; otherwise the terminal looks for commands by itself.';

        CREATE FUNCTION ald.report_health(
            p_machine_id int, p_terminal text, p_plc_connected boolean, p_plc_error text, p_bell_connected boolean
        ) RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
            INSERT INTO ald.machine_health AS h
                (machine_id, terminal, plc_connected, plc_connected_at, plc_error, bell_connected)
            VALUES (p_machine_id, p_terminal, p_plc_connected, CASE WHEN p_plc_connected THEN clock_timestamp() END,
                p_plc_error, p_bell_connected)
            ON CONFLICT (machine_id, terminal) DO UPDATE SET plc_connected = excluded.plc_connected,
                plc_connected_at = coalesce(excluded.plc_connected_at, h.plc_connected_at),
                plc_reconnects = h.plc_reconnects
                    + CASE WHEN excluded.plc_connected AND NOT h.plc_connected THEN 1 ELSE 0 END,
                plc_error = excluded.plc_error, bell_connected = excluded.bell_connected, updated_at = clock_timestamp()
        $$;
        COMMENT ON FUNCTION ald.report_health IS 'Notes what a terminal says of its connections.';
        """
}
