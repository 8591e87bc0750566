public import ALDCore
public import Logging
import Modbus
import ServiceLifecycle

/// Terminal 1 with everything below it, in this process: pool, sink, spool, writer, Modbus client, collection.
///
/// Tests put it between a controller and a database of their choice and disturb either.
public struct RecordingRig: Sendable {
    public let collection: DataCollectionService
    public let writer: BatchWriter
    public let plc: any PLC
    public let pool: ConnectionPool
    public let database: PostgresConfiguration

    /// What there was to be told when everything had ended.
    public struct Summary: Sendable {
        public var collection: CollectionStatistics
        public var writer: BatchWriter.Statistics
        public var pool: PoolStatistics
    }

    /// Records from the controller on 127.0.0.1:`port` into `database` while `body` runs, then shuts down in order:
    /// collection, writer, pool.
    ///
    /// - Parameters:
    ///   - machine: its number in the database.
    ///   - registered: what the database is told of the machine. Defaults to all of the map.
    ///   - directory: holds the spool, also after a failure.
    ///   - meter: takes the time of readings and deliveries.
    ///   - collecting: changes what the collection is told.
    ///   - configure: changes what the writer is told.
    @discardableResult public static func record(
        _ map: RegisterMap, machine: Int32 = 1, fromPort port: Int, registered: RegisterMap? = nil,
        into database: PostgresConfiguration, directory: String, period: Duration = .milliseconds(100),
        logger: Logger = TestDatabase.quiet, meter: CycleMeter? = nil,
        collecting: @Sendable (inout DataCollectionService.Configuration) -> Void = { _ in },
        configure: @Sendable (inout BatchWriter.Configuration) -> Void = { _ in },
        _ body: @Sendable (RecordingRig) async throws -> Void
    ) async throws -> Summary {
        let client = try ModbusClient(configuration: reach(port), logger: logger)
        return try await withCleanup {
            try await record(
                from: ModbusPLC(map, client: client), machine: machine, registered: registered, into: database,
                directory: directory, period: period, logger: logger, meter: meter, collecting: collecting,
                configure: configure, body)
        } cleanup: {
            await client.close()
        }
    }

    /// How a controller of this machine is reached.
    static func reach(_ port: Int) -> ModbusClient.Configuration {
        var reach = ModbusClient.Configuration(host: "127.0.0.1", port: port)
        reach.backoffCap = .seconds(1)
        return reach
    }

    /// Records from a controller that the caller reaches in a way of its own.
    ///
    /// - Parameters:
    ///   - registered: what the database is told of the machine. Defaults to all of the controller's map.
    ///   - around: puts something between writer and sink.
    @discardableResult public static func record(
        from plc: any PLC, machine: Int32 = 1, registered: RegisterMap? = nil, into database: PostgresConfiguration,
        directory: String, period: Duration = .milliseconds(100), logger: Logger = TestDatabase.quiet,
        meter: CycleMeter? = nil,
        collecting: @Sendable (inout DataCollectionService.Configuration) -> Void = { _ in },
        around: @Sendable (any BatchSink) -> any BatchSink = { $0 },
        configure: @Sendable (inout BatchWriter.Configuration) -> Void = { _ in },
        _ body: @Sendable (RecordingRig) async throws -> Void
    ) async throws -> Summary {
        let time = SystemTime()
        let spool = try Spool(directory: directory)
        return try await withCleanup {
            let pool = try ConnectionPool(
                configuration: database, pool: PoolConfiguration(), time: time, logger: logger)
            let registration = registration(of: registered ?? plc.registerMap, machine: machine)
            let sink = around(PostgresSink(pool: pool, registration: registration, time: time, logger: logger))
            var patience = BatchWriter.Configuration()
            patience.backoff = Backoff.Configuration(base: .milliseconds(20), cap: .milliseconds(200))
            patience.breaker.openTime = patience.backoff
            configure(&patience)
            let writer = try BatchWriter(
                spool: spool, sink: meter?.before(sink) ?? sink, configuration: patience, time: time, logger: logger)
            var pace = DataCollectionService.Configuration()
            pace.period = period
            collecting(&pace)
            let collection = try DataCollectionService(
                plc: meter?.before(plc) ?? plc, writer: writer, machine: machine, configuration: pace, time: time,
                logger: logger)
            let rig = RecordingRig(
                collection: collection, writer: writer, plc: plc, pool: pool, database: database)
            try await rig.run(pool, logger, body)
            return Summary(
                collection: collection.statistics, writer: writer.statistics, pool: pool.statistics)
        } cleanup: {
            try spool.close()
        }
    }

    /// How the recorded machine is registered.
    static func registration(of map: RegisterMap, machine: Int32 = 1) -> MachineRegistration {
        MachineRegistration(machine: machine, name: "ALD-\(machine)", registerMap: map)
    }

    private func run(
        _ pool: ConnectionPool, _ logger: Logger, _ body: @Sendable (RecordingRig) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { pooling in
            pooling.addTask { try await pool.run() }
            try await withThrowingTaskGroup(of: Void.self) { writing in
                writing.addTask { try await writer.run() }
                try await withThrowingTaskGroup(of: Void.self) { collecting in
                    // Ended as a service is: a cycle under way has its moment. Cancelling would count it as missed.
                    let group = ServiceGroup(services: [collection], logger: logger)
                    collecting.addTask { try await group.run() }
                    try await body(self)
                    await group.triggerGracefulShutdown()
                    try await collecting.waitForAll()
                }
                try await drain()
                writing.cancelAll()
                try await writing.waitForAll()
            }
            pooling.cancelAll()
        }
    }

    /// Everything accepted lands; otherwise the error says what the writer has to say.
    private func drain() async throws {
        do {
            try await eventually("everything accepted has landed", within: .seconds(60)) {
                writer.statistics.spooled == 0
            }
        } catch {
            throw NeverHappened(description: "\(error); \(writer.statistics)")
        }
    }
}
