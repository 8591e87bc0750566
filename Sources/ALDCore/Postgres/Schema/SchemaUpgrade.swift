public import Logging
public import ServiceLifecycle

/// Brings an older schema up to date beside recording, which goes on into the spool meanwhile.
///
/// It has a connection of its own and all the time it needs, see ``Migrator/migrate(_:deadline:progress:)``. A shutdown
/// ends it in the middle and leaves the schema as it was.
public struct SchemaUpgrade: Service {
    private let database: PostgresConfiguration
    private let migrator: Migrator
    private let time: any TimeSource
    private let logger: Logger

    /// For the connection and the first look.
    private static let patience: Duration = .seconds(10)
    /// After a failure: the database is away, or somebody holds a lock that is needed.
    private static let pause: Duration = .seconds(5)

    public init(database: PostgresConfiguration, time: any TimeSource = SystemTime(), logger: Logger) {
        self.init(database: database, migrator: Migrator(), time: time, logger: logger)
    }

    init(database: PostgresConfiguration, migrator: Migrator, time: any TimeSource, logger: Logger) {
        var database = database
        // A migration takes as long as it takes.
        database.timeouts = PostgresTimeouts()
        self.database = database
        self.migrator = migrator
        self.time = time
        self.logger = logger
    }

    /// Tries until the schema is up to date, and then does nothing until shutdown. A database that is away is waited
    /// for; a failure is told at info level, since whoever records notices sooner.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await upgrade()
                    break
                } catch is CancellationError {
                    return
                } catch {
                    if Task.isCancelled { return }
                    // A database that is away comes back; everything else needs somebody.
                    let isOutage = (error as? PostgresError)?.isOutage ?? false
                    logger.log(
                        level: isOutage ? .info : .error, "schema not brought up to date, nothing lands until it is",
                        metadata: ["reason": "\(error)"])
                }
                do { try await time.sleep(for: Self.pause) } catch { return }
            }
            do { try await gracefulShutdown() } catch { return }
        }
    }

    private func upgrade() async throws {
        let first = time.now + Self.patience
        let connection = try await PostgresConnection.connect(database, deadline: first, time: time, logger: logger)
        try await withCleanup {
            let pending = try await migrator.pending(connection, deadline: first)
            guard let last = pending.last else { return }
            logger.notice(
                "the schema is being brought up to date, which may take minutes; recording goes on into the spool",
                metadata: ["migrations": "\(pending.count)", "version": "\(last.version)"])
            let logger = logger
            let outcome = try await migrator.migrate(connection, deadline: time.now + Migrator.ampleTime) {
                logger.notice("migrating", metadata: ["version": "\($0.version)", "name": "\($0.name)"])
            }
            logger.notice("the schema is up to date", metadata: ["version": "\(outcome.version)"])
            if !outcome.missingRoles.isEmpty {
                logger.warning(
                    "this user may not create the roles of the schema; create them and run `ald database migrate`",
                    metadata: ["roles": "\(outcome.missingRoles.joined(separator: ", "))"])
            }
        } cleanup: {
            await connection.close()
        }
    }
}
