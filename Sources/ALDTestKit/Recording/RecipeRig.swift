public import ALDCore
import Modbus

/// Terminal 2 with everything around it: the recipe service of this process, a simulated machine behind Modbus TCP, and a
/// connection of whoever asks for recipes.
public struct RecipeRig: Sendable {
    public let service: RecipeService
    public let machine: SimulatedPLC
    /// Of an operator.
    public let operating: PostgresConnection

    private let time = SystemTime()

    /// Runs `body` when the service hears its bell, and ends the service, its writer and its pool in order.
    ///
    /// - Parameters:
    ///   - database: with our schema or without.
    ///   - directory: holds spool and journal.
    public static func run(
        _ map: RegisterMap, seed: UInt64 = 1, in database: PostgresConfiguration, directory: String,
        _ body: @Sendable (RecipeRig) async throws -> Void
    ) async throws {
        let machine = SimulatedPLC(map, seed: seed)
        let server = ModbusServer(device: machine, logger: TestDatabase.quiet)
        let port = try await server.start()
        try await withCleanup {
            try await run(map, of: machine, onPort: port, in: database, directory: directory, body)
        } cleanup: {
            await server.stop()
        }
    }

    /// The same at a machine that is served already.
    ///
    /// - Parameter way: how the service reaches the database; whoever asks for recipes reaches it at once. Defaults to that.
    static func run(
        _ map: RegisterMap, of machine: SimulatedPLC, onPort port: Int, in database: PostgresConfiguration,
        through way: PostgresConfiguration? = nil, directory: String,
        _ body: @Sendable (RecipeRig) async throws -> Void
    ) async throws {
        let client = try ModbusClient(
            configuration: .init(host: "127.0.0.1", port: port), logger: TestDatabase.quiet)
        let spool = try Spool(directory: directory)
        try await withCleanup {
            let pool = try ConnectionPool(configuration: way ?? database, logger: TestDatabase.quiet)
            let sink = PostgresSink(
                pool: pool, registration: MachineRegistration(machine: 1, name: "ALD-1", registerMap: map),
                logger: TestDatabase.quiet)
            let writer = try BatchWriter(spool: spool, sink: sink, logger: TestDatabase.quiet)
            var configuration = RecipeService.Configuration(
                machine: 1, interlocks: .cautious(on: map), journal: directory + "/recipe.json")
            configuration.execution = .patient
            let service = try RecipeService(
                configuration: configuration, plc: ModbusPLC(map, client: client, isUrgent: true), pool: pool,
                writer: writer, logger: TestDatabase.quiet)
            try await TestDatabase.withConnection(database) { operating, deadline in
                try await sink.prepare(on: operating, deadline: deadline)
                let rig = RecipeRig(service: service, machine: machine, operating: operating)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await pool.run() }
                    group.addTask { try await writer.run() }
                    try await withThrowingTaskGroup(of: Void.self) { serving in
                        serving.addTask { try await service.run() }
                        try await eventually("the bell works") { service.status.hearsBell }
                        try await body(rig)
                        serving.cancelAll()
                    }
                    group.cancelAll()
                }
            }
        } cleanup: {
            await client.close()
            try spool.close()
        }
    }

    // MARK: What an operator does

    /// Stores a recipe, released.
    public func store(_ recipe: Recipe) async throws -> RecipeStore.Version {
        try await RecipeStore(machine: 1).store(
            recipe, author: "bench", on: operating, deadline: time.now + .seconds(30)
        ).version
    }

    /// Asks for a recipe.
    ///
    /// - Returns: the number of the command.
    @discardableResult public func start(_ recipe: RecipeStore.Version) async throws -> Int64 {
        try await ask("'start', \(recipe.recipe), \(recipe.version), NULL")
    }

    /// Asks for the end of a run.
    @discardableResult public func stop(_ process: Int64) async throws -> Int64 {
        try await ask("'stop', NULL, NULL, \(process)")
    }

    private func ask(_ object: String) async throws -> Int64 {
        let rows = try await operating.query(
            "SELECT ald.request_recipe_command(1, gen_random_uuid(), \(object), 60, 'operator', 'because')",
            deadline: time.now + .seconds(30))
        guard let row = rows.first else { throw NeverHappened(description: "no command: \(object)") }
        return try row.decode(0)
    }
}
