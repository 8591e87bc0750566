import ALDCore
import ALDTestKit
import ArgumentParser
import Foundation

struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Run the three terminals for hours in virtual time while everything goes wrong.",
        discussion: """
            The real collection, spool and writer, and the real execution of recipes
            and parameter commands that operators ask for, before a simulated
            controller, network, disk and database, in one thread and in virtual time:
            a day takes seconds. Which faults come, when and how badly, is drawn from
            the seed; the same seed gives the same run, step by step, as the digest
            shows.

            While the faults last no record may be lost, doubled or changed, no
            command written twice, after its deadline or out of turn, no two valves
            open that exclude each other, and none while no recipe runs. Then
            everything is healed: within 30 virtual seconds controller and database
            have to be reached again, and within two minutes all that was accepted has
            to be in the database, and every command and every run to have an end.

            EXAMPLES
              ald simulate                           a day with faults, some seed
              ald simulate --seed 42 --hours 1       the same hour again
              ald simulate --hours 1 --runs 1000     a thousand hours, each of another seed
              ald simulate --faults crash,callsLost  only these, as often as may be
              ald simulate --faults none             a day on which nothing happens
              ald simulate --seed 42 --files         that day without full disks, in files of SQLite

            EXIT STATUS
              0   every promise was kept
              1   a promise was broken: the lines say which, and the seed replays it
              2   nothing was broken, but a planned fault never had an effect, or not the one
                  it is there for: a full disk for which the spool never refused anything
              130 interrupted by Ctrl-C or a signal: the closing line counts what had ended
            """)

    @Option(help: "Replays this run.")
    var seed: UInt64?

    @Option(help: ArgumentHelp("Virtual hours of each run (24).", valueName: "number"))
    var hours = 24.0

    @Option(help: ArgumentHelp("How many runs, of seeds one after the other (1).", valueName: "number"))
    var runs: UInt64 = 1

    @Option(help: ArgumentHelp("Parameters of the machine (10).", valueName: "number"))
    var parameters = 10

    @Option(
        help: ArgumentHelp(
            "`all` (drawn from the seed), `none`, or names: "
                + WorldFault.Kind.allCases.map(\.rawValue).joined(separator: ", ") + ".", valueName: "list"))
    var faults = "all"

    @Flag(help: "Print what happened, with virtual milliseconds.")
    var trace = false

    @Flag(
        help: "Keep the spool in real files, not on a simulated disk: slower, with SQLite in it, and without diskFull.")
    var files = false

    @Flag(help: "Write one JSON object per run.")
    var json = false

    func validate() throws {
        if !(hours > 0 && hours <= 24 * 366) {
            throw ValidationError("--hours is \(hours); allowed is up to a year, 8784")
        }
        if runs == 0 { throw ValidationError("--runs must be at least 1") }
        if !GeneratedMachine.sizes.contains(parameters) {
            throw ValidationError(
                "--parameters is \(parameters); a machine has \(GeneratedMachine.sizes.lowerBound) to "
                    + "\(GeneratedMachine.sizes.upperBound)")
        }
        if files, faults != "all", try kinds().contains(.diskFull) {
            throw ValidationError("diskFull fills the simulated disk: leave out --files or diskFull")
        }
        _ = try kinds()
    }

    private func kinds() throws -> [WorldFault.Kind] {
        switch faults {
        case "all": return WorldFault.Kind.allCases
        case "none": return []
        default:
            return try faults.split(separator: ",", omittingEmptySubsequences: false).map { name in
                if name.isEmpty {
                    throw ValidationError(
                        "--faults is “\(faults)”, in which a name is missing; write names with a comma between, or `none`"
                    )
                }
                guard let kind = WorldFault.Kind(rawValue: String(name)) else {
                    throw ValidationError("there is no fault called \(name); `ald simulate --help` names them")
                }
                return kind
            }
        }
    }

    func run() async throws {
        try await reportingFailures {
            let first = seed ?? UInt64.random(in: 0...(.max / 2))
            let commit = await Repository.commit()
            let tally = try await cancelledBySignals {
                // Before it runs: whatever happens, this replays it. And where signals are heard: who has read it may
                // end the program.
                StandardStream.error.write("\(opening(first))\ncommit: \(commit ?? "unknown, there is no checkout")\n")
                return try await simulateAll(from: first, commit)
            }
            if runs > 1 {
                let line = tally.text(of: runs)
                if json { StandardStream.error.write("\(line)\n") } else { try LineOutput.write(line) }
            } else if tally.isInterrupted {
                StandardStream.error.write("ald: interrupted before the run ended\n")
            }
            if let exit = tally.exit { throw exit }
        }
    }

    /// What is run, as one could ask for it again.
    private func opening(_ first: UInt64) -> String {
        var line = "again: ald simulate --seed \(first) --hours \(String(format: "%.15g", hours))"
        if runs > 1 { line += " --runs \(runs)" }
        return line + " --parameters \(parameters) --faults \(faults)" + (files ? " --files" : "")
    }

    private func simulateAll(from first: UInt64, _ commit: String?) async throws -> SimulationTally {
        var tally = SimulationTally()
        for number in 0..<runs {
            // A run holds its thread: here the task of the signals has its turn, also on a single processor.
            await Task.yield()
            do {
                try Task.checkCancellation()
                let started = SystemTime().now
                let report = try simulate(seed: first &+ number)
                let outcome = SimulationOutcome(report, commit, took: SystemTime().now - started)
                if json {
                    try LineOutput.write(json: outcome)
                } else {
                    for line in report.trace { try LineOutput.write(line) }
                    try LineOutput.write(text: runs == 1 ? outcome.text() : outcome.line())
                }
                tally.add(report)
            } catch is CancellationError {
                tally.isInterrupted = true
                break
            }
        }
        return tally
    }

    private func simulate(seed: UInt64) throws -> MachineDay.Report {
        var configuration = MachineDay.Configuration()
        configuration.length = .milliseconds(Int64(hours * 3_600_000))
        configuration.parameters = parameters
        configuration.kinds = try kinds()
        configuration.isSwarm = faults == "all"
        configuration.keepsTrace = trace
        configuration.keepsFiles = files
        return try MachineDay.run(seed: seed, configuration)
    }
}

