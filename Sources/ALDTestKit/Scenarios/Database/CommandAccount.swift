import ALDCore
import Synchronization

/// What has become of the commands of channels, beside what was asked for and what the machines were told. It compares
/// them target by target: a command that is lost and one that is carried out twice do not make up for each other.
struct CommandAccount: Sendable {
    /// What a command asks for. Those that are asked for one after the other differ in it.
    struct Target: Hashable, Sendable {
        var machine: Int32
        var parameter: Int32
        var value: Double
    }

    /// One row of the table.
    struct Command: Sendable {
        var target: Target
        var status: String
        /// From its insertion to its end; `nil` before.
        var total: Duration?
        /// Whether its deadline was over when it ended.
        var isLate = false
        /// Of many that came at once, more than can be carried out in time.
        var isOfBurst = false
        var error: String?

        var isOpen: Bool { total == nil }
        var hasSucceeded: Bool { status == "succeeded" }
        /// Not begun in time, or given out in the last moment and over when it was there: the machine has not been told.
        private var isTooLate: Bool {
            status == "expired" || status == "failed" && error == ParameterCommandMachine.notReached
        }
        /// A burst may be too much to be begun in time.
        var hasFailed: Bool { !isOpen && !hasSucceeded && !(isOfBurst && isTooLate) }
    }

    /// Commands whose insertion the database has confirmed.
    var asked: Int
    /// Those that it has.
    var commands: [Command]
    /// What the terminals say that they have begun.
    var taken: Int
    /// How often the machines were told what; `nil` where nobody counts it.
    var writes: [Target: Int]?
    /// Whether terminals are told to end while commands come.
    var terminalsEnd = false

    /// Those that are not in the table, have not ended, or have succeeded there and never reached their machine.
    var lost: Int {
        let unwritten = compare { succeeded, _, written in succeeded - written }
        return max(0, asked - commands.count) + commands.count(where: \.isOpen) + unwritten
    }

    /// What the machines were told more often than anybody has asked for it, or the terminals have begun.
    var doubled: Int { max(taken - commands.count, compare { _, commands, written in written - commands }) }

    /// Taken by a terminal that was just told to end: whoever asked knows that the machine was not reached, and it was not.
    private func isTurnedAway(_ command: Command) -> Bool {
        command.status == "failed" && command.error == ParameterCommandMachine.shutDown
            && writes?[command.target] == nil
    }

    private func compare(_ excess: (_ succeeded: Int, _ commands: Int, _ written: Int) -> Int) -> Int {
        guard let writes else { return 0 }
        let byTarget = Dictionary(grouping: commands, by: \.target)
        return Set(writes.keys).union(byTarget.keys).reduce(0) { sum, target in
            let commands = byTarget[target] ?? []
            return sum + max(0, excess(commands.count(where: \.hasSucceeded), commands.count, writes[target] ?? 0))
        }
    }

    func note(_ run: ScenarioRun) {
        run.note("events", count: commands.count)
        run.note("events lost", count: lost)
        run.note("events doubled", count: doubled)
        let turnedAway = terminalsEnd ? commands.count(where: isTurnedAway) : 0
        run.note("events failed", count: commands.count(where: \.hasFailed) - turnedAway)
        if terminalsEnd { run.note("events turned away", count: turnedAway) }
        // How late those of a burst are says how large it is.
        run.note("events late", count: commands.count { $0.isLate && !$0.isOfBurst })
        for problem in Set(commands.compactMap { command in command.error.map { "\(command.status): \($0)" } }).sorted()
        {
            run.say(problem)
        }
        var total = DurationHistogram()
        for command in commands where command.hasSucceeded && !command.isOfBurst {
            if let took = command.total { total.record(took) }
        }
        run.note("inserted to finalised", total)
    }
}

extension CommandAccount {
    /// As the table and those who saw the commands tell it.
    ///
    /// - Parameter paced: with higher numbers than this commands are of a burst; `nil` without one.
    init(
        of terminals: [CommandChannel.Terminal], paced: Int? = nil, in database: PostgresConfiguration
    ) async throws {
        asked = terminals.reduce(0) { $0 + $1.witness.asked }
        taken = terminals.reduce(0) { $0 + $1.service.statistics.taken }
        writes = nil
        for terminal in terminals {
            if let written = terminal.witness.writes { writes = (writes ?? [:]).merging(written, uniquingKeysWith: +) }
        }
        commands = try await Self.commands(paced: paced, in: database)
    }

    /// All that the table has.
    ///
    /// - Parameter paced: with higher numbers than this commands are of a burst; `nil` without one.
    static func commands(paced: Int? = nil, in database: PostgresConfiguration) async throws -> [Command] {
        try await TestDatabase.withConnection(database) { connection, deadline in
            try await connection.query(
                """
                SELECT machine_id, parameter_id, target_value, status, error,
                    extract(epoch FROM finished_at - created_at)::float8, coalesce(finished_at > not_after, false),
                    coalesce(command_id > $1, false)
                FROM ald.parameter_control_commands
                """, [paced.map { .int8(Int64($0)) } ?? .null], deadline: deadline
            ).map { row in
                Command(
                    target: Target(
                        machine: try row.decode(0), parameter: try row.decode(1), value: try row.decode(2)),
                    status: try row.decode(3), total: try row.decode(5, as: Double?.self).map { .seconds($0) },
                    isLate: try row.decode(6), isOfBurst: try row.decode(7), error: try row.decode(4))
            }
        }
    }
}

/// Sees which commands are asked for and which values a machine is told, whatever the tables say of them.
final class CommandWitness: Sendable {
    private let machine: Int32
    private let state: Mutex<(asked: Int, writes: [CommandAccount.Target: Int]?)>

    /// - Parameter seesMachine: whether nobody else writes to the machine.
    init(machine: Int32, seesMachine: Bool) {
        self.machine = machine
        state = Mutex((asked: 0, writes: seesMachine ? [:] : nil))
    }

    var asked: Int { state.withLock(\.asked) }
    /// `nil` when the machine is not seen.
    var writes: [CommandAccount.Target: Int]? { state.withLock(\.writes) }

    /// The database has confirmed so many insertions.
    func ask(_ count: Int) { state.withLock { $0.asked += count } }

    func watching(_ plc: any PLC) -> any PLC { WatchedPLC(plc: plc, witness: self) }

    private func write(_ value: Double, to parameter: ParameterID) {
        let target = CommandAccount.Target(machine: machine, parameter: parameter.rawValue, value: value)
        state.withLock { $0.writes?[target, default: 0] += 1 }
    }

    private struct WatchedPLC: PLC {
        let plc: any PLC
        let witness: CommandWitness

        var registerMap: RegisterMap { plc.registerMap }

        func scan(deadline: MonotonicInstant) async throws(PLCError) -> Scan { try await plc.scan(deadline: deadline) }

        func readSetPoint(of parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) -> Double {
            try await plc.readSetPoint(of: parameter, deadline: deadline)
        }

        func readSetPoints(deadline: MonotonicInstant) async throws(PLCError) -> [ParameterID: Double] {
            try await plc.readSetPoints(deadline: deadline)
        }

        func readSetPoints(
            of parameters: Set<ParameterID>, deadline: MonotonicInstant
        ) async throws(PLCError) -> [ParameterID: Double] {
            try await plc.readSetPoints(of: parameters, deadline: deadline)
        }

        func write(_ value: Double, to parameter: ParameterID, deadline: MonotonicInstant) async throws(PLCError) {
            try await plc.write(value, to: parameter, deadline: deadline)
            witness.write(value, to: parameter)
        }
    }
}
