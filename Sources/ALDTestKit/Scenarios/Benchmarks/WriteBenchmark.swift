import ALDCore
import Foundation

/// Commands from their insertion to their end: Terminal 3 of this process, a machine behind Modbus TCP, and whoever asks
/// with connections of his own.
struct WriteBenchmark: ScenarioWork {
    /// How the commands of a round are asked for, and how long a round is waited for.
    enum Asking: Sendable {
        /// So many at the same time, each over a connection of its own, until the last has its end in the table.
        case atOnce(Int)
        /// So many in one statement, until the last has its end in the table.
        case batch(Int)
        /// One, until whoever asked has seen in the table that it reads back as it should.
        case confirmed
    }

    var asking: Asking
    /// Rounds per second.
    var rate: Double

    var unheeded: [RunOption: String] {
        if case .confirmed = asking { [.scale: "whoever waits for a confirmation asks for one command"] } else { [:] }
    }

    func run(_ run: ScenarioRun) async throws {
        let map = try GeneratedMachine.registerMap(parameters: 100, seed: run.seed)
        try await run.host.withDatabase { database in
            try await ControllerWay.wired.with(map, seed: run.seed) { bench in
                try await bench.withClient { plc in
                    let channel = CommandChannel(rate: rate, executesOn: plc)
                    try await channel.serve(map, run, database, through: database) { terminals in
                        try await ask(run, map, terminals[0], database)
                        try await CommandStages.note(run, database)
                    }
                }
            }
        }
    }

    private func commands(_ run: ScenarioRun) -> Int {
        switch asking {
        case .atOnce(let count), .batch(let count): run.scaled(count)
        case .confirmed: 1
        }
    }

    private func ask(
        _ run: ScenarioRun, _ map: RegisterMap, _ terminal: CommandChannel.Terminal, _ database: PostgresConfiguration
    ) async throws {
        var configuration = PoolConfiguration()
        configuration.maximumConnections = 10
        let pool = try ConnectionPool(configuration: database, pool: configuration, logger: TestDatabase.quiet)
        let targets = Targets(map)
        let count = commands(run)
        let report = try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            // The first command opens connections and prepares statements.
            try await WriteDesk(pool: pool, terminal: terminal, deadline: run.patience).askAndSee(targets[0])
            // One round after the other: what is measured is one, and not how they meet.
            let load = OpenLoop(rate: rate, duration: run.duration, clients: 1)
            let report = try await load.run { _, number in
                let desk = WriteDesk(pool: pool, terminal: terminal, deadline: run.patience)
                let commands = (0..<count).map { targets[number * count + $0 + 1] }
                switch asking {
                case .atOnce: try await desk.ask(atOnce: commands)
                case .batch: try await desk.ask(inOne: commands)
                case .confirmed: return try await desk.askAndSee(commands[0])
                }
                try await desk.waitForEnd(of: (number + 1) * count + 1)
            }
            group.cancelAll()
            try await group.waitForAll()
            return report
        }
        run.note("round", report)
        run.note("commands per round", count: count)
        let missing = report.due * count + 1 - (try await TestDatabase.number(Self.all, database))
        // A command that was never asked for shows nothing.
        if missing > 0 { run.doubt("\(missing) commands were not asked for") }
    }

    private static let all = "SELECT count(*) FROM ald.parameter_control_commands"

    /// A value for each command, other than the one before for the same parameter.
    private struct Targets: Sendable {
        private let parameters: [Parameter]

        init(_ map: RegisterMap) {
            parameters = map.parameters.filter { $0.isWritable && $0.dataType == .float32 }
        }

        subscript(number: Int) -> (parameter: Int32, value: Double) {
            let parameter = parameters[number % parameters.count]
            let part = Double(number / parameters.count % 16 + 1) / 32
            let range = parameter.range
            return (
                parameter.id.rawValue, range.lowerBound + (range.upperBound - range.lowerBound) * part
            )
        }
    }
}

/// Whoever asks for commands, for one round.
private struct WriteDesk: Sendable {
    typealias Command = (parameter: Int32, value: Double)

    let pool: ConnectionPool
    let terminal: CommandChannel.Terminal
    let deadline: MonotonicInstant

    func ask(atOnce commands: [Command]) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for command in commands { group.addTask { _ = try await ask(command) } }
            try await group.waitForAll()
        }
    }

    func ask(inOne commands: [Command]) async throws {
        try await pool.withConnection(holder: "asker", lane: .reader, deadline: deadline) { connection in
            _ = try await connection.query(
                """
                INSERT INTO ald.parameter_control_commands (machine_id, parameter_id, target_value)
                SELECT $1, u.* FROM unnest($2::int[], $3::float8[]) u
                """,
                [
                    .int4(terminal.machine), .int4Array(commands.map(\.parameter)), .float8Array(commands.map(\.value)),
                ], deadline: deadline)
        }
    }

    /// - Returns: the trace of the command.
    private func ask(_ command: Command) async throws -> UUID {
        let trace = UUID()
        try await pool.withConnection(holder: "asker", lane: .reader, deadline: deadline) { connection in
            _ = try await connection.query(
                "SELECT ald.request_parameter_command($1, $2, $3, $4, 30, 'benchmark', '')",
                [.int4(terminal.machine), .uuid(trace), .int4(command.parameter), .float8(command.value)],
                deadline: deadline)
        }
        return trace
    }

    /// By the terminal's own count: whoever asks the database again and again takes what the commands need.
    func waitForEnd(of count: Int) async throws {
        try await eventually("\(count) commands have ended") {
            let statistics = terminal.service.statistics
            return statistics.succeeded + statistics.failed + statistics.unknown >= count && statistics.unnoted == 0
        }
    }

    /// Looks into the table until the command has ended, as `ald command set --wait` does.
    func askAndSee(_ command: Command) async throws {
        let trace = try await ask(command)
        try await pool.withConnection(holder: "asker", lane: .reader, deadline: deadline) { connection in
            var end: (status: String, actual: Double?)?
            try await eventually("the command has ended") {
                let row = try await connection.query(
                    """
                    SELECT status, actual_value FROM ald.parameter_command_traces
                    WHERE machine_id = $1 AND trace_id = $2 AND finalised_at IS NOT NULL
                    """, [.int4(terminal.machine), .uuid(trace)], deadline: deadline
                ).first
                end = try row.map { (try $0.decode(0), try $0.decode(1)) }
                return end != nil
            }
            guard let end, end.status == "succeeded", let actual = end.actual else {
                throw NeverHappened(description: "the write was not confirmed: \(end?.status ?? "no end")")
            }
            // A machine keeps 32 bits of it.
            guard abs(actual - command.value) <= abs(command.value) * 1e-6 else {
                throw NeverHappened(description: "asked for \(command.value), confirmed \(actual)")
            }
        }
    }
}
