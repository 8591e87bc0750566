public import ALDCore
import Foundation

/// A PostgreSQL server that a test kills, freezes, copies and brings back at the same place. It listens on a Unix
/// socket in a directory of its own.
public struct PostgresCluster: Sendable {
    /// Holds the socket and, one folder each, this cluster and its copies.
    private let place: String
    /// The name of its folder.
    private let name: String
    /// The name of the socket in ``place``.
    public let port: Int
    private let account: ServerAccount
    private let binaries: String
    /// In front of every command that starts it.
    private let prefix: [String]
    /// Where it listens besides its socket.
    private let address: String?

    private var data: String { place + "/" + name }

    /// Creates and starts a server for `body`. Nothing of it or of its copies is left, whatever happened.
    ///
    /// - Parameters:
    ///   - parent: the folder that holds all of it, for instance on a disk of its own. Defaults to the system's place
    ///     for such things.
    ///   - namespace: with one, it runs in there and listens on ``NetworkNamespace/address``, too.
    public static func run<Result: Sendable>(
        on parent: String? = nil, in namespace: NetworkNamespace? = nil,
        _ body: (PostgresCluster) async throws -> Result
    ) async throws -> Result {
        try await withTemporaryDirectory(in: parent ?? NSTemporaryDirectory()) { place in
            let account = try ServerAccount.current()
            try account.own(place)
            let cluster = PostgresCluster(
                place: place, name: "first", port: 5501, account: account, binaries: try binaries(),
                prefix: namespace?.prefix ?? [], address: namespace.map { _ in NetworkNamespace.address })
            return try await withCleanup {
                try await cluster.execute(
                    "initdb", ["-D", cluster.data, "-U", "ald", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"])
                try await cluster.start()
                return try await body(cluster)
            } cleanup: {
                for name in try FileManager.default.contentsOfDirectory(atPath: place) {
                    try await PostgresCluster(
                        place: place, name: name, port: 0, account: account, binaries: "", prefix: [], address: nil
                    ).kill()
                }
            }
        }
    }

    /// How to connect to the database `name`.
    public func connectionString(database name: String) -> String {
        "host=\(place) port=\(port) user=ald dbname=\(name)"
    }

    /// How to connect to the database `name` over TCP, from within the server's namespace.
    ///
    /// - Throws: ``NeverHappened`` for a server that is in none.
    public func addressedConnectionString(database name: String) throws -> String {
        guard let address else { throw NeverHappened(description: "the server listens on its Unix socket only") }
        return "host=\(address) port=\(port) user=ald dbname=\(name) sslmode=disable"
    }

    public func configuration(database name: String) throws -> PostgresConfiguration {
        try PostgresConfiguration(connectionString: connectionString(database: name))
    }

    /// Whichever of the two takes writes.
    public static func primary(
        of first: PostgresCluster, _ second: PostgresCluster, database name: String
    ) throws -> PostgresConfiguration {
        try PostgresConfiguration(
            connectionString: "host=\(first.place),\(second.place) port=\(first.port),\(second.port) user=ald "
                + "dbname=\(name) target_session_attrs=read-write")
    }

    // MARK: Coming and going

    public enum StopMode: String, Sendable { case fast, immediate }

    /// Starts the server and waits until it answers; one that was killed recovers first.
    public func start() async throws {
        let settings = [
            "listen_addresses=\(address ?? "")", "unix_socket_directories=\(place)", "port=\(port)",
            "shared_buffers=32MB",
            "max_connections=40", "wal_level=replica", "hot_standby=on", "max_wal_senders=4", "timezone=UTC",
        ]
        try await execute(
            "pg_ctl",
            ["start", "-w", "-s", "-t", "60", "-D", data, "-l", data + ".log", "-o"]
                + [settings.map { "-c \($0)" }.joined(separator: " ")])
    }

    public func stop(_ mode: StopMode) async throws {
        try await execute("pg_ctl", ["stop", "-w", "-s", "-m", mode.rawValue, "-D", data])
    }

    /// A standby becomes a primary.
    public func promote() async throws { try await execute("pg_ctl", ["promote", "-w", "-s", "-D", data]) }

    /// Kills every process of it at once, so that none can tidy up after another, and waits until none is left.
    public func kill() async throws {
        let processes = processes
        for process in processes { Foundation.kill(process, SIGSTOP) }
        for process in processes { Foundation.kill(process, SIGKILL) }
        // One that was not reaped yet still counts as running for whoever starts the server anew.
        try await eventually("the server is gone") { processes.allSatisfy { Foundation.kill($0, 0) != 0 } }
    }

    /// Stops every process of it where it stands; until ``thaw()`` nobody gets an answer, and no connection ends.
    public func freeze() { for process in processes { Foundation.kill(process, SIGSTOP) } }

    public func thaw() { for process in processes { Foundation.kill(process, SIGCONT) } }

    /// The server's process first, then its children.
    private var processes: [Int32] {
        guard let text = try? String(contentsOfFile: data + "/postmaster.pid", encoding: .utf8),
            let server = text.split(separator: "\n").first.flatMap({ Int32($0) }), server > 1,
            !ChildProcess.isFinished(server)
        else { return [] }
        let numbers = (try? FileManager.default.contentsOfDirectory(atPath: "/proc"))?.compactMap { Int32($0) } ?? []
        let children = numbers.filter { number in
            // The name in parentheses may contain anything; the parent is the second field after the last one.
            let stat = try? String(contentsOfFile: "/proc/\(number)/stat", encoding: .utf8)
            let fields = stat?.split(separator: ")").last?.split(separator: " ") ?? []
            return fields.count > 1 && Int32(fields[1]) == server
        }
        return [server] + children
    }

    // MARK: Copies

    public enum CopyKind: Sendable {
        /// Follows this server as it goes on.
        case standby
        /// Is as this server was at the end of the copying.
        case backup
    }

    /// Copies the running server into a folder of its own.
    ///
    /// - Parameter port: where the copy will listen: that of this server to take its place one day.
    public func copy(_ kind: CopyKind, port: Int) async throws -> PostgresCluster {
        let copy = PostgresCluster(
            place: place, name: "copy-\(port)", port: port, account: account, binaries: binaries, prefix: prefix,
            address: address)
        try await execute(
            "pg_basebackup",
            ["-h", place, "-p", "\(self.port)", "-U", "ald", "-D", copy.data, "-c", "fast", "-X", "stream", "-N"]
                + (kind == .standby ? ["-R"] : []))
        return copy
    }

    // MARK: Programs

    private func execute(_ program: String, _ arguments: [String]) async throws {
        let result = try await ChildProcess.run(
            "/usr/bin/env", prefix + ["env", "-C", place] + account.prefix + [binaries + "/" + program] + arguments,
            environment: ["LC_ALL": "C"], endsWithin: .seconds(90))
        guard result.exitCode == 0 else {
            let log = (try? String(contentsOfFile: data + ".log", encoding: .utf8)) ?? ""
            throw NeverHappened(
                description: "\(program) \(arguments.first ?? ""): \(result.transcript)\n\(log.suffix(1000))")
        }
    }

    private static func binaries() throws -> String {
        if let given = ProcessInfo.processInfo.environment["ALD_POSTGRES_BIN"] { return given }
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root))?.compactMap { Int($0) } ?? []
        for version in versions.sorted(by: >)
        where FileManager.default.isExecutableFile(atPath: "\(root)/\(version)/bin/postgres") {
            return "\(root)/\(version)/bin"
        }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        for folder in path.split(separator: ":")
        where FileManager.default.isExecutableFile(atPath: folder + "/pg_ctl") {
            return String(folder)
        }
        throw NeverHappened(description: "no PostgreSQL programs; name their folder with ALD_POSTGRES_BIN")
    }
}
