extension Migration {
    /// Who misses a partition that somebody else has just made can wait until it is there for everybody.
    static let knownPartitions = Migration(
        version: 28, name: "partitions that were just made",
        script: """
            CREATE FUNCTION ald.await_history_partitions() RETURNS void
            LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
                -- Story: a session has committed a partition and is about to tell the others. These see it in the catalogs
                -- and still find no place for a row. It lets go of this lock when it has told them.
                SELECT pg_advisory_xact_lock_shared(hashtext('ald_history.partitions'),
                    'ald_history.parameter_value_history'::regclass::oid::int)
            $$;
            COMMENT ON FUNCTION ald.await_history_partitions IS
                'Returns when nobody is making or dropping a partition of the readings: all that were made by then are there '
                'for this session, too. In a transaction of its own, or it waits with locks in its hands.';

            INSERT INTO ald.role_grants (role, privileges, object) VALUES
                ('ald_collector', 'EXECUTE', 'FUNCTION ald.await_history_partitions');
            SELECT ald.apply_grants();
            """)
}
