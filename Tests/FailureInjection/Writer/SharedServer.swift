import ALDCore
import ALDTestKit
import Foundation
import XCTest

/// One private server for the stories of a class: each gets a database of its own with our schema in it.
class SharedServerTestCase: XCTestCase {
    private actor Server {
        private var running: (server: LocalPostgres, directory: String, configuration: PostgresConfiguration)?
        private var databases = 0

        func database() async throws -> PostgresConfiguration {
            let configuration = try await start()
            databases += 1
            let name = "story_\(databases)"
            try await Self.run("CREATE DATABASE \(name) TEMPLATE model", configuration)
            return configuration.withDatabase(name)
        }

        private func start() async throws -> PostgresConfiguration {
            if let running { return running.configuration }
            let directory = NSTemporaryDirectory() + "/ald-" + String(UInt32.random(in: 0...UInt32.max), radix: 36)
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
            let server = LocalPostgres(
                directory: directory + "/pg",
                binaryDirectory: ProcessInfo.processInfo.environment["ALD_POSTGRES_BIN"], logger: TestDatabase.quiet)
            let configuration = try await server.start()
            running = (server, directory, configuration)
            try await Self.run("CREATE DATABASE model", configuration)
            let model = configuration.withDatabase("model")
            try await TestDatabase.withConnection(model) { _ = try await Migrator().migrate($0, deadline: $1) }
            try await Self.run(NumberedRecords.rule, model)
            return configuration
        }

        func stop() async throws {
            guard let running else { return }
            self.running = nil
            try await running.server.stop()
            try FileManager.default.removeItem(atPath: running.directory)
        }

        private static func run(_ script: String, _ database: PostgresConfiguration) async throws {
            try await TestDatabase.withConnection(database) { _ = try await $0.execute(script: script, deadline: $1) }
        }
    }

    private static let server = Server()

    /// A database with our schema and the rule of ``NumberedRecords``.
    static func database() async throws -> PostgresConfiguration { try await server.database() }

    override class func tearDown() {
        let done = DispatchSemaphore(value: 0)
        let stopping = Task {
            defer { done.signal() }
            try await server.stop()
        }
        done.wait()
        withExtendedLifetime(stopping) { super.tearDown() }
    }
}
