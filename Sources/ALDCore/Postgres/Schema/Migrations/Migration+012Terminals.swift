extension Migration {
    /// After an outage of the database every heartbeat is old and nobody is dead.
    static let revivalScript = """
        CREATE FUNCTION ald.reachable_since() RETURNS timestamptz
        LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$ SELECT pg_postmaster_start_time() $$;
        COMMENT ON FUNCTION ald.reachable_since IS
            'Since when this server can be told anything: no heartbeat was missed before.';

        CREATE OR REPLACE FUNCTION ald.detect_dead_terminals(p_machine_id int, p_missed_heartbeats int)
        RETURNS SETOF ald.terminal_instances LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
            UPDATE ald.terminal_instances t SET status = 'crashed', ended_at = clock_timestamp(),
                status_reason = format('no heartbeat for %s s',
                    round(extract(epoch FROM clock_timestamp() - t.last_heartbeat_at)))
            WHERE t.machine_id = p_machine_id AND t.instance_id IN (
                SELECT d.instance_id FROM ald.terminal_instances d
                WHERE d.machine_id = p_machine_id AND d.ended_at IS NULL
                    AND greatest(d.last_heartbeat_at, ald.reachable_since())
                        < clock_timestamp() - make_interval(secs => d.heartbeat_seconds * greatest(p_missed_heartbeats,
                            1))
                FOR UPDATE SKIP LOCKED)
            RETURNING t.*
        $$;
        COMMENT ON FUNCTION ald.detect_dead_terminals IS
            'Marks as crashed, and returns, the terminals that missed so many heartbeats in a row while the server '
            'could hear them. One that was only cut off comes back with its next heartbeat, see heartbeat.';

        CREATE FUNCTION ald.has_successor(p_machine_id int, p_instance_id bigint, p_terminal text) RETURNS boolean
        LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
            SELECT EXISTS (SELECT FROM ald.terminal_instances s WHERE s.machine_id = p_machine_id
                AND s.terminal = p_terminal AND s.instance_id > p_instance_id)
        $$;
        COMMENT ON FUNCTION ald.has_successor IS 'Whether another terminal of its kind was registered after this one.';

        CREATE FUNCTION ald.refuse_revival() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF OLD.status = 'crashed' AND NEW.ended_at IS NULL
                AND NOT ald.has_successor(OLD.machine_id, OLD.instance_id, OLD.terminal) THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION '%: % is refused, the terminal has ended', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'AL011', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
        END $$;
        COMMENT ON FUNCTION ald.refuse_revival IS
            'Refuses (AL011) to change a terminal that has ended, unless it was given up for dead, lives and has no '
            'successor.';
        DROP TRIGGER b_ended ON ald.terminal_instances;
        CREATE TRIGGER b_ended BEFORE UPDATE ON ald.terminal_instances FOR EACH ROW
            WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION ald.refuse_revival();
        INSERT INTO ald.status_transitions
        SELECT 'terminal_instances', 'crashed', t FROM unnest('{starting,healthy,degraded,stopping}'::text[]) t;

        CREATE OR REPLACE FUNCTION ald.heartbeat(
            p_machine_id int, p_instance_id bigint, p_status text, p_reason text, p_commands_processed bigint,
            p_errors bigint, p_last_error text
        ) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            UPDATE ald.terminal_instances t SET last_heartbeat_at = clock_timestamp(), ended_at = NULL,
                status = p_status, status_reason = p_reason, commands_processed = p_commands_processed,
                errors = p_errors, last_error = coalesce(p_last_error, t.last_error),
                last_error_at = CASE WHEN p_last_error IS NULL THEN t.last_error_at ELSE clock_timestamp() END
            WHERE t.machine_id = p_machine_id AND t.instance_id = p_instance_id AND (t.ended_at IS NULL
                OR t.status = 'crashed' AND NOT ald.has_successor(t.machine_id, t.instance_id, t.terminal));
            RETURN FOUND;
        EXCEPTION WHEN unique_violation THEN
            -- a successor is just being registered
            RETURN false;
        END $$;
        COMMENT ON FUNCTION ald.heartbeat IS
            'Says that a terminal lives, also one that was given up for dead while it could not be heard; false: it has '
            'ended or another has taken its place, so it must act no more.';
        """
}
