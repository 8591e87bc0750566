public import ALDCore

/// How a database with a Unix socket is reached through a proxy.
public enum ProxiedDatabase {
    /// Runs `body` with a proxy before this database, and with how to connect through it.
    public static func run<Result>(
        before database: PostgresConfiguration, seed: UInt64 = 1,
        _ body: (FaultProxy, PostgresConfiguration) async throws -> Result
    ) async throws -> Result {
        try await FaultProxy.run(to: socket(of: database), seed: seed) { proxy in
            try await body(proxy, through(proxy, database))
        }
    }

    /// The path of the socket.
    ///
    /// - Throws: ``NeverHappened`` for a server that has none, for instance one that `ALD_DATABASE_URL` names.
    public static func socket(of database: PostgresConfiguration) throws -> String {
        let host = try word("host", database)
        guard host.hasPrefix("/") else {
            throw NeverHappened(
                description: "faults need a server with a Unix socket, not \(host): run without ALD_DATABASE_URL")
        }
        return try host + "/.s.PGSQL." + word("port", database)
    }

    public static func through(
        _ proxy: FaultProxy, _ database: PostgresConfiguration
    ) throws -> PostgresConfiguration {
        try PostgresConfiguration(
            connectionString: "host=127.0.0.1 port=\(proxy.port) user=\(word("user", database)) "
                + "dbname=\(word("dbname", database)) sslmode=disable")
    }

    /// How another process is told of a database that needs no password.
    static func connectionString(of database: PostgresConfiguration) throws -> String {
        try ["host", "port", "user", "dbname"].map { "\($0)=\(try word($0, database))" }.joined(separator: " ")
    }

    /// The same database as another role, without a password.
    static func connecting(as role: String, _ database: PostgresConfiguration) throws -> PostgresConfiguration {
        try PostgresConfiguration(
            connectionString: "host=\(word("host", database)) port=\(word("port", database)) user=\(role) "
                + "dbname=\(word("dbname", database)) sslmode=disable")
    }

    private static func word(_ key: String, _ database: PostgresConfiguration) throws -> String {
        guard let word = "\(database)".split(separator: " ").first(where: { $0.hasPrefix(key + "=") }) else {
            throw NeverHappened(description: "no \(key) in \(database)")
        }
        return String(word.dropFirst(key.count + 1))
    }
}
