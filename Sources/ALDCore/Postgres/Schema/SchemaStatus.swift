/// What is in a database: version, machines, partitions, size, roles, and how far its upkeep is. Reading it changes
/// nothing.
public struct SchemaStatus: Sendable {
    public struct Machine: Hashable, Sendable {
        public var id: Int32
        public var name: String
        public var parameters: Int
    }

    /// A table that is kept in partitions by time.
    public struct PartitionedTable: Hashable, Sendable {
        public var name: String
        public var partitions: Int
        /// The first moment for which no partition is ready; `nil` when there is no partition.
        public var readyUntil: Timestamp?
    }

    public struct Role: Hashable, Sendable {
        public var name: String
        public var exists: Bool
        /// How many roles are members, directly.
        public var members: Int
    }

    public var serverVersion: String
    public var database: String
    /// 0 when the database has no schema of ours.
    public var version: Int32
    /// What is still to be done, in order.
    public var pending: [Migration]
    public var machines: [Machine] = []
    public var partitionedTables: [PartitionedTable] = []
    /// Tables and indexes together.
    public var bytes: Int64 = 0
    public var roles: [Role] = []
    /// For each machine of this user; empty before version 12, and for who may not see it.
    public var upkeep: [Upkeep] = []
    /// Empty for who may not read what the roles may do.
    public var logins: [Login] = []

    /// - Throws: ``Migrator/SchemaTooNew``, ``Migrator/HistoryMismatch`` or `PostgresError`.
    public init(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        pending = try await Migrator().pending(connection, deadline: deadline)
        version = try await Migrator().version(connection, deadline: deadline)
        let server = try await connection.query(
            "SELECT current_setting('server_version'), current_database()::text", deadline: deadline)
        serverVersion = try server.first?.decode(0, as: String.self) ?? ""
        database = try server.first?.decode(1, as: String.self) ?? ""
        guard version > 0 else { return }
        try await readMachines(connection, deadline: deadline)
        try await readStorage(connection, deadline: deadline)
        try await readRoles(connection, deadline: deadline)
        try await readUpkeep(connection, deadline: deadline)
        try await readLogins(connection, deadline: deadline)
    }

    private mutating func readMachines(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        let rows = try await connection.query(
            """
            SELECT m.machine_id, m.name, count(p.parameter_id) FROM ald.machines m
            LEFT JOIN ald.component_parameters p USING (machine_id) GROUP BY 1, 2 ORDER BY 1
            """, deadline: deadline)
        machines = try rows.map { row in
            Machine(
                id: try row.decode(0, as: Int32.self), name: try row.decode(1, as: String.self),
                parameters: Int(try row.decode(2, as: Int64.self)))
        }
    }

    private mutating func readStorage(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        let size = try await connection.query(
            """
            SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8 FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname IN ('ald', 'ald_history') AND c.relkind = 'r'
            """, deadline: deadline)
        bytes = try size.first?.decode(0, as: Int64.self) ?? 0
        // A bound reads: FOR VALUES FROM ('…') TO ('…').
        let rows = try await connection.query(
            """
            SELECT t.relname::text, count(p.oid), max(substring(pg_get_expr(p.relpartbound, p.oid)
                from 'TO [(]''([^'']*)''[)]')::timestamptz)
            FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
            LEFT JOIN pg_inherits i ON i.inhparent = t.oid LEFT JOIN pg_class p ON p.oid = i.inhrelid
            WHERE n.nspname IN ('ald', 'ald_history') AND t.relkind = 'p' GROUP BY 1 ORDER BY 1
            """, deadline: deadline)
        partitionedTables = try rows.map { row in
            PartitionedTable(
                name: try row.decode(0, as: String.self), partitions: Int(try row.decode(1, as: Int64.self)),
                readyUntil: try row.decode(2, as: Timestamp?.self))
        }
    }

    private mutating func readRoles(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws {
        let known = try await connection.query(
            """
            SELECT to_regclass('ald.role_grants') IS NOT NULL
                AND has_table_privilege(to_regclass('ald.role_grants'), 'SELECT')
            """, deadline: deadline)
        // Only the schema's owner may read what the roles may do.
        guard try known.first?.decode(0, as: Bool?.self) == true else { return }
        let rows = try await connection.query(
            """
            SELECT g.role, r.oid IS NOT NULL, (SELECT count(*) FROM pg_auth_members m WHERE m.roleid = r.oid)
            FROM (SELECT DISTINCT role FROM ald.role_grants) g LEFT JOIN pg_roles r ON r.rolname = g.role ORDER BY 1
            """, deadline: deadline)
        roles = try rows.map { row in
            Role(
                name: try row.decode(0, as: String.self), exists: try row.decode(1, as: Bool.self),
                members: Int(try row.decode(2, as: Int64.self)))
        }
    }
}
