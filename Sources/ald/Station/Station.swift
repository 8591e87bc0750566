import ALDCore
import Foundation
import Logging
import Modbus
import ServiceLifecycle
import Synchronization

/// One machine and the terminals that one process runs of it: private PostgreSQL and simulated controller where none is
/// named, one connection to the controller, pool, registry, and each terminal under supervision.
///
/// Everything is started in order and stopped in the opposite order: terminals, pool, registry, database, controller.
final class Station: Service {
    let settings: Settings
    let registerMap: RegisterMap
    /// The part of it that Terminal 1 records.
    let collectedMap: RegisterMap
    let terminals: [Terminal]
    /// A recipe that is run again and again, on a simulated machine only: a real one is not touched without being asked.
    let demonstration: String?
    /// Start although the database cannot be reached; rows wait in the spool.
    let startsOffline: Bool
    /// For our own tests, see ``UnforeseenError``.
    let failsOnSignal: Bool
    let time: any TimeSource
    let logger: Logger
    let parts = Mutex(StationParts())
    private let companion: @Sendable (Station) -> any Service

    /// - Parameter companion: a service that watches the station and ends before it.
    init(
        settings: Settings, terminals: [Terminal] = Terminal.allCases, startsOffline: Bool,
        demonstration: String? = nil, failsOnSignal: Bool = false, time: any TimeSource = SystemTime(), logger: Logger,
        companion: @escaping @Sendable (Station) -> any Service
    ) throws {
        registerMap = try settings.registerMap()
        collectedMap = try settings.collected(of: registerMap)
        try settings.collecting.validate()
        self.settings = settings
        self.terminals = terminals
        self.startsOffline = startsOffline
        self.demonstration = demonstration
        self.failsOnSignal = failsOnSignal
        self.companion = companion
        self.time = time
        var logger = logger
        logger[metadataKey: "machine"] = "\(settings.machineName)"
        self.logger = logger
    }

    /// For what one terminal has to say.
    func logger(of terminal: Terminal) -> Logger {
        var logger = logger
        logger[metadataKey: "service"] = "\(terminal.service)"
        return logger
    }

    func run() async throws {
        do {
            try await start()
        } catch {
            // Whoever presses Ctrl-C before the work has begun wants the end, and no error message.
            if Task.isShuttingDownGracefully, !parts.withLock(\.hasBegun) { return }
            throw error
        }
    }

    private func start() async throws {
        let directory = try DataDirectory(
            settings.dataDirectory, terminals: terminals, machine: settings.machineID)
        defer { directory.release() }
        try await withController(directory) { controller in
            try await self.withSpools(in: directory, controller) { spools, securing in
                if let url = self.settings.databaseURL {
                    let database = try PostgresConfiguration(connectionString: url)
                    let place = Place(database: database, description: "\(database)", server: nil)
                    try await self.operate(directory, place, controller, spools, securing)
                } else {
                    try await self.withLocalPostgres(directory) { place in
                        try await self.operate(directory, place, controller, spools, securing)
                    }
                }
            }
        }
        try refuseDisplaced()
    }

    /// How long an unsafe machine is tried to be made safe when the rest could not start, and how long somebody else who runs
    /// it is looked for before.
    private static let securingGrace: Duration = .seconds(5)
    private static let rivalPatience: Duration = .seconds(2)

