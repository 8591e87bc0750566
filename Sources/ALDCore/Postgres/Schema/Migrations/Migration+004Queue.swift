extension Migration {
    /// How commands of both kinds are claimed, kept, given back and taken over. `oneByOne` says of commands `c` and `o`
    /// whether one must end before the other begins.
    static func queue(_ table: String, noun: String, oneByOne: String) -> String {
        """
        CREATE FUNCTION ald.expire_\(noun)_commands(p_machine_id int) RETURNS int
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE now timestamptz := clock_timestamp(); ended int;
        BEGIN
            UPDATE ald.\(table) c SET finished_at = now, lease_until = NULL,
                status = CASE WHEN c.not_after <= now THEN 'expired' ELSE 'failed' END,
                error = CASE WHEN c.not_after <= now THEN 'not begun in time'
                    ELSE format('claimed %s times and never begun', c.attempts) END
            WHERE c.machine_id = p_machine_id AND c.command_id IN (
                SELECT o.command_id FROM ald.\(table) o
                WHERE o.machine_id = p_machine_id AND (o.status = 'pending' AND o.not_after <= now
                    OR o.status = 'claimed' AND o.lease_until <= now AND (o.not_after <= now OR o.attempts >= 5))
                FOR UPDATE SKIP LOCKED);
            GET DIAGNOSTICS ended = ROW_COUNT;
            RETURN ended;
        END $$;
        COMMENT ON FUNCTION ald.expire_\(noun)_commands IS
            'Ends what was not begun in time, and what was claimed five times; part of every claim.';

        CREATE FUNCTION ald.claim_\(noun)_commands(p_machine_id int, p_worker text, p_limit int, p_lease_seconds float8)
        RETURNS SETOF ald.\(table) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        DECLARE
            candidate bigint;
            claimed ald.\(table);
        BEGIN
            PERFORM ald.expire_\(noun)_commands(p_machine_id);
            FOR candidate IN
                SELECT c.command_id FROM ald.\(table) c
                WHERE c.machine_id = p_machine_id AND c.not_after > clock_timestamp() AND c.attempts < 5
                    AND (c.status = 'pending' OR c.status = 'claimed' AND c.lease_until <= clock_timestamp())
                    AND NOT EXISTS (SELECT FROM ald.\(table) o
                        WHERE o.machine_id = c.machine_id AND \(oneByOne) AND o.command_id <> c.command_id
                            AND (o.status IN ('claimed', 'executing')
                                OR o.status = 'pending' AND o.command_id < c.command_id))
                ORDER BY c.command_id LIMIT p_limit FOR UPDATE SKIP LOCKED
            LOOP
                BEGIN
                    UPDATE ald.\(table) c SET status = 'claimed', claimed_by = p_worker, claimed_at = clock_timestamp(),
                        lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds),
                        attempts = attempts + 1
                    WHERE c.machine_id = p_machine_id AND c.command_id = candidate RETURNING * INTO claimed;
                    RETURN NEXT claimed;
                EXCEPTION WHEN unique_violation THEN
                    -- somebody has just claimed one that must end first; the next claim comes after it
                    CONTINUE;
                END;
            END LOOP;
        END $$;
        COMMENT ON FUNCTION ald.claim_\(noun)_commands IS
            'Gives this terminal up to p_limit commands, oldest first; those that exclude each other one by one.';

        CREATE FUNCTION ald.renew_\(noun)_command(
            p_machine_id int, p_command_id bigint, p_worker text, p_lease_seconds float8
        ) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            UPDATE ald.\(table) c SET lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
            WHERE c.machine_id = p_machine_id AND c.command_id = p_command_id AND c.claimed_by = p_worker
                AND c.lease_until > clock_timestamp();
            RETURN FOUND;
        END $$;
        COMMENT ON FUNCTION ald.renew_\(noun)_command IS
            'Prolongs a lease; false: it has ended, the command may be lost.';

        CREATE FUNCTION ald.release_\(noun)_command(p_machine_id int, p_command_id bigint, p_worker text)
        RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            UPDATE ald.\(table) c SET status = 'pending', claimed_by = NULL, claimed_at = NULL, lease_until = NULL,
                attempts = c.attempts - 1
            WHERE c.machine_id = p_machine_id AND c.command_id = p_command_id AND c.claimed_by = p_worker
                AND c.status = 'claimed';
            RETURN FOUND;
        END $$;
        COMMENT ON FUNCTION ald.release_\(noun)_command IS
            'Gives back a command that was not begun; the claim does not count.';

        CREATE FUNCTION ald.adopt_\(noun)_commands(p_machine_id int, p_worker text, p_lease_seconds float8)
        RETURNS SETOF ald.\(table) LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
            UPDATE ald.\(table) c SET claimed_by = p_worker,
                lease_until = clock_timestamp() + make_interval(secs => p_lease_seconds)
            WHERE c.machine_id = p_machine_id AND c.command_id IN (
                SELECT o.command_id FROM ald.\(table) o
                WHERE o.machine_id = p_machine_id AND o.status = 'executing' AND o.lease_until <= clock_timestamp()
                FOR UPDATE SKIP LOCKED)
            RETURNING c.*
        $$;
        COMMENT ON FUNCTION ald.adopt_\(noun)_commands IS
            'Gives this terminal what another left executing: to find out how it ended, never to do it again.';
        """
    }
}
