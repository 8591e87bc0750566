import ALDCore
import Foundation

extension ProcessAccount {
    /// - Parameters:
    ///   - asked: commands whose insertion the database has confirmed.
    ///   - endsAtWork: whether terminals were told to end while commands came.
    init(
        _ ended: [TerminalProcesses.Ended], asked: Int, endsAtWork: Bool, database: PostgresConfiguration,
        station: AldProcess,
        log: MachineLog, map: RegisterMap
    ) async throws {
        commands = try await Self.commands(asked, database, log, map)
        commands.terminalsEnd = endsAtWork
        verified = [:]
        for spool in ["spool", "recipe-spool"] { verified[spool] = try await Self.verify(spool, of: station) }
        holes = try await RecordingHoles.unexplained(
            longerThan: ProcessPlant.period * 2, everyInstantOf: ProcessPlant.period, in: database)
        (pulses, isValveOpen) = log.pulses(of: try map.parameter(named: ProcessPlant.valve).id)
        killed = Dictionary(ended.filter(\.wasKilled).map { ($0.kind, 1) }, uniquingKeysWith: +)
        crashed = try await Self.crashes(database)
        collected = try ended.filter { $0.kind == .collect && !$0.wasKilled }.map {
            let summary = try AldProcess.summary(of: $0.result)
            return Collected(
                cycles: summary.cycles, missed: summary.missedLate + summary.missedPlc + summary.missedSpool,
                isBalanced: summary.isBalanced)
        }
    }

    private static func commands(
        _ asked: Int, _ database: PostgresConfiguration, _ log: MachineLog, _ map: RegisterMap
    ) async throws -> CommandAccount {
        let commanded = Set(ProcessPlant.commanded(of: map).map(\.id))
        let writes = log.writes.filter { commanded.contains($0.parameter) }.map { write in
            let target = CommandAccount.Target(
                machine: ProcessPlant.machine, parameter: write.parameter.rawValue, value: write.value)
            return (target, 1)
        }
        let commands = try await CommandAccount.commands(in: database)
        // What the processes have begun is known by what the machine was told.
        return CommandAccount(
            asked: asked, commands: commands, taken: commands.count,
            writes: Dictionary(writes, uniquingKeysWith: +))
    }

    private static func verify(_ spool: String, of station: AldProcess) async throws -> Verified {
        let directory = station.dataDirectory + "/" + spool
        let verified = try await station.command(["verify", "--from", "6h", "--json", "--spool", directory])
        guard verified.errors.isEmpty else {
            throw NeverHappened(description: "ald verify: \(verified.transcript)")
        }
        return try JSONDecoder().decode(Verified.self, from: Data(verified.output.joined(separator: "\n").utf8))
    }

    private static func crashes(_ database: PostgresConfiguration) async throws -> [Kind: Int] {
        let terminals = try await TestDatabase.withConnection(database) { connection, deadline in
            try await connection.query(
                "SELECT terminal FROM ald.terminal_instances WHERE status = 'crashed'", deadline: deadline
            ).map { try $0.decode(0, as: String.self) }
        }
        return Dictionary(
            terminals.compactMap { Terminal(rawValue: $0).flatMap { Kind(rawValue: $0.service) } }.map { ($0, 1) },
            uniquingKeysWith: +)
    }
}
