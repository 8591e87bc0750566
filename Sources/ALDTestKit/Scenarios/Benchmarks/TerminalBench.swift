import ALDCore
import Foundation
import Modbus

/// The three terminals of a machine, each a process of its own with a way of its own to the controller, and nothing to do
/// until somebody asks for something.
struct TerminalBench: Sendable {
    typealias Kind = TerminalProcesses.Kind

    /// How a terminal reaches what it works with.
    struct Way: Sendable {
        /// The one machine, behind a port that nobody else uses.
        let controller: ModbusServer
        /// Before the database; `nil` when the terminal goes there directly.
        let proxy: FaultProxy?
    }

    /// Past the proxies.
    let database: PostgresConfiguration
    let map: RegisterMap
    /// As the machine has seen it.
    let log: MachineLog
    let terminals: TerminalProcesses
    let ways: [Kind: Way]
    private let station: AldProcess
    /// Settings for who uses `ald` from outside.
    private let settings: String

    static let machine: Int32 = 1

    /// Runs `body` with all terminals at work, then ends them in order.
    ///
    /// - Parameters:
    ///   - period: of Terminal 1.
    ///   - isMetered: whether what goes to and from the database is counted, which costs a proxy in between.
    static func run(
        _ run: ScenarioRun, _ map: RegisterMap, period: Duration, isMetered: Bool, in database: PostgresConfiguration,
        _ body: @Sendable (TerminalBench) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory(in: run.host.directory()) { directory in
            try map.csv.write(toFile: directory + "/machine.csv", atomically: true, encoding: .utf8)
            let address = try ProxiedDatabase.connectionString(of: database)
            // Everybody finds the machine there, so all can start at the same time.
            try await TestDatabase.withConnection(database) {
                _ = try await MachineRegistration(machine: machine, name: "ALD-1", registerMap: map)
                    .register($0, deadline: $1)
            }
            try Settings(databaseUrl: address).write(to: directory + "/outside.json")
            let log = MachineLog()
            let device = SimulatedPLC(map, seed: run.seed) { log.note($0, $1) }
            try await withWays(Kind.allCases, to: device, isMetered ? database : nil, directory, address) { ways in
                var arguments = Dictionary(
                    uniqueKeysWithValues: Kind.allCases.map { ($0, ["--config", "\(directory)/\($0.rawValue).json"]) })
                arguments[.collect]? += ["--period", "\(Int(period.inSeconds * 1000))ms"]
                let station = AldProcess(dataDirectory: directory + "/data", machine: directory + "/machine.csv")
                let ended = try await TerminalProcesses.run(station, arguments: arguments) { terminals in
                    let bench = TerminalBench(
                        database: database, map: map, log: log, terminals: terminals, ways: ways, station: station,
                        settings: directory + "/outside.json")
                    try await bench.begin()
                    try await body(bench)
                }
                try note(run, ended)
            }
        }
    }

    /// Settings of a process, as a file: the address of a database is no argument.
    private struct Settings: Encodable {
        var databaseUrl: String
        var plc: String?

        func write(to path: String) throws {
            try JSONEncoder().encode(self).write(to: URL(fileURLWithPath: path))
        }
    }

    /// - Parameter metered: the database that is reached through proxies, if any.
    private static func withWays(
        _ kinds: [Kind], to device: SimulatedPLC, _ metered: PostgresConfiguration?, _ directory: String,
        _ address: String, _ made: [Kind: Way] = [:], _ body: @Sendable ([Kind: Way]) async throws -> Void
    ) async throws {
        guard let kind = kinds.first else { return try await body(made) }
        let controller = ModbusServer(device: device, logger: TestDatabase.quiet)
        let plc = "127.0.0.1:\(try await controller.start())"
        @Sendable func goOn(_ proxy: FaultProxy?, _ address: String) async throws {
            try Settings(databaseUrl: address, plc: plc).write(to: "\(directory)/\(kind.rawValue).json")
            var ways = made
            ways[kind] = Way(controller: controller, proxy: proxy)
            try await withWays(Array(kinds.dropFirst()), to: device, metered, directory, address, ways, body)
        }
        try await withCleanup {
            guard let metered else { return try await goOn(nil, address) }
            try await ProxiedDatabase.run(before: metered) { proxy, proxied in
                try await goOn(proxy, ProxiedDatabase.connectionString(of: proxied) + " sslmode=disable")
            }
        } cleanup: {
            await controller.stop()
        }
    }

