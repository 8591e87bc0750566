extension Migration {
    /// The audit log says why each change was made, not why the last one of its transaction was.
    static let auditContextScript = """
        CREATE FUNCTION ald.audit_context() RETURNS jsonb
        LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
            SELECT jsonb_strip_nulls(jsonb_build_object(
                'acting_for', coalesce(nullif(current_setting('ald.acting_for', true), ''),
                    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'),
                'reason', nullif(current_setting('ald.reason', true), ''),
                'application', nullif(current_setting('application_name', true), '')))
        $$;
        COMMENT ON FUNCTION ald.audit_context IS 'For whom, why and with which program this session acts just now.';

        -- Entries are written when the transaction ends, in the order of the changes. So it is noted at each change
        -- what the settings were: how often in a row the same, since that rarely changes within a transaction.
        CREATE FUNCTION ald.note_context() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            noted jsonb := coalesce(nullif(current_setting('ald.audit_noted', true), ''), '[]')::jsonb;
            context jsonb := ald.audit_context();
        BEGIN
            IF noted -> -1 -> 'context' = context THEN
                noted := jsonb_set(noted, '{-1,changes}', to_jsonb((noted -> -1 ->> 'changes')::bigint + 1));
            ELSE
                noted := noted || jsonb_build_array(jsonb_build_object('changes', 1, 'context', context));
            END IF;
            PERFORM set_config('ald.audit_noted', noted::text, true);
            RETURN NULL;
        END $$;
        COMMENT ON FUNCTION ald.note_context IS 'Keeps, for audit_change, why a change is made.';

        CREATE OR REPLACE FUNCTION ald.audit_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres'
        SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
        DECLARE
            earlier jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
            later jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
            contents jsonb := coalesce(later, earlier);
            noted jsonb := coalesce(nullif(current_setting('ald.audit_noted', true), ''), '[]')::jsonb;
            context jsonb := coalesce(noted -> 0 -> 'context', ald.audit_context());
            others bigint := (noted -> 0 ->> 'changes')::bigint - 1;
            changed text[];
        BEGIN
            IF noted <> '[]' THEN
                PERFORM set_config('ald.audit_noted', CASE WHEN others > 0
                    THEN jsonb_set(noted, '{0,changes}', to_jsonb(others)) ELSE noted - 0 END::text, true);
            END IF;
            IF TG_OP = 'UPDATE' THEN
                SELECT array_agg(key) INTO changed FROM jsonb_each(later) WHERE earlier -> key IS DISTINCT FROM value;
                IF changed IS NULL THEN RETURN NULL; END IF;
                SELECT jsonb_object_agg(c, earlier -> c), jsonb_object_agg(c, later -> c) INTO earlier, later
                FROM unnest(changed) c;
            END IF;
            INSERT INTO ald.audit_log (machine_id, acting_for, reason, application, action, table_name, row_key,
                old_values, new_values)
            VALUES (coalesce((contents ->> 'machine_id')::int, 0), context ->> 'acting_for',
                coalesce(context ->> 'reason', nullif(contents ->> 'reason', '')), context ->> 'application',
                TG_OP, TG_TABLE_NAME, (SELECT jsonb_object_agg(c, contents -> c) FROM unnest(TG_ARGV) c), earlier,
                later);
            RETURN NULL;
        END $$;

        CREATE OR REPLACE FUNCTION ald.change_parameter_limits(
            p_machine_id int, p_parameter_id int, p_min_value float8, p_max_value float8, p_reason text
        ) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        DECLARE earlier text := coalesce(current_setting('ald.reason', true), '');
        BEGIN
            PERFORM ald.require_machine(p_machine_id);
            IF coalesce(p_reason, '') = '' THEN
                RAISE EXCEPTION 'limits are not changed without a reason' USING ERRCODE = 'invalid_parameter_value';
            END IF;
            PERFORM set_config('ald.reason', p_reason, true);
            UPDATE ald.component_parameters p SET min_value = p_min_value, max_value = p_max_value,
                updated_at = clock_timestamp()
            WHERE p.machine_id = p_machine_id AND p.parameter_id = p_parameter_id;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'machine % has no parameter %', p_machine_id, p_parameter_id
                    USING ERRCODE = 'no_data_found';
            END IF;
            -- it is not the reason of what the transaction does next
            PERFORM set_config('ald.reason', earlier, true);
        END $$;

        CREATE OR REPLACE FUNCTION ald.audit_table(p_table regclass, p_key text[]) RETURNS void
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            arguments text := (SELECT string_agg(quote_literal(k), ', ') FROM unnest(p_key) k);
        BEGIN
            EXECUTE format('CREATE TRIGGER y_context AFTER INSERT OR UPDATE OR DELETE ON %s '
                'FOR EACH ROW EXECUTE FUNCTION ald.note_context()', p_table);
            EXECUTE format('CREATE CONSTRAINT TRIGGER z_audit AFTER INSERT OR UPDATE OR DELETE ON %s '
                'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ald.audit_change(%s)', p_table, arguments);
            EXECUTE format('CREATE TRIGGER z_no_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
                'EXECUTE FUNCTION ald.refuse_change(''it would leave no trace'')', p_table);
        END $$;
        -- for exactly the changes that are written down
        DO $$
        DECLARE
            audit text;
        BEGIN
            FOR audit IN
                SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t WHERE t.tgfoid = 'ald.audit_change'::regproc
            LOOP
                audit := replace(audit, ' DEFERRABLE INITIALLY DEFERRED', '');
                audit := regexp_replace(audit, '^CREATE CONSTRAINT TRIGGER z_audit', 'CREATE TRIGGER y_context');
                EXECUTE regexp_replace(audit, 'EXECUTE FUNCTION .*$', 'EXECUTE FUNCTION ald.note_context()');
            END LOOP;
        END $$;

        CREATE OR REPLACE FUNCTION ald.chain_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres'
        SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
        DECLARE head ald.audit_chain_heads;
        BEGIN
            INSERT INTO ald.audit_chain_heads AS h (chain, machine_id, seq, hash)
            VALUES (TG_TABLE_NAME, NEW.machine_id, 0, decode(repeat('00', 32), 'hex'))
            ON CONFLICT (chain, machine_id) DO UPDATE SET seq = h.seq RETURNING * INTO head;
            -- whoever writes does not say when; and now that it is our turn, times rise with the numbers
            NEW.recorded_at := clock_timestamp();
            NEW.seq := head.seq + 1;
            NEW.previous_hash := head.hash;
            NEW.row_hash := ald.audit_hash(TG_TABLE_NAME, head.hash, to_jsonb(NEW));
            UPDATE ald.audit_chain_heads h SET seq = NEW.seq, hash = NEW.row_hash
            WHERE h.chain = TG_TABLE_NAME AND h.machine_id = NEW.machine_id;
            RETURN NEW;
        END $$;
        COMMENT ON FUNCTION ald.chain_row IS 'Numbers and dates the row and binds it to the one before it.';

        CREATE FUNCTION ald.require_chains(p_machine_id int) RETURNS void
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM ald.require_machine(p_machine_id);
            IF p_machine_id <> 0 AND NOT EXISTS (SELECT FROM ald.machines m WHERE m.machine_id = p_machine_id)
                AND NOT EXISTS (SELECT FROM ald.audit_chain_heads h WHERE h.machine_id = p_machine_id) THEN
                RAISE EXCEPTION 'there is no machine %', p_machine_id USING ERRCODE = 'no_data_found';
            END IF;
        END $$;
        COMMENT ON FUNCTION ald.require_chains IS
            'Refuses who is no member of the machine (42501) and a machine that never was (P0002): of what is not seen '
            'nobody may say that it is sound.';

        CREATE OR REPLACE FUNCTION ald.verify_audit(p_machine_id int)
        RETURNS TABLE (chain text, entries bigint, first_broken bigint, problem text) LANGUAGE plpgsql STABLE
        SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres'
        SET extra_float_digits = 1 SET bytea_output = 'hex' AS $$
        DECLARE
            nothing CONSTANT bytea := decode(repeat('00', 32), 'hex');
            head record;
            entry record;
            previous bytea;
        BEGIN
            PERFORM ald.require_chains(p_machine_id);
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
            'not. Only for members of the machine (42501); 0 is what belongs to no machine.';
        """
}
