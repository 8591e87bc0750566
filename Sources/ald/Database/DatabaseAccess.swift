import ALDCore
import Foundation
import Logging

/// The database that a command works on: the one `ALD_DATABASE_URL` names, or the private one of the data directory,
/// whose server is used when it runs and otherwise started and stopped.
struct DatabaseAccess {
    let settings: Settings
    private let time = SystemTime()

    /// How long a command that only looks may take, in all.
    static let timeLimit: Duration = .seconds(120)
    /// For what takes as long as it takes. Ctrl-C ends it.
    static let noLimit = Migrator.ampleTime

    init(settings: Settings) {
        self.settings = settings
    }

    /// - Parameter timeLimit: for `body`.
    /// - Throws: ``Failure`` when there is no private database yet; whatever connecting and `body` throw.
    nonisolated(nonsending) func withConnection<Result: Sendable>(
        within timeLimit: Duration = timeLimit,
        _ body: nonisolated(nonsending) (PostgresConnection, _ deadline: MonotonicInstant) async throws -> Result
    ) async throws -> Result {
        let logger = Logger(label: "ald") { [level = settings.logLevel] _ in
            TextLogHandler(level: level) { StandardStream.error.write($0 + "\n") }
        }
        if let url = settings.databaseURL {
            return try await connected(try PostgresConfiguration(connectionString: url), logger, timeLimit, body)
        }
        let cluster = URL(fileURLWithPath: settings.dataDirectory).path + "/postgres"
        guard FileManager.default.fileExists(atPath: cluster) else {
            throw Failure(
                .unavailable,
                "\(settings.dataDirectory) holds no private database yet; `ald run` creates it, "
                    + "or name another database with ALD_DATABASE_URL")
        }
        if let running = LocalPostgres.connectionString(ofServerIn: cluster) {
            return try await connected(try PostgresConfiguration(connectionString: running), logger, timeLimit, body)
        }
        let server = LocalPostgres(directory: cluster, binaryDirectory: settings.postgresBin, logger: logger)
        return try await withCleanup {
            try await connected(try await server.start(), logger, timeLimit, body)
        } cleanup: {
            try await server.stop()
        }
    }

    /// The same for what is of use only while somebody runs the machine: a private server that does not run is not
    /// started.
    ///
    /// - Throws: ``Failure`` when it does not run.
    nonisolated(nonsending) func withRunningConnection<Result: Sendable>(
        within timeLimit: Duration = timeLimit,
        _ body: nonisolated(nonsending) (PostgresConnection, _ deadline: MonotonicInstant) async throws -> Result
    ) async throws -> Result {
        if settings.databaseURL == nil {
            let cluster = URL(fileURLWithPath: settings.dataDirectory).path + "/postgres"
            guard LocalPostgres.connectionString(ofServerIn: cluster) != nil else {
                throw Failure(
                    .unavailable,
                    "the private database in \(settings.dataDirectory) does not run; `ald run` keeps it, or name another "
                        + "database with ALD_DATABASE_URL")
            }
        }
        return try await withConnection(within: timeLimit, body)
    }

    private nonisolated(nonsending) func connected<Result: Sendable>(
        _ configuration: PostgresConfiguration, _ logger: Logger, _ timeLimit: Duration,
        _ body: nonisolated(nonsending) (PostgresConnection, _ deadline: MonotonicInstant) async throws -> Result
    ) async throws -> Result {
        let connection = try await PostgresConnection.connect(
            configuration, deadline: time.now + .seconds(10), time: time, logger: logger)
        return try await withCleanup {
            try await body(connection, time.now + timeLimit)
        } cleanup: {
            await connection.close()
        }
    }
}
