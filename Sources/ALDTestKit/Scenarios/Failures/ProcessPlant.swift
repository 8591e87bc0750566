import ALDCore
import Foundation
import Modbus

/// A machine as a laboratory has it, for scenarios: a database, a controller that is reached over Modbus TCP, and each
/// terminal a process of its own. Commands are asked for all the time, and a recipe pulses a valve.
struct ProcessPlant: Sendable {
    /// Past whatever is done to the way of the terminals.
    let database: PostgresConfiguration
    let map: RegisterMap
    let log: MachineLog
    let station: AldProcess
    let terminals: TerminalProcesses
    let controller: ModbusServer
    let controllerPort: Int
    private let witness: CommandWitness

    static let machine: Int32 = 1
    static let period: Duration = .milliseconds(200)
    /// How long the recipe has the valve open, and how long it waits in between.
    static let pulse: Duration = .milliseconds(100)
    /// Commands a second.
    static let rate = 4.0
    /// What whoever asks for them is called by the database.
    static let asker = "ald.asker"

    /// Runs `body` with all three terminals at work, then ends them in order.
    ///
    /// - Parameters:
    ///   - address: of the database, for the terminals.
    ///   - arguments: further ones of each terminal.
    ///   - environment: of the terminals, beside what every station has.
    ///   - namespace: where they run; `nil`: where this process does.
    /// - Returns: every process there was.
    static func run(
        _ run: ScenarioRun, database: PostgresConfiguration, address: String, in namespace: NetworkNamespace? = nil,
        arguments: [String] = [], environment: [String: String] = [:], endsAtWork: Bool = false,
        _ body: @Sendable (ProcessPlant) async throws -> Void
    ) async throws -> [TerminalProcesses.Ended] {
        let map = try Machine51.map()
        let log = MachineLog()
        let witness = CommandWitness(machine: machine, seesMachine: false)
        let device = SimulatedPLC(map, seed: run.seed) { log.note($0, $1) }
        let server = ModbusServer(device: device, logger: TestDatabase.quiet)
        // The socket stays where it was made.
        let port =
            if let namespace { try await namespace.inside { try await server.start() } } else {
                try await server.start()
            }
        return try await withCleanup {
            try await withTemporaryDirectory(in: run.host.directory()) { directory in
                var station = AldProcess(
                    dataDirectory: directory + "/data", machine: try Machine51.write(in: directory))
                for (name, value) in environment { station.environment[name] = value }
                station.environment["ALD_DATABASE_URL"] = address
                station.environment["ALD_PLC"] = "127.0.0.1:\(port)"
                station.prefix = namespace?.prefix ?? []
                let made = station
                let pace = ["--period", "\(Int(period.inSeconds * 1000))ms"]
                let words = [
                    TerminalProcesses.Kind.collect: arguments + pace, .recipes: arguments, .commands: arguments,
                ]
                let ended = try await TerminalProcesses.run(made, arguments: words) { terminals in
                    let plant = ProcessPlant(
                        database: database, map: map, log: log, station: made, terminals: terminals,
                        controller: server, controllerPort: port, witness: witness)
                    // Terminal 1 enters the machine; the others need it.
                    for kind in TerminalProcesses.Kind.allCases { try await terminals.start(kind) }
                    try await plant.importRecipe(directory)
                    try await plant.startRecipe()
                    try await body(plant)
                    try await plant.settle(run)
                }
                try await ProcessAccount(
                    ended, asked: witness.asked, endsAtWork: endsAtWork, database: database, station: made, log: log,
                    map: map
                ).note(run)
                return ended
            }
        } cleanup: {
            await server.stop()
        }
    }

    // MARK: Recipes

    private func importRecipe(_ directory: String) async throws {
        let file = directory + "/pulses.yaml"
        let text = """
            recipe: Pulses
            steps:
              - loop: 100000
                steps:
                  - valve: \(Self.valve)
                    open: \(Int(Self.pulse.inSeconds * 1000))ms
                  - wait: \(Int(Self.pulse.inSeconds * 1000))ms

            """
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        try await command(["recipe", "import", file, "--machine", station.machine])
    }

    /// Asks for the recipe, and waits until it pulses.
    func startRecipe() async throws {
        try await reached("the machine is idle") {
            try await TestDatabase.number(
                "SELECT count(*) FROM ald.machine_state WHERE status = 'idle'", database) == 1
        }
        let before = try pulses.count
        try await command(["recipe", "start", "Pulses", "--machine", station.machine])
        try await reached("the recipe pulses") { try pulses.count > before }
    }

    /// Whether the recipe has failed, and the machine waits for somebody to say that the cause is gone.
    func isInError() async throws -> Bool {
        try await TestDatabase.number("SELECT count(*) FROM ald.machine_state WHERE status = 'error'", database) == 1
    }

    /// Says that the cause is gone, and starts the recipe again.
    func clearAndRestart() async throws {
        try await command(["recipe", "clear", "--reason", "the network is whole", "--machine", station.machine])
        try await startRecipe()
    }

