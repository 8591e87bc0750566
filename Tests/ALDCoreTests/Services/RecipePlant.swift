import ALDTestKit
import Foundation
import Modbus

@testable import ALDCore

/// What a story about Terminal 2 needs: an operator's connection, the machine, spool and writer, and the service.
struct RecipePlant: Sendable {
    let operating: PostgresConnection
    let database: PostgresConfiguration
    let machine: SimulatedPLC
    let service: RecipeService
    let writer: BatchWriter
    let map: RegisterMap
    let journal: String

    static let flow = ParameterID(rawValue: 8)
    static func valve(_ number: Int32) -> ParameterID { ParameterID(rawValue: 28 + number) }

    static func interlocks(_ map: RegisterMap) -> Interlocks {
        var interlocks = Interlocks.cautious(on: map)
        interlocks.safeState.append(SetPoint(flow, 0))
        return interlocks
    }

    /// What a story may change.
    struct Setting: Sendable {
        /// How the service and its writer reach the database.
        var through: PostgresConfiguration?
        /// What the service talks to; the machine itself when there is nothing between.
        var plc: (any PLC)?
        var machine: SimulatedPLC?
        var spool = Spool.Configuration()
        var change: @Sendable (inout RecipeService.Configuration) -> Void = { _ in }
    }

    /// - Parameters:
    ///   - prepare: done before the service starts; gets the path of its journal.
    ///   - duringShutdown: done when the service was told to end, and has to be done before it has ended.
    ///   - afterShutdown: done when the service has ended, while the writer still runs.
    static func with(
        prepare:
            @Sendable (PostgresConnection, PostgresConfiguration, RegisterMap, _ journal: String) async throws ->
            Setting = { _, _, _, _ in Setting() },
        _ body: @Sendable (RecipePlant) async throws -> Void,
        duringShutdown: @Sendable (RecipePlant) async throws -> Void = { _ in },
        afterShutdown: @Sendable (RecipePlant) async throws -> Void = { _ in }
    ) async throws {
        let map = try RegisterMap(file: Repository.machine51)
        try await SchemaDatabase.with { connection, database in
            try await withTemporaryDirectory { directory in
                let registration = MachineRegistration(machine: 1, name: "ALD-1", registerMap: map)
                _ = try await registration.register(connection, deadline: .patience)
                let journal = directory + "/recipe.json"
                let setting = try await prepare(connection, database, map, journal)
                let machine = setting.machine ?? SimulatedPLC(map, seed: 1)
                let pool = try ConnectionPool(
                    configuration: setting.through ?? database, logger: TestDatabase.quiet)
                let sink = PostgresSink(pool: pool, registration: registration, logger: TestDatabase.quiet)
                var patience = BatchWriter.Configuration()
                patience.backoff = Backoff.Configuration(base: .milliseconds(20), cap: .milliseconds(100))
                patience.breaker.openTime = patience.backoff
                try FileManager.default.createDirectory(
                    atPath: directory + "/spool", withIntermediateDirectories: true)
                let spool = try Spool(directory: directory + "/spool", configuration: setting.spool)
                let writer = try BatchWriter(
                    spool: spool, sink: sink, configuration: patience, logger: TestDatabase.quiet)
                var configuration = RecipeService.Configuration(
                    machine: 1, interlocks: interlocks(map), journal: journal)
                configuration.lease = .seconds(3)
                configuration.execution = .patient
                configuration.gateTimeout = .seconds(10)
                setting.change(&configuration)
                let service = try RecipeService(
                    configuration: configuration, plc: setting.plc ?? machine, pool: pool, writer: writer,
                    logger: TestDatabase.quiet)
                let plant = RecipePlant(
                    operating: connection, database: database, machine: machine, service: service, writer: writer,
                    map: map, journal: journal)
                try await withCleanup {
                    try await plant.run(pool, body, duringShutdown, afterShutdown)
                } cleanup: {
                    try spool.close()
                }
            }
        }
    }

    private func run(
        _ pool: ConnectionPool, _ body: @Sendable (RecipePlant) async throws -> Void,
        _ duringShutdown: @Sendable (RecipePlant) async throws -> Void,
        _ afterShutdown: @Sendable (RecipePlant) async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { pooling in
            pooling.addTask { try await pool.run() }
            try await withThrowingTaskGroup(of: Void.self) { writing in
                writing.addTask { try await writer.run() }
                try await withThrowingTaskGroup(of: Void.self) { serving in
                    serving.addTask { try await service.run() }
                    try await body(self)
                    serving.cancelAll()
                    try await duringShutdown(self)
                    try await serving.waitForAll()
                }
                try await afterShutdown(self)
                writing.cancelAll()
                try await writing.waitForAll()
            }
            pooling.cancelAll()
        }
    }

    // MARK: Through a proxy

