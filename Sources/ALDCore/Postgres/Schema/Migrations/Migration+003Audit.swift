extension Migration {
    /// Tables that are only added to, and the record of what a recipe did to the machine.
    static let chainScript = """
        -- Tables that are only added to, each row bound to the one before it by a hash.
        -- Lock order: a transaction takes the head of a chain last, that of recipe_execution_audit before that of
        -- audit_log, and holds it until it ends; so a transaction writes to the chains of one machine and is short.
        CREATE TABLE ald.audit_chain_heads (
            chain text NOT NULL,
            machine_id int NOT NULL,
            seq bigint NOT NULL CHECK (seq >= 0),
            hash bytea NOT NULL CHECK (octet_length(hash) = 32),
            PRIMARY KEY (chain, machine_id)
        ) WITH (fillfactor = 50);
        COMMENT ON TABLE ald.audit_chain_heads IS
            'The last entry of every chain: shows that entries were cut off at the end, and makes writers wait for '
            'each other. '
            'Who can write here can forge a chain, so copy the heads to where the database''s administrator cannot '
            'reach.';
        COMMENT ON COLUMN ald.audit_chain_heads.chain IS 'Name of the table.';
        COMMENT ON COLUMN ald.audit_chain_heads.seq IS 'Entries so far; they are numbered from 1 without holes.';
        COMMENT ON COLUMN ald.audit_chain_heads.hash IS 'row_hash of the last entry.';

        -- Session settings change how values are written as text, so they are fixed. Nulls are left out: a column that
        -- a later version adds must not change what earlier entries hash to.
        CREATE FUNCTION ald.audit_hash(p_chain text, p_previous bytea, p_row jsonb) RETURNS bytea
        LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
            SELECT sha256(p_previous
                || convert_to(p_chain || ' ' || coalesce(jsonb_object_agg(key, value)::text, ''), 'UTF8'))
            FROM jsonb_each(p_row - '{previous_hash,row_hash}'::text[]) WHERE value <> 'null'
        $$;
        COMMENT ON FUNCTION ald.audit_hash IS
            'SHA-256 over the previous hash, the chain''s name and the row as sorted JSON.';

        CREATE FUNCTION ald.chain_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres'
        SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
        DECLARE head ald.audit_chain_heads;
        BEGIN
            INSERT INTO ald.audit_chain_heads AS h (chain, machine_id, seq, hash)
            VALUES (TG_TABLE_NAME, NEW.machine_id, 0, decode(repeat('00', 32), 'hex'))
            ON CONFLICT (chain, machine_id) DO UPDATE SET seq = h.seq RETURNING * INTO head;
            NEW.seq := head.seq + 1;
            NEW.previous_hash := head.hash;
            NEW.row_hash := ald.audit_hash(TG_TABLE_NAME, head.hash, to_jsonb(NEW));
            UPDATE ald.audit_chain_heads h SET seq = NEW.seq, hash = NEW.row_hash
            WHERE h.chain = TG_TABLE_NAME AND h.machine_id = NEW.machine_id;
            RETURN NEW;
        END $$;
        COMMENT ON FUNCTION ald.chain_row IS 'Numbers the row and binds it to the one before it.';

        CREATE FUNCTION ald.verify_audit(p_machine_id int)
        RETURNS TABLE (chain text, entries bigint, first_broken bigint, problem text) LANGUAGE plpgsql STABLE
        SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres'
        SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
        DECLARE
            nothing CONSTANT bytea := decode(repeat('00', 32), 'hex');
            head record;
            entry record;
            previous bytea;
        BEGIN
            -- a head that somebody removed is one that says there is nothing
            FOR head IN
                SELECT c.chain, coalesce(h.seq, 0) AS seq, coalesce(h.hash, nothing) AS hash
                FROM (SELECT r.relname::text FROM pg_trigger t JOIN pg_class r ON r.oid = t.tgrelid
                      WHERE t.tgfoid = 'ald.chain_row'::regproc
                      UNION SELECT a.chain FROM ald.audit_chain_heads a WHERE a.machine_id = p_machine_id) c(chain)
                LEFT JOIN ald.audit_chain_heads h ON h.chain = c.chain AND h.machine_id = p_machine_id ORDER BY 1
            LOOP
                chain := head.chain; entries := 0; first_broken := NULL; problem := NULL; previous := nothing;
                FOR entry IN EXECUTE format('SELECT t.seq, t.previous_hash, t.row_hash, to_jsonb(t) AS contents
                    FROM ald.%I t WHERE t.machine_id = $1 ORDER BY t.seq', head.chain) USING p_machine_id
                LOOP
                    problem := CASE
                        WHEN entry.seq > entries + 1 THEN 'an entry is missing'
                        WHEN entry.seq <= entries THEN 'an entry is there twice'
                        WHEN entry.previous_hash <> previous THEN 'does not follow the entry before it'
                        WHEN entry.row_hash <> ald.audit_hash(head.chain, previous, entry.contents) THEN 'was altered'
                        WHEN entry.seq > head.seq THEN 'is later than the head of the chain' END;
                    IF problem IS NOT NULL THEN
                        first_broken := least(entry.seq, entries + 1);
                        EXIT;
                    END IF;
                    entries := entry.seq; previous := entry.row_hash;
                END LOOP;
                IF problem IS NULL AND entries < head.seq THEN
                    first_broken := entries + 1; problem := 'entries were cut off at the end';
                ELSIF problem IS NULL AND previous <> head.hash THEN
                    first_broken := entries; problem := 'is not what the head of the chain says';
                END IF;
                RETURN NEXT;
            END LOOP;
        END $$;
        COMMENT ON FUNCTION ald.verify_audit IS
            'Reads every chain of a machine from its first entry: how many entries are sound, and the first that is '
            'not.';

        CREATE TABLE ald.recipe_execution_audit (
            machine_id int NOT NULL,
            seq bigint NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            process_id bigint NOT NULL,
            operation bigint NOT NULL CHECK (operation > 0),
            event text NOT NULL
                CHECK (event IN ('initiated', 'succeeded', 'failed', 'skipped', 'cancelled', 'unknown')),
            kind text NOT NULL CHECK (kind IN ('valve', 'purge', 'parameter', 'loop', 'wait', 'safety')),
            step_id int CHECK (step_id > 0),
            loop_iterations int[] NOT NULL DEFAULT '{}'
                CHECK (cardinality(loop_iterations) <= 8 AND 0 < ALL (loop_iterations)),
            parameter_id int,
            target_value float8 CHECK (target_value > '-Infinity' AND target_value < 'Infinity'),
            actual_value float8 CHECK (actual_value > '-Infinity' AND actual_value < 'Infinity'),
            write_started_at timestamptz,
            write_ended_at timestamptz,
            verification text NOT NULL DEFAULT 'none'
                CHECK (verification IN ('none', 'matched', 'mismatched', 'unreadable')),
            attempts int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
            error text CHECK (error <> ''),
            previous_hash bytea NOT NULL,
            row_hash bytea NOT NULL,
            PRIMARY KEY (machine_id, seq),
            FOREIGN KEY (machine_id, process_id) REFERENCES ald.process_executions,
            FOREIGN KEY (machine_id, parameter_id) REFERENCES ald.component_parameters,
            CONSTRAINT recipe_execution_audit_error CHECK ((error IS NOT NULL) = (event IN ('failed', 'unknown'))),
            CONSTRAINT recipe_execution_audit_write CHECK (
                write_ended_at IS NULL OR write_started_at IS NOT NULL AND write_started_at <= write_ended_at),
            CONSTRAINT recipe_execution_audit_object CHECK (
                (kind NOT IN ('valve', 'parameter') OR num_nonnulls(parameter_id, target_value) = 2)
                AND (kind = 'safety' OR step_id IS NOT NULL)),
            CONSTRAINT recipe_execution_audit_verification CHECK (verification = 'none' OR parameter_id IS NOT NULL)
        );
        CREATE UNIQUE INDEX recipe_execution_audit_begun
            ON ald.recipe_execution_audit (machine_id, process_id, operation) WHERE event = 'initiated';
        CREATE UNIQUE INDEX recipe_execution_audit_ended
            ON ald.recipe_execution_audit (machine_id, process_id, operation) WHERE event <> 'initiated';
        COMMENT ON TABLE ald.recipe_execution_audit IS
            'What the recipe service did to the machine: an entry before each operation and one after it; only added '
            'to.';
        COMMENT ON COLUMN ald.recipe_execution_audit.seq IS
            'Numbers the machine''s entries from 1; given by a trigger.';
        COMMENT ON COLUMN ald.recipe_execution_audit.operation IS 'Counts the operations of the process.';
        COMMENT ON COLUMN ald.recipe_execution_audit.event IS
            'initiated before anything is written, one of the others when it has ended; unknown: nobody can tell.';
        COMMENT ON COLUMN ald.recipe_execution_audit.kind IS
            'The kind of step; safety: done without a step to make it safe.';
        COMMENT ON COLUMN ald.recipe_execution_audit.write_started_at IS
            'By the terminal''s clock; with write_ended_at to the microsecond.';
        COMMENT ON COLUMN ald.recipe_execution_audit.actual_value IS 'What was read back, in the unit.';
        CREATE TRIGGER no_change BEFORE UPDATE OR DELETE ON ald.recipe_execution_audit
            FOR EACH ROW EXECUTE FUNCTION ald.refuse_change('entries are only added');
        CREATE TRIGGER no_truncate BEFORE TRUNCATE ON ald.recipe_execution_audit
            FOR EACH STATEMENT EXECUTE FUNCTION ald.refuse_change('entries are only added');
        CREATE TRIGGER z_chain BEFORE INSERT ON ald.recipe_execution_audit
            FOR EACH ROW EXECUTE FUNCTION ald.chain_row();
        """
}
