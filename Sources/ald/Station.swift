import ALDCore
import Foundation
import Logging
import Modbus
import ServiceLifecycle
import Synchronization

/// One machine, recorded: private PostgreSQL and simulated controller where none is named, pool, writer, Terminal 1.
///
/// Everything is started in order and stopped in the opposite order: collection, writer (which flushes), pool,
/// controller, database.
final class Station: Service {
    /// What a running station consists of.
    private struct Parts {
        var plc: ModbusPLC
        var plcPlace: String
        var databasePlace: String
        var writer: BatchWriter
        var collection: DataCollectionService
        var startedAt: Timestamp
        var started: MonotonicInstant
    }

    let settings: Settings
    let registerMap: RegisterMap
    /// Start although the database cannot be reached; rows wait in the spool.
    let startsOffline: Bool
    private let companion: @Sendable (Station) -> any Service
    private let time: any TimeSource
    private let logger: Logger
    private let parts = Mutex<Parts?>(nil)
    private let counted = Mutex<Int?>(nil)
    private let recounted = Mutex<Spool.Contents?>(nil)

    /// - Parameter companion: a service that watches the station and ends before it.
    init(
        settings: Settings, startsOffline: Bool, time: any TimeSource = SystemTime(), logger: Logger,
        companion: @escaping @Sendable (Station) -> any Service
    ) throws {
        registerMap = try settings.registerMap()
        try settings.collecting.validate()
        self.settings = settings
        self.startsOffline = startsOffline
        self.companion = companion
        self.time = time
        self.logger = logger
    }

    func run() async throws {
        do {
            try await start()
        } catch {
            // Whoever presses Ctrl-C before recording has begun wants the end, and no error message.
            if Task.isShuttingDownGracefully, status == nil { return }
            throw error
        }
    }

    private func start() async throws {
        let directory = try DataDirectory(settings.dataDirectory)
        defer { directory.release() }
        let spool = try Spool(directory: directory.spool)
        try await withCleanup {
            if let url = settings.databaseURL {
                let database = try PostgresConfiguration(connectionString: url)
                try await withController { try await self.record(into: database, place: "\(database)", spool, $0) }
            } else {
                try await withLocalPostgres(directory.postgres) { server, database, place in
                    try await self.withController {
                        try await self.record(into: database, place: place, keptBy: server, spool, $0)
                    }
                }
            }
        } cleanup: {
            try spool.close()
        }
    }

    // MARK: Database

    private func withLocalPostgres(
        _ directory: String, _ body: @Sendable (LocalPostgres, PostgresConfiguration, String) async throws -> Void
    ) async throws {
        let server = LocalPostgres(
            directory: directory, binaryDirectory: settings.postgresBin, time: time, logger: logger)
        try await withCleanup {
            // A shutdown request during initdb ends it here instead of waiting for it.
            let database = try await cancelWhenGracefulShutdown { try await server.start() }
            try await body(server, database, "private database in \(settings.dataDirectory)")
        } cleanup: {
            try await server.stop()
        }
    }

    /// Schema and machine are checked before anything is accepted, so that a wrong password or a database that
    /// belongs to another machine is told at once and not found in the spool a week later.
    private func prepare(_ sink: PostgresSink, _ database: PostgresConfiguration) async throws {
        let deadline = time.now + .seconds(10)
        do {
            let connection = try await PostgresConnection.connect(
                database, deadline: deadline, time: time, logger: logger)
            try await withCleanup {
                try await sink.prepare(on: connection, deadline: deadline)
            } cleanup: {
                await connection.close()
            }
        } catch is Migrator.SchemaTooOld {
            // Told and done by `SchemaUpgrade`, beside recording.
        } catch let error as PostgresError where startsOffline && error.isOutage {
            logger.warning("starting without the database", metadata: ["reason": "\(error)"])
        } catch let error as PostgresError where error.isOutage {
            throw Failure(
                .unavailable,
                "\(error)\nTo record into the spool until the database is back, start with --offline.")
        }
    }

    // MARK: Controller

    private struct Reached: Sendable {
        var client: ModbusClient
        var place: String
    }

