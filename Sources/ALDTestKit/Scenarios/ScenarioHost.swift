public import ALDCore
import Foundation

/// What scenarios share: one PostgreSQL server, started when the first one needs it.
///
/// Scenarios of one host run one after the other.
public actor ScenarioHost {
    private struct Server {
        /// `nil` when `ALD_DATABASE_URL` names the server.
        var local: LocalPostgres?
        var configuration: PostgresConfiguration
    }

    private var server: Server?
    private var path: String?
    private var models: [String] = []
    private var count = 0

    public init() {}

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

    /// Ends the server and removes all files.
    public func stop() async throws {
        let server = server
        self.server = nil
        for name in models { try await drop(name, on: server?.configuration) }
        models = []
        try await server?.local?.stop()
        if let path { try FileManager.default.removeItem(atPath: path) }
        path = nil
    }

    /// Runs `body` with a database of its own.
    ///
    /// - Parameter hasSchema: whether our schema is in it already.
    nonisolated public func withDatabase<Result: Sendable>(
        hasSchema: Bool = true, _ body: (PostgresConfiguration) async throws -> Result
    ) async throws -> Result {
        let (configuration, name) = try await makeDatabase(hasSchema: hasSchema)
        return try await withCleanup {
            try await body(configuration.withDatabase(name))
        } cleanup: {
            try await self.drop(name, on: configuration)
        }
    }

    private func makeDatabase(hasSchema: Bool) async throws -> (PostgresConfiguration, String) {
        let configuration = try await start()
        let model = hasSchema ? try await makeModel(configuration) : "template1"
        count += 1
        let name = Self.name("run\(count)")
        try await Self.execute("CREATE DATABASE \(name) TEMPLATE \(model)", configuration)
        return (configuration, name)
    }

    private func start() async throws -> PostgresConfiguration {
        if let server { return server.configuration }
        let environment = ProcessInfo.processInfo.environment
        if let url = environment["ALD_DATABASE_URL"] {
            let configuration = try PostgresConfiguration(connectionString: url)
            server = Server(local: nil, configuration: configuration)
            return configuration
        }
        let local = LocalPostgres(
            directory: try directory() + "/pg", binaryDirectory: environment["ALD_POSTGRES_BIN"],
            logger: TestDatabase.quiet)
        let configuration = try await local.start()
        server = Server(local: local, configuration: configuration)
        return configuration
    }

    /// A database with our schema, which others are copies of.
    private func makeModel(_ configuration: PostgresConfiguration) async throws -> String {
        if let model = models.first { return model }
        let name = Self.name("model")
        try await Self.execute("CREATE DATABASE \(name)", configuration)
        try await TestDatabase.withConnection(configuration.withDatabase(name)) {
            _ = try await Migrator().migrate($0, deadline: $1)
        }
        models.append(name)
        return name
    }

    private func drop(_ name: String, on configuration: PostgresConfiguration?) async throws {
        guard let configuration else { return }
        try await Self.execute("DROP DATABASE IF EXISTS \(name) WITH (FORCE)", configuration)
    }

    /// Several processes may use one server.
    private static func name(_ purpose: String) -> String {
        "ald_\(purpose)_" + String(UInt32.random(in: 0...UInt32.max), radix: 36)
    }

    private static func execute(_ script: String, _ configuration: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(configuration) { _ = try await $0.execute(script: script, deadline: $1) }
    }
}
