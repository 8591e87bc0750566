public import ALDCore
import Foundation
public import Logging

/// A database that belongs to one test alone.
///
/// A private server in a temporary directory; with ``server`` or `ALD_DATABASE_URL` set, a database of its own on that
/// server. Both are gone afterwards, whatever happened.
public enum TestDatabase {
    public struct Lease: Sendable {
        /// How to connect.
        public var configuration: PostgresConfiguration
        /// The server's directory; `nil` when the server is shared.
        public var directory: String?
    }

    /// A logger that keeps quiet, for code under test whose messages nobody reads.
    public static let quiet = Logger(label: "ald.test") { _ in SwiftLogNoOpLogHandler() }

    /// Tests that share a server set it: a database is made in a tenth of the time of a server.
    @TaskLocal public static var server: PostgresConfiguration?

    @discardableResult public static func withDatabase<Result>(
        _ body: (Lease) async throws -> Result
    ) async throws -> Result {
        if let server { return try await withDatabase(on: server, body) }
        if let url = ProcessInfo.processInfo.environment["ALD_DATABASE_URL"] {
            return try await withDatabase(on: PostgresConfiguration(connectionString: url), body)
        }
        return try await withPrivateServer { _, lease in try await body(lease) }
    }

    /// A server that belongs to one test alone, which may stop, kill and reconfigure it.
    public static func withPrivateServer<Result>(
        _ body: (LocalPostgres, Lease) async throws -> Result
    ) async throws -> Result {
        try await withTemporaryDirectory { directory in
            let server = LocalPostgres(
                directory: directory + "/pg",
                binaryDirectory: ProcessInfo.processInfo.environment["ALD_POSTGRES_BIN"], logger: quiet)
            return try await withCleanup {
                let configuration = try await server.start()
                return try await body(server, Lease(configuration: configuration, directory: directory + "/pg"))
            } cleanup: {
                try await server.stop()
            }
        }
    }

    private static func withDatabase<Result>(
        on given: PostgresConfiguration, _ body: (Lease) async throws -> Result
    ) async throws -> Result {
        let name = "ald_test_" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        return try await withCleanup {
            try await withConnection(given) {
                _ = try await $0.execute(script: "CREATE DATABASE \(name)", deadline: $1)
            }
            return try await body(Lease(configuration: given.withDatabase(name), directory: nil))
        } cleanup: {
            // Also when whoever made it was cut off and does not know.
            try await drop(name, on: given)
        }
    }

    /// Removes a database that may be there, whoever is connected to it, also when this task is cancelled.
    static func drop(_ name: String, on server: PostgresConfiguration) async throws {
        // In a task of its own, which is awaited here: in a cancelled one nothing would be sent.
        try await Task {
            try await withConnection(server) {
                _ = try await $0.execute(script: "DROP DATABASE IF EXISTS \(name) WITH (FORCE)", deadline: $1)
            }
        }.value
    }

    /// The process of the server whose cluster lies in `directory`; for signals.
    ///
    /// - Throws: ``NeverHappened`` when no server has left its number there.
    public static func serverProcess(in directory: String) throws -> Int32 {
        let text = try String(contentsOfFile: directory + "/data/postmaster.pid", encoding: .utf8)
        guard let process = text.split(separator: "\n").first.flatMap({ Int32($0) }) else {
            throw NeverHappened(description: "no server process in \(directory)")
        }
        return process
    }

    /// Opens one connection for `body`, which gets two minutes: so that it ends, not so that it is quick.
    public static func withConnection<Result>(
        _ configuration: PostgresConfiguration,
        _ body: (PostgresConnection, _ deadline: MonotonicInstant) async throws -> Result
    ) async throws -> Result {
        let time = SystemTime()
        let deadline = time.now + .seconds(120)
        let connection = try await PostgresConnection.connect(
            configuration, deadline: deadline, time: time, logger: quiet)
        return try await withCleanup {
            try await body(connection, deadline)
        } cleanup: {
            await connection.close()
        }
    }

    /// The one number a statement returns.
    public static func number(_ statement: String, _ configuration: PostgresConfiguration) async throws -> Int {
        try await withConnection(configuration) { connection, deadline in
            let result = try await connection.query(statement, deadline: deadline)
            guard let row = result.first else { throw NeverHappened(description: "no row: \(statement)") }
            return Int(try row.decode(0, as: Int64.self))
        }
    }

    /// Which rows of `pg_stat_activity` are sessions in this database, the one that asks left out.
    package static let otherSessions =
        "pid <> pg_backend_pid() AND datname = current_database() AND backend_type = 'client backend'"

    /// How many deadlocks the server has found in this database, as far as its sessions have said so; one that ends does.
    static func deadlocks(in database: PostgresConfiguration) async throws -> Int {
        try await number("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()", database)
    }

    /// The seconds that a statement returns, one a row; nulls are left out.
    static func durations(_ statement: String, _ configuration: PostgresConfiguration) async throws -> DurationHistogram
    {
        try await withConnection(configuration) { connection, deadline in
            var durations = DurationHistogram()
            for row in try await connection.query(statement, deadline: deadline) {
                if let seconds = try row.decode(0, as: Double?.self) { durations.record(.seconds(seconds)) }
            }
            return durations
        }
    }
}