/// One run of `ald simulate`, for people and for programs.
struct SimulationOutcome: Encodable {
    var seed: UInt64
    /// Of the checkout; `nil` without one.
    var commit: String?
    var digest: String
    var verdict: String
    var virtualSeconds: Double
    var realSeconds: Double
    var jobs: Int
    var lives: Int
    var cycles: Int
    var missed: Int
    var accepted: Int
    var landed: Int
    var deadLetters: Int
    var givenUp: Int
    var commands: Int
    var commandEnds: [String: Int]
    var runs: Int
    var runEnds: [String: Int]
    var healedAfterSeconds: Double?
    var faults: [String: Int]
    var toothless: [String]
    var reached: [String]
    var unreached: [String]
    var problems: [String]

    init(_ report: MachineDay.Report, _ commit: String?, took: Duration) {
        seed = report.seed
        self.commit = commit
        digest = "\(report.digest)"
        verdict = !report.problems.isEmpty ? "fail" : report.isProof ? "pass" : "unknown"
        virtualSeconds = report.length.inSeconds
        realSeconds = took.inSeconds
        (jobs, lives, cycles, missed) = (report.jobs, report.lives, report.cycles, report.missed)
        (accepted, landed) = (report.accepted, report.landed)
        (deadLetters, givenUp) = (report.deadLetters, report.givenUp)
        (commands, commandEnds) = (report.commands, report.commandEnds)
        (runs, runEnds) = (report.runs, report.runEnds)
        healedAfterSeconds = report.healedAfter?.inSeconds
        faults = report.bites
        toothless = report.toothless
        reached = report.reached.sorted()
        unreached = report.unreached
        problems = report.problems
    }

    func line() -> String {
        let seconds = String(format: "%.2f", realSeconds)
        return "seed \(seed)  \(verdict)  \(TextTable.grouped(accepted)) accepted  \(seconds) s  \(digest)\n"
            + problems.map { "  \($0)\n" }.joined()
    }

    func text() -> String {
        let hours = String(format: "%.4g", virtualSeconds / 3600)
        let rate = String(format: "%.0f", virtualSeconds / max(realSeconds, 0.001))
        let sign = accepted == landed ? "=" : "≠"
        var rows = [
            ("Seed", "\(seed)"),
            ("Time", "\(hours) h in \(String(format: "%.2f", realSeconds)) s, \(rate) times as fast"),
            ("Steps", TextTable.grouped(jobs)),
            ("Lives", TextTable.counted(lives, "start") + " of the process"),
            ("Cycles", "\(TextTable.grouped(cycles)) recorded, \(TextTable.grouped(missed)) missed"),
            ("Records", "\(TextTable.grouped(accepted)) accepted \(sign) \(TextTable.grouped(landed)) in the database"),
        ]
        if givenUp > 0 {
            rows.append(
                ("", "\(TextTable.grouped(givenUp)) given up for want of room, had landed and were forgotten"))
        }
        if deadLetters > 0 { rows.append(("", "\(TextTable.grouped(deadLetters)) of them as dead letters")) }
        for (name, count, ends) in [("Commands", commands, commandEnds), ("Recipes", runs, runEnds)] {
            let words = ends.sorted { $0.key < $1.key }.map { "\(TextTable.grouped($0.value)) \($0.key)" }
            rows.append((name, (["\(TextTable.grouped(count)) in all"] + words).joined(separator: ", ")))
        }
        if let healedAfterSeconds {
            let seconds = String(format: "%.1f", healedAfterSeconds)
            rows.append(("Healed", "everything had landed and ended \(seconds) s after the last fault"))
        }
        for (index, fault) in faults.sorted(by: { $0.key < $1.key }).enumerated() {
            rows.append((index == 0 ? "Faults" : "", "\(fault.key): \(TextTable.counted(fault.value, "time"))"))
        }
        for (index, state) in reached.enumerated() { rows.append((index == 0 ? "Reached" : "", state)) }
        for (index, state) in unreached.enumerated() { rows.append((index == 0 ? "Never" : "", state)) }
        for (index, name) in toothless.enumerated() { rows.append((index == 0 ? "No effect" : "", name)) }
        for (index, problem) in problems.enumerated() { rows.append((index == 0 ? "BROKEN" : "", problem)) }
        rows.append(("Verdict", verdict))
        rows.append(("Digest", digest))
        return TextTable.labelled(rows)
    }
}