    /// Begins with what an earlier process may have left open, before anything that may take time, and beside it. The
    /// body ends it before somebody else writes.
    private func withMachineSecured(
        _ directory: DataDirectory, _ controller: Reached, _ body: @Sendable (StartupSecuring?) async throws -> Void
    ) async throws {
        guard terminals.contains(.recipes) else { return try await body(nil) }
        let securing = try StartupSecuring(
            plc: try ModbusPLC(registerMap, client: controller.client, isUrgent: true, time: time),
            interlocks: try settings.interlocks(on: registerMap), journal: directory.recipeJournal,
            rival: { await self.rival(in: directory) }, time: time, logger: logger(of: .recipes))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await securing.run() }
            try await withCleanup {
                try await body(securing)
            } cleanup: {
                await securing.leave(by: self.time.now + Self.securingGrace)
            }
        }
    }

    /// What Terminals 1 and 2 record waits here for the database.
    struct Spools: Sendable {
        var collection: Spool?
        var recipes: Spool?
    }

    /// Each has its own, whether it runs alone or beside the other: so what one start has left, the next one finds. That of
    /// the recipes is small, and nobody but its owner may touch their journal and the machine.
    private func withSpools(
        in directory: DataDirectory, _ controller: Reached,
        _ body: @Sendable (Spools, StartupSecuring?) async throws -> Void
    ) async throws {
        try await withSpool(in: terminals.contains(.recipes) ? directory.recipeSpool : nil) { recipes in
            try await self.withMachineSecured(directory, controller) { securing in
                try await self.withSpool(in: self.terminals.contains(.collection) ? directory.spool : nil) {
                    collection in
                    try await body(Spools(collection: collection, recipes: recipes), securing)
                }
            }
        }
    }

    private func withSpool(
        in directory: String?, _ body: @Sendable (Spool?) async throws -> Void
    ) async throws {
        guard let directory else { return try await body(nil) }
        let spool = try Spool(directory: directory)
        try await withCleanup {
            try await body(spool)
        } cleanup: {
            try spool.close()
        }
    }

    /// Who was displaced from all its places has not ended as it should.
    private func refuseDisplaced() throws {
        let displaced = parts.withLock(\.displaced)
        guard let first = displaced.first, displaced.count == terminals.count else { return }
        throw Failure(.duplicate, first.reason)
    }

    /// Who runs the recipes of this machine by now. A private database belongs to this directory, and so to us.
    private func rival(in directory: DataDirectory) async -> String? {
        guard let url = settings.databaseURL, let lock = directory.locks.first(where: { $0.terminal == .recipes })
        else { return nil }
        do {
            return await TerminalRegistry.rival(
                of: lock, in: try PostgresConfiguration(connectionString: url),
                by: time.now + Self.rivalPatience, time: time, logger: logger(of: .recipes))
        } catch {
            // Said by whoever opens the database.
            return nil
        }
    }

    // MARK: Database

    /// Where the database is, and the server if this process keeps it.
    struct Place: Sendable {
        var database: PostgresConfiguration
        var description: String
        var server: LocalPostgres?
    }

    private func withLocalPostgres(
        _ directory: DataDirectory, _ body: @Sendable (Place) async throws -> Void
    ) async throws {
        let server = LocalPostgres(
            directory: directory.postgres, binaryDirectory: settings.postgresBin, time: time, logger: logger)
        try await withCleanup {
            try await body(try await startOrFind(server, directory))
        } cleanup: {
            try await server.stop()
        }
    }

    /// The private server: this process keeps it unless another terminal of this directory does.
    private func startOrFind(_ server: LocalPostgres, _ directory: DataDirectory) async throws -> Place {
        let description = "private database in \(settings.dataDirectory)"
        let start: Result<PostgresConfiguration, any Error>
        do {
            // A shutdown request during initdb ends it here instead of waiting for it.
            start = .success(try await cancelWhenGracefulShutdown { try await server.start() })
        } catch {
            start = .failure(error)
        }
        switch start {
        case .success(let database): return Place(database: database, description: description, server: server)
        case .failure(let error):
            guard (error as? PostgresError)?.code == .localServerDirectoryInUse,
                let running = try await runningServer(directory)
            else { throw error }
            return Place(database: running, description: description, server: nil)
        }
    }

    /// The server that another process keeps, which may be starting it.
    private func runningServer(_ directory: DataDirectory) async throws -> PostgresConfiguration? {
        let deadline = time.now + .seconds(20)
        while time.now < deadline {
            if let running = LocalPostgres.connectionString(ofServerIn: directory.postgres) {
                return try PostgresConfiguration(connectionString: running)
            }
            try await cancelWhenGracefulShutdown { try await self.time.sleep(for: .milliseconds(100)) }
        }
        return nil
    }

    /// Schema and machine are checked before anything is accepted, so that a wrong password or a database that
    /// belongs to another machine is told at once and not found in the spool a week later.
    ///
    /// - Parameter isKnown: this database has been seen from here before. One that is away is waited for then.
    func prepare(_ sink: PostgresSink, _ database: PostgresConfiguration, isKnown: Bool) async throws {
        let deadline = time.now + .seconds(10)
        do {
            let connection = try await PostgresConnection.connect(
                database, deadline: deadline, time: time, logger: logger)
            try await withCleanup {
                try await prepare(sink, on: connection, deadline: deadline)
            } cleanup: {
                await connection.close()
            }
        } catch is Migrator.SchemaTooOld where terminals.contains(.collection) {
            // Told and done by `SchemaUpgrade`, beside recording.
        } catch let error as PostgresError where (startsOffline || isKnown) && error.isOutage {
            logger.warning("starting without the database", metadata: ["reason": "\(error)"])
        } catch let error as PostgresError where error.isOutage {
            let remedy =
                terminals.contains(.collection)
                ? "\nTo record into the spool until the database is back, start with --offline." : ""
            throw Failure(.unavailable, "\(error)\(remedy)")
        }
    }

    private func prepare(
        _ sink: PostgresSink, on connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws {
        if terminals.contains(.collection) { return try await sink.prepare(on: connection, deadline: deadline) }
        // The others bring nothing of their own into the database: Terminal 1, or `ald database seed`, enters machines.
        let row = try await connection.query(
            "SELECT to_regclass('ald.machines') IS NOT NULL", deadline: deadline
        ).first
        if try row?.decode(0, as: Bool.self) == true {
            let machine = try await connection.query(
                "SELECT name FROM ald.machines WHERE machine_id = $1", [.int4(settings.machineID)], deadline: deadline
            ).first
            if try machine?.decode(0, as: String.self) == settings.machineName { return }
        }
        throw Failure(
            .unavailable,
            "the database knows no machine \(settings.machineID) called \(settings.machineName); "
                + "start `ald collect` once, or enter it with `ald database seed`")
    }

    // MARK: Controller

    struct Reached: Sendable {
        var client: ModbusClient
        var place: String
    }

    private func withController(
        _ directory: DataDirectory, _ body: @Sendable (Reached) async throws -> Void
    ) async throws {
        guard let controller = settings.controller else {
            let simulator = try await SharedSimulator.open(
                directory: directory.path, map: registerMap, settings: settings, time: time, logger: logger)
            return try await withCleanup {
                try await withClient(
                    host: "127.0.0.1", port: simulator.port,
                    place: "simulated machine, 127.0.0.1:\(simulator.port)", body)
            } cleanup: {
                await simulator.close()
            }
        }
        try await withClient(
            host: controller.host, port: controller.port, place: "\(controller.host):\(controller.port)", body)
    }

    private func withClient(
        host: String, port: Int, place: String, _ body: @Sendable (Reached) async throws -> Void
    ) async throws {
        var configuration = ModbusClient.Configuration(host: host, port: port, unit: UnitID(rawValue: settings.unit))
        // A controller that is back is found within a second or two, well inside the five that are promised.
        configuration.backoffCap = .seconds(1)
        configuration.progressTimeout = .seconds(2)
        let client = try ModbusClient(configuration: configuration, logger: logger)
        try await withCleanup {
            try await body(Reached(client: client, place: place))
        } cleanup: {
            await client.close()
        }
    }

    func watch() -> any Service { companion(self) }
}
