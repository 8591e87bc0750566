import ALDCore
import Foundation

/// What is left of a ``ProcessPlant`` when every process has ended: in the database, on disk and at the machine.
struct ProcessAccount: Sendable {
    let database: PostgresConfiguration
    let station: AldProcess
    let log: MachineLog
    let map: RegisterMap

    func judge(_ run: ScenarioRun, _ ended: [TerminalProcesses.Ended]) async throws {
        try await judgeCommands(run)
        try await judgeRecords(run)
        try judgePulses(run)
        let killed = ended.count(where: \.wasKilled)
        let crashes = "SELECT count(*) FROM ald.terminal_instances WHERE status = 'crashed'"
        run.note("crashes without a record", count: killed - (try await TestDatabase.number(crashes, database)))
        let summaries = try ended.filter { $0.kind == .collect && !$0.wasKilled }
            .map { try AldProcess.summary(of: $0.result) }
        run.note("cycles", count: summaries.reduce(0) { $0 + $1.cycles })
        run.note("missed instants", count: summaries.reduce(0) { $0 + $1.missedLate + $1.missedPlc + $1.missedSpool })
        run.note("unbalanced accounts", count: summaries.count { !$0.isBalanced })
    }

    private func judgeCommands(_ run: ScenarioRun) async throws {
        let commands = "SELECT count(*) FROM ald.parameter_control_commands"
        run.note("events", count: try await TestDatabase.number(commands, database))
        let open = commands + " WHERE finished_at IS NULL"
        run.note("events lost", count: try await TestDatabase.number(open, database))
        let failed = commands + " WHERE finished_at IS NOT NULL AND status <> 'succeeded'"
        run.note("events failed", count: try await TestDatabase.number(failed, database))
        let parameters = Set(ProcessPlant.commanded(of: map).map(\.id))
        run.note("events doubled", count: log.repetitions(in: parameters))
    }

    // MARK: Records

    private func judgeRecords(_ run: ScenarioRun) async throws {
        var problems = 0
        for spool in ["spool", "recipe-spool"] {
            let directory = station.dataDirectory + "/" + spool
            let verified = try await station.command(["verify", "--from", "6h", "--json", "--spool", directory])
            guard verified.errors.isEmpty else {
                throw NeverHappened(description: "ald verify: \(verified.transcript)")
            }
            let report = try JSONDecoder().decode(
                Verified.self, from: Data(verified.output.joined(separator: "\n").utf8))
            for machine in report.machines {
                // What has not landed waits on this disk and is counted there.
                problems += machine.finding_counts.values.reduce(0, +)
                for doubt in machine.not_proved { run.doubt("\(spool): \(doubt)") }
                for finding in machine.findings { run.say("\(finding.kind): \(finding.detail)") }
                run.note("records in the \(spool)", count: machine.spooled ?? 0)
                run.note("readings", count: machine.readings_found)
                run.note("gap records", count: machine.gaps)
            }
        }
        run.note("lost or doubled", count: problems)
        let holes = try await RecordingHoles.unexplained(longerThan: ProcessPlant.period * 2, in: database)
        run.note("violations without a record", count: holes)
    }

    /// What `ald verify --json` writes.
    private struct Verified: Decodable {
        struct Finding: Decodable {
            var kind: String
            var detail: String
        }

        struct Machine: Decodable {
            var spooled: Int?
            var readings_found: Int
            var gaps: Int
            var finding_counts: [String: Int]
            var findings: [Finding]
            var not_proved: [String]
        }

        var machines: [Machine]
    }

    // MARK: Pulses

    /// As the machine has seen them.
    private func judgePulses(_ run: ScenarioRun) throws {
        let valve = try map.parameter(named: ProcessPlant.valve).id
        let (pulses, isOpen) = log.pulses(of: valve)
        run.note("valves left open", count: isOpen ? 1 : 0)
        run.note("pulses", count: pulses.count)
        var lengths = DurationHistogram()
        for pulse in pulses { lengths.record(pulse.length) }
        run.note("pulse", lengths)
    }
}
