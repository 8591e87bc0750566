public import ALDCore

/// How a database on this machine is reached through a proxy.
public enum ProxiedDatabase {
    /// Runs `body` with a proxy before this database, and with how to connect through it.
    ///
    /// - Throws: ``Unavailable`` for a server on another machine, and what `body` throws.
    public static func run<Result>(
        before database: PostgresConfiguration, seed: UInt64 = 1,
        _ body: (FaultProxy, PostgresConfiguration) async throws -> Result
    ) async throws -> Result {
        try await FaultProxy.run(to: target(of: database), seed: seed) { proxy in
            try await body(proxy, through(proxy, database))
        }
    }

    /// Where a proxy of this machine reaches it: load and faults never go to another one.
    ///
    /// - Throws: ``Unavailable`` for a server that is elsewhere.
    public static func target(of database: PostgresConfiguration) throws -> FaultProxy.Target {
        let host = try word("host", database)
        if host.hasPrefix("/") { return .unix(try socket(of: database)) }
        guard ["localhost", "127.0.0.1"].contains(host), let port = Int(word("port", database, default: "5432")) else {
            throw Unavailable(
                .database, "faults are put before a server of this machine, and \(host) is another",
                remedy: "let ALD_DATABASE_URL name a socket or 127.0.0.1, or unset it for a private server")
        }
        return .port(port)
    }

    /// The path of the socket.
    ///
    /// - Throws: ``Unavailable`` for a server that has none.
    public static func socket(of database: PostgresConfiguration) throws -> String {
        let host = try word("host", database)
        guard host.hasPrefix("/") else {
            throw Unavailable(
                .database, "this needs a server with a Unix socket, and \(host) is an address",
                remedy: "let ALD_DATABASE_URL name the directory of the socket, or unset it for a private server")
        }
        return host + "/.s.PGSQL." + word("port", database, default: "5432")
    }

    public static func through(_ proxy: FaultProxy, _ database: PostgresConfiguration) -> PostgresConfiguration {
        database.withAddress("127.0.0.1", port: proxy.port)
    }

    /// How another process is told of a database that needs no password.
    ///
    /// - Throws: ``Unavailable`` for one that needs it: arguments of a process are no place for secrets.
    static func connectionString(of database: PostgresConfiguration) throws -> String {
        if "\(database)".split(separator: " ").contains(where: { $0.hasPrefix("password=") }) {
            throw Unavailable(
                .database, "the terminals of this scenario are processes, which are told no password",
                remedy: "let the server of ALD_DATABASE_URL trust this machine, or unset it for a private server")
        }
        return try ["host", "port", "user", "dbname"].map { "\($0)=\(try word($0, database))" }.joined(separator: " ")
    }

    private static func word(_ key: String, _ database: PostgresConfiguration, default usual: String) -> String {
        find(key, database) ?? usual
    }

    private static func word(_ key: String, _ database: PostgresConfiguration) throws -> String {
        guard let word = find(key, database) else {
            throw Unavailable(
                .database, "the address of the server does not say its \(key)",
                remedy: "write \(key)= into ALD_DATABASE_URL")
        }
        return word
    }

    private static func find(_ key: String, _ database: PostgresConfiguration) -> String? {
        "\(database)".split(separator: " ").first { $0.hasPrefix(key + "=") }.map {
            String($0.dropFirst(key.count + 1))
        }
    }
}
