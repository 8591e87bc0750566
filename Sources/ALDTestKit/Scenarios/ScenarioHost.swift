public import ALDCore
public import Foundation

/// What scenarios share: one PostgreSQL server, started when the first one needs it.
///
/// Scenarios of one host run one after the other.
public actor ScenarioHost {
    private struct Server {
        /// `nil` when `ALD_DATABASE_URL` names the server.
        var local: LocalPostgres?
        var configuration: PostgresConfiguration
    }

    /// Sessions that a server of ours has room for: a hundred at a time, and those who look at them.
    static let connections = 120

    private var server: Server?
    private var path: String?
    /// A database with our schema, which others are copies of.
    private var model: String?
    /// Databases that may be there: noted before one is made, since whoever is cut off then does not know, and forgotten
    /// when it is known to be gone.
    private var databases: Set<String> = []
    private var count = 0
    /// What the server calls itself, for instance `17.2`; `nil` before the first scenario that needs it.
    public private(set) var serverVersion: String?
    private let environment: [String: String]

    /// - Parameter environment: where `ALD_DATABASE_URL` and `ALD_POSTGRES_BIN` stand.
    public init(environment: [String: String] = ProcessInfo.processInfo.environment) {
        self.environment = environment
    }

    /// The host's own directory; it is gone after ``stop()``.
    public func directory() throws -> String {
        if let path { return path }
        let made = NSTemporaryDirectory() + "/ald-" + String(UInt32.random(in: 0...UInt32.max), radix: 36)
        try FileManager.default.createDirectory(
            atPath: made, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        path = made
        return made
    }

    /// Where the server's cluster lies; `nil` when it is not ours.
    public var cluster: String? { server?.local == nil ? nil : path.map { $0 + "/pg" } }

    /// Ends the server, or removes every database of ours from one that is not, and removes all files. Heeds no
    /// cancellation: who interrupts a run leaves nothing behind.
    ///
    /// - Throws: what could not be ended. All the rest is; what is left stays known, and `stop` can be called again.
    public func stop() async throws {
        model = nil
        var problem: (any Error)?
        if let local = server?.local {
            // Its databases go with it. While it may still run, its files stay.
            try await local.stop()
            databases = []
        } else {
            for name in databases.sorted() {
                do { try await drop(name, on: server?.configuration) } catch { problem = problem ?? error }
            }
        }
        if problem == nil { server = nil }
        do {
            if let path { try FileManager.default.removeItem(atPath: path) }
            path = nil
        } catch {
            problem = problem ?? error
        }
        if let problem { throw problem }
    }

    /// Runs `body` with a database of its own.
    ///
    /// - Parameter hasSchema: whether our schema is in it already.
    nonisolated public func withDatabase<Result: Sendable>(
        hasSchema: Bool = true, _ body: (PostgresConfiguration) async throws -> Result
    ) async throws -> Result {
        let configuration = try await start()
        let model = hasSchema ? try await makeModel(configuration) : "template1"
        let name = await newName()
        return try await withCleanup {
            try await self.create(name, from: model, on: configuration)
            return try await body(configuration.withDatabase(name))
        } cleanup: {
            try await self.drop(name, on: configuration)
        }
    }

    private func newName() -> String {
        count += 1
        return Self.name("run\(count)")
    }

    private func create(_ name: String, from template: String, on configuration: PostgresConfiguration) async throws {
        databases.insert(name)
        try await Self.execute("CREATE DATABASE \(name) TEMPLATE \(template)", configuration)
    }

    /// - Throws: ``Unavailable`` with what to do when no server can be had.
    private func start() async throws -> PostgresConfiguration {
        if let server { return server.configuration }
        let path = try directory() + "/pg"
        do {
            var local: LocalPostgres?
            let configuration: PostgresConfiguration
            if let url = environment["ALD_DATABASE_URL"] {
                configuration = try PostgresConfiguration(connectionString: url)
            } else {
                let made = LocalPostgres(
                    directory: path, binaryDirectory: environment["ALD_POSTGRES_BIN"],
                    connections: Self.connections, logger: TestDatabase.quiet)
                configuration = try await made.start()
                local = made
            }
            // From here on `stop()` ends it, also when it does not answer.
            let started = Server(local: local, configuration: configuration)
            if local != nil { server = started }
            serverVersion = try await Self.version(of: configuration)
            server = started
            return configuration
        } catch let error as PostgresError where error.code != .cancelled {
            throw lacking(error)
        }
    }

    private static func version(of configuration: PostgresConfiguration) async throws -> String {
        try await TestDatabase.withConnection(configuration) { connection, deadline in
            let rows = try await connection.query("SELECT current_setting('server_version')", deadline: deadline)
            return try rows.first?.decode(0, as: String.self) ?? "unknown"
        }
    }

    private func lacking(_ error: PostgresError) -> Unavailable {
        var bare = error
        bare.remedy = nil
        let usual =
            environment["ALD_DATABASE_URL"] == nil
            ? "install PostgreSQL, or name its programs with ALD_POSTGRES_BIN or a server with ALD_DATABASE_URL"
            : "check ALD_DATABASE_URL and its server, or unset it for a private one"
        return Unavailable(.database, "no database for the scenarios: \(bare)", remedy: error.remedy ?? usual)
    }

    private func makeModel(_ configuration: PostgresConfiguration) async throws -> String {
        if let model { return model }
        let name = Self.name("model")
        // One that has only a part of the schema is of no use to anybody.
        do {
            try await create(name, from: "template1", on: configuration)
            try await TestDatabase.withConnection(configuration.withDatabase(name)) {
                _ = try await Migrator().migrate($0, deadline: $1)
            }
        } catch {
            // It stays noted, and `stop()` tries again.
            do { try await drop(name, on: configuration) } catch {}
            throw error
        }
        model = name
        return name
    }

    private func drop(_ name: String, on configuration: PostgresConfiguration?) async throws {
        guard let configuration else { return }
        try await TestDatabase.drop(name, on: configuration)
        databases.remove(name)
    }

    /// Several processes may use one server.
    private static func name(_ purpose: String) -> String {
        "ald_\(purpose)_" + String(UInt32.random(in: 0...UInt32.max), radix: 36)
    }

    private static func execute(_ script: String, _ configuration: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(configuration) { _ = try await $0.execute(script: script, deadline: $1) }
    }
}