    /// Runs the story with everything that service and writer say to the database going through `proxy`.
    static func withProxy(
        _ change: @escaping @Sendable (inout Setting) -> Void = { _ in },
        _ body: @Sendable (RecipePlant, FaultProxy) async throws -> Void
    ) async throws {
        try await FaultProxy.run(to: try socket(of: try PostgresTestServer.configuration())) { proxy in
            try await with(prepare: { _, database, _, _ in
                var setting = Setting(through: try through(proxy, database))
                change(&setting)
                return setting
            }) { try await body($0, proxy) }
        }
    }

    private static func word(_ key: String, _ database: PostgresConfiguration) throws -> String {
        let word = "\(database)".split(separator: " ").first { $0.hasPrefix(key + "=") }
        guard let word else { throw NeverHappened(description: "\(database) does not say its \(key)") }
        return String(word.dropFirst(key.count + 1))
    }

    private static func socket(of database: PostgresConfiguration) throws -> String {
        try word("host", database) + "/.s.PGSQL." + word("port", database)
    }

    private static func through(
        _ proxy: FaultProxy, _ database: PostgresConfiguration
    ) throws -> PostgresConfiguration {
        try PostgresConfiguration(
            connectionString: "host=127.0.0.1 port=\(proxy.port) user=\(word("user", database)) "
                + "dbname=\(word("dbname", database)) sslmode=disable")
    }

    // MARK: What holds the database up

    /// Locks a table until ``unlock()``, does what `script` says, and waits until a call of `function` waits for it.
    func hold(_ table: String, _ mode: String, until function: String, _ script: String = "") async throws {
        try await operating.accept("BEGIN; LOCK TABLE ald.\(table) IN \(mode) MODE; \(script)")
        try await isHeld(function)
    }

    func unlock() async throws { try await operating.accept("COMMIT") }

    /// Locks a table before `ask`, and lets go, after `then`, when a call of `function` waits for it.
    func holding(
        _ table: String, _ mode: String, until function: String, _ ask: () async throws -> Int64, then: () -> Void
    ) async throws -> Int64 {
        try await TestDatabase.withConnection(database) { locker, _ in
            try await locker.accept("BEGIN; LOCK TABLE ald.\(table) IN \(mode) MODE")
            let command = try await ask()
            try await isHeld(function)
            then()
            try await locker.accept("COMMIT")
            return command
        }
    }

    private func isHeld(_ function: String) async throws {
        try await eventually("a call of \(function) waits") {
            // Otherwise a transaction sees of others what it saw before.
            try await operating.accept("SELECT pg_stat_clear_snapshot()")
            return try await operating.rows(
                """
                SELECT count(*) > 0 AS waits FROM pg_stat_activity WHERE datname = current_database()
                    AND wait_event_type = 'Lock' AND query LIKE '%\(function)%'
                """) == ["true"]
        }
    }

    // MARK: What operators do

    static func recipe(_ name: String = "test", _ kinds: RecipeStep.Kind...) -> Recipe {
        Recipe(name: name, steps: kinds.enumerated().map { RecipeStep(id: Int32($0.offset + 1), $0.element) })
    }

    static func store(_ recipe: Recipe, on connection: PostgresConnection) async throws -> RecipeStore.Version {
        try await RecipeStore(machine: 1).store(
            recipe, author: "engineer", on: connection, deadline: .patience
        ).version
    }

    func start(_ recipe: Recipe) async throws -> Int64 {
        let version = try await Self.store(recipe, on: operating)
        return try await request("'start', \(version.recipe), \(version.version), NULL")
    }

    func ask(_ kind: String, _ process: Int64) async throws -> Int64 {
        try await request("'\(kind)', NULL, NULL, \(process)")
    }

    private func request(_ object: String) async throws -> Int64 {
        let result = try await operating.query(
            "SELECT ald.request_recipe_command(1, gen_random_uuid(), \(object), 60, 'operator', 'because')",
            deadline: .patience)
        return try result.first?.decode(0, as: Int64.self) ?? 0
    }

    /// Status and error of a command, once it has ended.
    func end(of command: Int64) async throws -> String {
        var record = ""
        try await eventually("command \(command) has ended, \(service.status)") {
            record =
                try await operating.rows(
                    "SELECT status, error FROM ald.recipe_commands WHERE command_id = \(command) "
                        + "AND finished_at IS NOT NULL"
                ).first ?? ""
            return !record.isEmpty
        }
        return record
    }

    /// How many outputs were made safe without a step, and how many different ones.
    static let secured =
        "SELECT count(*), count(DISTINCT parameter_id) FROM ald.recipe_execution_audit "
        + "WHERE kind = 'safety' AND event = 'succeeded'"

    /// The process under way.
    func process() async throws -> Int64 {
        try await eventually("a process is under way, \(service.status)") { service.status.process != nil }
        return service.status.process ?? 0
    }

    func setPoint(_ id: ParameterID) async throws -> Double {
        try await machine.readSetPoint(of: id, deadline: SystemTime().now + .seconds(60))
    }

    func isOpen(_ valve: ParameterID) async throws {
        try await eventually("valve \(valve) is open") { try await setPoint(valve) == 1 }
    }
}
