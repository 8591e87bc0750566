public import ALDCore
import Foundation

/// A real PgBouncer in transaction mode before a server, for one test: it listens on a Unix socket in a directory of
/// its own, so several never get into each other's way, and it is gone afterwards, whatever happened.
public struct PgBouncer: Sendable {
    /// What it allows. The defaults are larger than any test needs.
    public struct Limits: Sendable {
        /// Connections to the server (`default_pool_size`).
        public var poolSize = 20
        /// Connections of clients (`max_client_conn`).
        public var maximumClients = 100
        /// After so many seconds without a free connection to the server a client is turned away
        /// (`query_wait_timeout`); 0 is never.
        public var queryWaitTimeout = 0

        public init() {}
    }

    /// The database of the server, through the pooler.
    public let configuration: PostgresConfiguration
    /// The keyword string of ``configuration``.
    public let connectionString: String
    /// For signals, and for what it has logged.
    public let process: RunningChild

    /// Where Debian and Homebrew put it; `nil` when it is not installed.
    public static let executable: String? = [
        "/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/opt/homebrew/bin/pgbouncer",
    ]
    .first { FileManager.default.isExecutableFile(atPath: $0) }

    /// Whether tests with it run: when it is installed, and in the gate, which installs it, always.
    public static var isRequired: Bool {
        executable != nil || ProcessInfo.processInfo.environment["CI"] != nil
    }

    /// - Parameters:
    ///   - server: the keyword string of the server, with a Unix socket and without a password: its cluster trusts.
    ///   - prefix: a command that runs it, such as `ip netns exec NAME`.
    ///   - address: where it listens besides its socket; with an address, ``configuration`` names it.
    /// - Throws: ``Unavailable`` when it is not installed, ``NeverHappened`` when it does not start, and what `body`
    ///   throws.
    public static func run<Result: Sendable>(
        before server: String, limits: Limits = Limits(), prefix: [String] = [], address: String? = nil,
        _ body: @escaping @Sendable (PgBouncer) async throws -> Result
    ) async throws -> Result {
        guard let executable else {
            throw Unavailable(.program, "PgBouncer is not installed", remedy: "`.ci/setup --tests` does it")
        }
        return try await withTemporaryDirectory { directory in
            let account = try ServerAccount.current()
            try account.own(directory)
            let settings = directory + "/pgbouncer.ini"
            let host = address ?? directory
            let user = value("user", of: server) ?? account.name
            let database = value("dbname", of: server) ?? user
            try text(server, limits, user: user, directory: directory, address: address)
                .write(toFile: settings, atomically: false, encoding: .utf8)
            try "\"\(user)\" \"\"\n".write(toFile: directory + "/users.txt", atomically: false, encoding: .utf8)
            var result: Result?
            let command = prefix + account.prefix + [executable, settings]
            let ended = try await ChildProcess.run("/usr/bin/env", command) { child in
                try await eventually("PgBouncer listens") {
                    if ChildProcess.isFinished(child.processIdentifier) {
                        throw NeverHappened(description: "PgBouncer ended: \(child.errors.suffix(5))")
                    }
                    // The socket's file is there before anybody listens; this line comes after.
                    return child.errors.contains { $0.contains("process up") }
                }
                let string = "host=\(host) port=\(port) user=\(user) dbname=\(database)"
                let bouncer = PgBouncer(
                    configuration: try PostgresConfiguration(connectionString: string), connectionString: string,
                    process: child)
                result = try await withCleanup {
                    try await body(bouncer)
                } cleanup: {
                    // A stopped one would not hear the request to end.
                    child.send(SIGCONT)
                    child.send(SIGTERM)
                }
            }
            guard let result else { throw NeverHappened(description: "PgBouncer: \(ended.transcript)") }
            return result
        }
    }

    /// The name of the socket: nothing else is in its directory.
    private static let port = 6432

    private static func text(
        _ server: String, _ limits: Limits, user: String, directory: String, address: String?
    ) -> String {
        let database = value("dbname", of: server) ?? user
        let place = ["host", "port", "user"].compactMap { key in value(key, of: server).map { "\(key)=\($0)" } }
        return """
            [databases]
            \(database) = \(place.joined(separator: " ")) dbname=\(database)
            [pgbouncer]
            pool_mode = transaction
            listen_addr = \(address ?? "")
            listen_port = \(port)
            unix_socket_dir = \(directory)
            auth_type = trust
            auth_file = \(directory)/users.txt
            default_pool_size = \(limits.poolSize)
            max_client_conn = \(limits.maximumClients)
            query_wait_timeout = \(limits.queryWaitTimeout)
            ignore_startup_parameters = extra_float_digits

            """
    }

    /// Of a keyword string without quotes.
    private static func value(_ key: String, of string: String) -> String? {
        string.split(separator: " ").first { $0.hasPrefix(key + "=") }.map { String($0.dropFirst(key.count + 1)) }
    }
}