    private func withController(_ body: @Sendable (Reached) async throws -> Void) async throws {
        guard let controller = settings.controller else {
            let device = SimulatedPLC(registerMap, seed: settings.simulatorSeed, time: time)
            let server = ModbusServer(
                configuration: .init(port: settings.simulatorPort), device: device, logger: logger)
            let port = try await server.start()
            return try await withCleanup {
                try await withClient(host: "127.0.0.1", port: port, place: "simulated machine, 127.0.0.1:\(port)", body)
            } cleanup: {
                await server.stop()
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

    // MARK: Recording

    private func record(
        into database: PostgresConfiguration, place: String, keptBy server: LocalPostgres? = nil, _ spool: Spool,
        _ controller: Reached
    ) async throws {
        var poolConfiguration = PoolConfiguration()
        poolConfiguration.maximumConnections = 4
        poolConfiguration.reservedConnections = [.writer: 1]
        var pooled = database
        pooled.timeouts = .recording
        let pool = try ConnectionPool(configuration: pooled, pool: poolConfiguration, time: time, logger: logger)
        let sink = PostgresSink(
            pool: pool,
            registration: MachineRegistration(
                machine: settings.machineID, name: settings.machineName, registerMap: registerMap),
            time: time, logger: logger)
        try await cancelWhenGracefulShutdown { try await self.prepare(sink, database) }
        var patience = BatchWriter.Configuration()
        patience.flushTimeout = .seconds(1)
        let writer = try BatchWriter(
            spool: spool, sink: sink, configuration: patience, time: time, logger: logger)
        let plc = try ModbusPLC(registerMap, client: controller.client, time: time)
        let collection = try DataCollectionService(
            plc: plc, writer: writer, machine: settings.machineID, configuration: settings.collecting, time: time,
            logger: logger)
        parts.withLock { parts in
            parts = Parts(
                plc: plc, plcPlace: controller.place, databasePlace: place, writer: writer, collection: collection,
                startedAt: time.wallClock, started: time.now)
        }
        let keeper = server.map { ServerKeeper(server: $0, time: time, logger: logger) }
        let group = ServiceGroup(
            configuration: .init(
                services: (keeper.map { [.init(service: $0)] } ?? []) + [
                    .init(service: SchemaUpgrade(database: database, time: time, logger: logger)),
                    .init(service: pool), .init(service: writer),
                    .init(
                        service: HistoryMaintenance(
                            pool: pool, forgotten: spool.promises(machine: settings.machineID), time: time,
                            logger: logger)),
                    // Its end, after --duration, is the end of the station.
                    .init(service: collection, successTerminationBehavior: .gracefullyShutdownGroup),
                    .init(service: companion(self), successTerminationBehavior: .ignore),
                ], logger: logger))
        try await group.run()
        let stored = try await spool.recount()
        recounted.withLock { $0 = stored }
        // A database that did not take the last rows would not count them in time either.
        if stored.records == 0 { await countRows(database) }
    }

    /// Asks the database itself what it has of this run: the summary does not rest on our own counters alone.
    private func countRows(_ database: PostgresConfiguration) async {
        guard let since = parts.withLock({ $0?.startedAt }) else { return }
        let deadline = time.now + .milliseconds(1500)
        do {
            let connection = try await PostgresConnection.connect(
                database, deadline: deadline, time: time, logger: logger)
            let result = try await connection.query(
                "SELECT count(*) FROM ald.parameter_value_history WHERE machine_id = $1 AND sampled_at >= $2",
                [.int4(settings.machineID), .timestamptz(since)], deadline: deadline)
            let count = try result.first?.decode(0, as: Int64.self)
            counted.withLock { $0 = count.map(Int.init) }
            await connection.close()
        } catch {
            // The summary then says that nobody counted; it is no reason to fail a run that has recorded everything.
            logger.info("rows not counted", metadata: ["reason": "\(error)"])
        }
    }

    // MARK: Status

    /// What the station is doing; `nil` before it records.
    var status: StationStatus? {
        guard let parts = parts.withLock(\.self) else { return nil }
        let writer = parts.writer.statistics
        let collected = parts.collection.statistics
        return StationStatus(
            machine: settings.machineName, parameters: registerMap.parameters.count, period: settings.period,
            running: (collected.endedAt ?? time.now) - parts.started, collection: collected, writer: writer,
            plc: PLCStatus(place: parts.plcPlace, state: parts.plc.connectionState),
            database: DatabaseStatus(place: parts.databasePlace, fault: writer.lastFault),
            rowsCounted: counted.withLock(\.self), spoolRecounted: recounted.withLock { $0?.records })
    }
}
