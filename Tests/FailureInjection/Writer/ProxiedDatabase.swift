import ALDCore
import ALDTestKit
import XCTest

/// How a database with a Unix socket is reached through a proxy.
enum ProxiedDatabase {
    static func socket(of database: PostgresConfiguration) throws -> String {
        try word("host", database) + "/.s.PGSQL." + word("port", database)
    }

    static func through(_ proxy: FaultProxy, _ database: PostgresConfiguration) throws -> PostgresConfiguration {
        try PostgresConfiguration(
            connectionString: "host=127.0.0.1 port=\(proxy.port) user=\(word("user", database)) "
                + "dbname=\(word("dbname", database)) sslmode=disable")
    }

    private static func word(_ key: String, _ database: PostgresConfiguration) throws -> String {
        let word = "\(database)".split(separator: " ").first { $0.hasPrefix(key + "=") }
        return String(try XCTUnwrap(word).dropFirst(key.count + 1))
    }
}