    private func begin() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for kind in Kind.allCases { group.addTask { try await terminals.start(kind) } }
            try await group.waitForAll()
        }
        try await eventually("Terminal 1 records", within: .seconds(60)) {
            try await TestDatabase.number("SELECT count(*) FROM ald.ingest_batches", database) > 0
        }
    }

    /// What Terminal 1 says of itself at its end.
    private static func note(_ run: ScenarioRun, _ ended: [TerminalProcesses.Ended]) throws {
        for collector in ended where collector.kind == .collect {
            let summary = try AldProcess.summary(of: collector.result)
            run.note("cycles", count: summary.cycles)
            run.note("missed instants", count: summary.missedLate + summary.missedPlc + summary.missedSpool)
            run.note("cycle p99", summary.cycleTimeSeconds.p99, .seconds)
            run.note("unbalanced accounts", count: summary.isBalanced ? 0 : 1)
        }
    }

    // MARK: What somebody asks for

    /// Enters a command.
    ///
    /// - Returns: its trace.
    @discardableResult func ask(
        _ value: Double, of parameter: ParameterID, _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> UUID {
        let trace = UUID()
        _ = try await connection.query(
            "SELECT ald.request_parameter_command($1, $2, $3, $4, 30, 'benchmark', '')",
            [.int4(Self.machine), .uuid(trace), .int4(parameter.rawValue), .float8(value)], deadline: deadline)
        return trace
    }

    func store(_ recipe: Recipe) async throws -> RecipeStore.Version {
        try await TestDatabase.withConnection(database) {
            try await RecipeStore(machine: Self.machine).store(recipe, author: "bench", on: $0, deadline: $1).version
        }
    }

    /// Enters the command that starts a recipe.
    ///
    /// - Returns: its number.
    func start(_ recipe: RecipeStore.Version) async throws -> Int64 {
        Int64(
            try await TestDatabase.number(
                """
                SELECT ald.request_recipe_command(1, gen_random_uuid(), 'start', \(recipe.recipe), \(recipe.version),
                    NULL, 60, 'operator', 'because')
                """, database))
    }

    /// Runs `ald` with these words as somebody outside would.
    ///
    /// - Returns: what it has written.
    func outside(_ words: [String]) async throws -> String {
        let result = try await station.command(words + ["--config", settings])
        guard result.exitCode == 0 else {
            throw NeverHappened(description: "ald \(words.joined(separator: " ")): \(result.transcript)")
        }
        return result.output.joined(separator: "\n")
    }

    // MARK: What is seen of it

    /// Switches that are read where they are written: a reading says at once what was asked for.
    var switches: [Parameter] {
        map.parameters.filter { $0.dataType == .binary && $0.writeLocation == $0.readLocation && !isValve($0) }
    }

    private func isValve(_ parameter: Parameter) -> Bool { parameter.name == "valve_state" }

    /// Waits until Terminal 1 has recorded this value in a reading that began later than `instant`.
    func waitForRecord(of value: Double, _ parameter: ParameterID, after instant: Timestamp) async throws {
        try await TestDatabase.withConnection(database) { connection, deadline in
            // In less time than the connection has: who waits in vain says for what.
            try await eventually("parameter \(parameter) is recorded as \(value)", within: .seconds(25)) {
                try await connection.query(
                    """
                    SELECT FROM ald.parameter_value_history
                    WHERE machine_id = $1 AND parameter_id = $2 AND sampled_at > $3 AND value = $4 LIMIT 1
                    """,
                    [.int4(Self.machine), .int4(parameter.rawValue), .timestamptz(instant), .float8(value)],
                    deadline: deadline
                ).first != nil
            }
        }
    }

    /// Waits until the machine has been given this value, not before `instant`.
    ///
    /// - Returns: when it was.
    func waitForWrite(
        of value: Double, to parameter: ParameterID, after instant: MonotonicInstant
    ) async throws -> MonotonicInstant {
        var found: MonotonicInstant?
        try await eventually("\(parameter) is written as \(value)") {
            found = log.writes.first { $0.at >= instant && $0.parameter == parameter && $0.value == value }?.at
            return found != nil
        }
        guard let found else { throw NeverHappened(description: "\(parameter) was not written") }
        return found
    }
}
