extension SchemaStatus {
    /// How far maintenance is for one machine.
    public struct Upkeep: Hashable, Sendable {
        public var machine: Int32
        /// Buckets of five minutes that have ended and are not summed up.
        public var rollupsWaiting: Int64
        /// When the oldest of them ended; a minute ago is normal. `nil` when there is none.
        public var rollupsDueSince: Timestamp?
        /// Readings of dropped days that are in no rollup yet.
        public var lateWaiting: Int64
        /// Batches that the ledger knows.
        public var ledgerBatches: Int64
        /// When the oldest of them was applied.
        public var ledgerSince: Timestamp?
        /// Those of them whose writer will never send them again; they go when they are old enough.
        public var ledgerForgotten: Int64
        /// Dead letters that nobody has closed.
        public var deadLettersOpen: Int64
        /// When the oldest of them was refused.
        public var deadLettersSince: Timestamp?
    }

    /// A login that takes part in our roles, and how long it may leave a transaction open.
    ///
    /// PostgreSQL keeps such limits for login roles and for databases; a member does not inherit those of its groups, so
    /// the schema cannot set them. Recorders set their own, see ``PostgresTimeouts/recording``.
    public struct Login: Hashable, Sendable {
        public var name: String
        /// The roles of ours that it has.
        public var roles: [String]
        /// `idle_in_transaction_session_timeout` as it stands in the catalogue; `nil` when there is no limit.
        public var idleInTransaction: String?
    }

    mutating func readUpkeep(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        let known = try await connection.query(
            "SELECT has_function_privilege(to_regprocedure('ald.upkeep(timestamptz)'), 'EXECUTE')", deadline: deadline)
        guard try known.first?.decode(0, as: Bool?.self) == true else { return }
        let rows = try await connection.query(
            """
            SELECT machine_id, rollups_waiting, rollups_due_since, late_waiting, ledger_batches, ledger_since,
                ledger_forgotten, dead_letters_open, dead_letters_since FROM ald.upkeep()
            """, deadline: deadline)
        upkeep = try rows.map { row in
            Upkeep(
                machine: try row.decode(0), rollupsWaiting: try row.decode(1), rollupsDueSince: try row.decode(2),
                lateWaiting: try row.decode(3), ledgerBatches: try row.decode(4), ledgerSince: try row.decode(5),
                ledgerForgotten: try row.decode(6), deadLettersOpen: try row.decode(7),
                deadLettersSince: try row.decode(8))
        }
    }

    mutating func readLogins(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        // The most specific setting counts: of the login in this database, of the login, of the database, of the server.
        let rows = try await connection.query(
            """
            WITH wanted AS (SELECT 'idle_in_transaction_session_timeout' AS name),
                login AS (
                    SELECT r.oid, r.rolname, array_agg(g.rolname::text ORDER BY g.rolname) AS roles
                    FROM pg_roles r JOIN pg_roles g ON g.rolname = ANY ($1) AND pg_has_role(r.oid, g.oid, 'MEMBER')
                    WHERE r.rolcanlogin AND NOT r.rolsuper GROUP BY 1, 2)
            SELECT l.rolname::text, l.roles, coalesce(
                (SELECT substr(c, length(w.name) + 2) FROM wanted w, pg_db_role_setting s, unnest(s.setconfig) c
                    WHERE s.setdatabase IN (0, d.oid) AND s.setrole IN (0, l.oid) AND starts_with(c, w.name || '=')
                    ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC LIMIT 1),
                (SELECT p.setting || p.unit FROM wanted w JOIN pg_settings p USING (name)
                    WHERE p.source IN ('default', 'configuration file', 'command line')), '0')
            FROM login l, pg_database d WHERE d.datname = current_database() ORDER BY 1
            """, [.textArray(roles.map(\.name))], deadline: deadline)
        logins = try rows.map { row in
            let limit = try row.decode(2, as: String.self)
            return Login(
                name: try row.decode(0), roles: try row.decode(1),
                idleInTransaction: limit.isEmpty || limit.prefix { $0.isNumber }.allSatisfy { $0 == "0" } ? nil : limit)
        }
    }
}