    /// Runs of the recipe of which this holds.
    func processes(_ condition: String) async throws -> Int {
        try await TestDatabase.number("SELECT count(*) FROM ald.process_executions WHERE \(condition)", database)
    }

    static let valve = "Valve 1.valve_state"

    var pulses: [MachineLog.Pulse] {
        get throws { log.pulses(of: try map.parameter(named: Self.valve).id).complete }
    }

    private func command(_ words: [String]) async throws {
        let result = try await station.command(words)
        guard result.exitCode == 0 else {
            throw NeverHappened(description: "ald \(words.joined(separator: " ")): \(result.transcript)")
        }
    }

    // MARK: Commands

    /// What commands write to: numbers in which no two values are the same, and nothing that the recipe uses.
    static func commanded(of map: RegisterMap) -> [Parameter] {
        map.parameters.filter { $0.isWritable && $0.dataType == .float32 }
    }

    /// Has commands asked for at ``rate`` for so long, past the way of the terminals, and `body` run meanwhile.
    func whileCommanding(_ run: ScenarioRun, for duration: Duration, _ body: () async throws -> Void) async throws {
        let parameters = Self.commanded(of: map)
        let load = OpenLoop(rate: Self.rate * run.scale, duration: duration, clients: 2)
        let before = try await commands("true")
        let asker = database.withApplicationName(Self.asker)
        try await withThrowingTaskGroup(of: OpenLoop.Report.self) { group in
            group.addTask {
                try await load.run { _, index in
                    // Each command of the run has a value of its own.
                    let number = before + index
                    let parameter = parameters[number % parameters.count]
                    let range = parameter.range
                    // As a register holds it, so that what the machine was told is the same number.
                    let part = Double(number + 1) / 1_000_003
                    let value = Double(Float(range.lowerBound + (range.upperBound - range.lowerBound) * part))
                    try await TestDatabase.withConnection(asker) { connection, deadline in
                        _ = try await connection.query(
                            """
                            INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value)
                            VALUES ($1, $2, $3)
                            """, [.int4(Self.machine), .int4(parameter.id.rawValue), .float8(value)],
                            deadline: deadline)
                    }
                    witness.ask(1)
                }
            }
            try await body()
            for try await report in group { run.note("command insertion", report) }
        }
    }

    /// Waits until every command has ended, unless one never does: then the account says so.
    private func settle(_ run: ScenarioRun) async throws {
        do {
            try await eventually("every command has ended", within: .seconds(60)) {
                try await commands("finished_at IS NULL") == 0
            }
        } catch let problem as NeverHappened {
            run.say("\(problem)")
        }
    }

    /// Waits until every terminal has done more than `before`, and no command waits any more.
    ///
    /// - Parameter clearing: whether a recipe that has failed is started again.
    func everybodyWorks(since before: ProcessWork, clearing: Bool = false) async throws {
        try await reached("everybody works") {
            if clearing, try await isInError() { try await clearAndRestart() }
            let done = try await ProcessWork(of: self) - before
            let waiting = try await commands("finished_at IS NULL")
            return done.instants > 2 && done.pulses > 0 && waiting == 0
        }
    }

    /// Waits for it.
    ///
    /// - Throws: ``NeverHappened`` with all that the database says of the machine and of what it was asked for, and with
    ///   what Terminal 2 has said last.
    private func reached(_ what: String, _ condition: () async throws -> Bool) async throws {
        do {
            try await eventually(what, within: .seconds(60), condition)
        } catch {
            let states = try await TestDatabase.withConnection(database) { connection, deadline in
                try await connection.query(
                    """
                    SELECT format('process %s %s: %s', process_id, status, error) FROM ald.process_executions
                    UNION ALL SELECT format('machine %s: %s', status, failure) FROM ald.machine_state
                    UNION ALL SELECT format('recipe command %s %s: %s', command_id, status, error)
                    FROM ald.recipe_commands
                    UNION ALL SELECT format('terminal %s %s: %s', terminal, status, status_reason)
                    FROM ald.terminal_instances
                    UNION ALL SELECT format('command %s', status) FROM ald.parameter_control_commands
                    WHERE finished_at IS NULL
                    """, deadline: deadline
                ).map { try $0.decode(0, as: String.self) }
            }
            let words = terminals.child(.recipes)?.errors.suffix(10) ?? []
            throw NeverHappened(
                description: "\(error), but \(try await ProcessWork(of: self)); "
                    + (states + words).joined(separator: "; "))
        }
    }

    /// Commands of which this holds.
    func commands(_ condition: String) async throws -> Int {
        try await TestDatabase.number(
            "SELECT count(*) FROM ald.parameter_control_commands WHERE \(condition)", database)
    }

    /// Instants that Terminal 1 has recorded so far.
    func instants() async throws -> Int {
        try await TestDatabase.number(
            "SELECT count(DISTINCT sampled_at) FROM ald.parameter_value_history", database)
    }
}
