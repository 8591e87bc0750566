import ALDCore

/// What is left of a ``ProcessPlant`` when every process has ended, in the database, on disk and at the machine, and what
/// is concluded from it.
struct ProcessAccount: Sendable {
    typealias Kind = TerminalProcesses.Kind

    /// What `ald verify --json` says of a spool and the database.
    struct Verified: Sendable, Decodable {
        struct Finding: Sendable, Decodable {
            var kind: String
            var detail: String
        }

        struct Machine: Sendable, Decodable {
            var spooled: Int?
            var readings_found: Int
            var gaps: Int
            var finding_counts: [String: Int]
            var findings: [Finding]
            var not_proved: [String]
        }

        var machines: [Machine]
    }

    /// What a collector says when it ends in order.
    struct Collected: Sendable {
        var cycles: Int
        var missed: Int
        var isBalanced: Bool
    }

    var commands: CommandAccount
    /// By the name of the spool.
    var verified: [String: Verified]
    /// Stretches without readings that no gap record explains.
    var holes: Int
    /// Of the valve, as the machine has seen it.
    var pulses: [MachineLog.Pulse]
    var isValveOpen: Bool
    /// Processes that were killed, and those that the registry says have crashed.
    var killed: [Kind: Int]
    var crashed: [Kind: Int]
    var collected: [Collected]

    /// Crashes that the registry does not know, and those that it has made up. Terminal by terminal: one of each do not
    /// make up for each other.
    var crashesWithoutRecord: Int {
        Kind.allCases.reduce(0) { $0 + abs(killed[$1, default: 0] - crashed[$1, default: 0]) }
    }

    func note(_ run: ScenarioRun) {
        commands.note(run)
        noteRecords(run)
        run.note("valves left open", count: isValveOpen ? 1 : 0)
        run.note("pulses", count: pulses.count)
        run.note("pulse", pulses.reduce(into: DurationHistogram()) { $0.record($1.length) })
        run.note("crashes without a record", count: crashesWithoutRecord)
        run.note("cycles", count: collected.reduce(0) { $0 + $1.cycles })
        run.note("missed instants", count: collected.reduce(0) { $0 + $1.missed })
        run.note("unbalanced accounts", count: collected.count { !$0.isBalanced })
        run.sometimes("a collector has ended in order and given account", !collected.isEmpty)
    }

    private func noteRecords(_ run: ScenarioRun) {
        var problems = 0
        for (spool, report) in verified.sorted(by: { $0.key < $1.key }) {
            run.sometimes("the \(spool) was verified", !report.machines.isEmpty)
            for machine in report.machines {
                // What has not landed waits on this disk and is counted there.
                problems += machine.finding_counts.values.reduce(0, +)
                for doubt in machine.not_proved { run.doubt("\(spool): \(doubt)") }
                for finding in machine.findings { run.say("\(finding.kind): \(finding.detail)") }
            }
            run.note("records in the \(spool)", count: report.machines.reduce(0) { $0 + ($1.spooled ?? 0) })
        }
        let machines = verified.values.flatMap(\.machines)
        let readings = machines.map(\.readings_found).max() ?? 0
        run.note("readings", count: readings)
        run.sometimes("readings were verified", readings > 0)
        run.note("gap records", count: machines.map(\.gaps).max() ?? 0)
        run.note("lost or doubled", count: problems)
        run.note("violations without a record", count: holes)
    }
}
