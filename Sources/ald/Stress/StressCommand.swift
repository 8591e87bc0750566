import ALDCore
import ALDTestKit
import ArgumentParser
import Foundation

struct StressCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stress",
        abstract: "Run scenarios of the requirements against the real components.",
        discussion: """
            Each scenario puts the real services before a simulated machine and a private
            PostgreSQL, does what its requirement says, and is judged by its numbers. It
            runs for its short duration; ALD_SLOW=1 runs the one that the requirement asks
            for up to an hour, ALD_VERY_SLOW=1 also beyond.

            EXAMPLES
              ald stress --list                     all scenarios, and which are written
              ald stress PLC-CA-01                  one of them
              ald stress 'PLC-*' 'DB-HF-*'          groups
              ald stress DB-HF-03 --duration 10m    for that long
              ald stress PLC-CA-03 --seed 7         the same run again
              ald stress 'PLC-*' --report page.html one page with charts

            EXIT STATUS
              0   every scenario passed
              1   a scenario failed: the lines say which number broke which bound
              2   none failed, but some showed nothing: a fault without effect, a load that
                  was not reached, a scenario that nobody has written
              64  no scenario matches
            """)

    @Argument(help: ArgumentHelp("Numbers or patterns; all that are written when there is none.", valueName: "id"))
    var patterns: [String] = []

    @Flag(help: "Show the scenarios and run none.")
    var list = false

    @Option(
        help: ArgumentHelp("How long each runs, for instance 30, 90s or 5m. Virtual time, too.", valueName: "time"),
        transform: durationOption)
    var duration: Duration?

    @Option(help: ArgumentHelp("Multiplies the load (1).", valueName: "factor"))
    var scale: Double?

    @Option(help: "Replays a run.")
    var seed: UInt64?

    @Option(help: ArgumentHelp("Write all results to this file, as JSON.", valueName: "file"))
    var output: String?

    @Option(help: ArgumentHelp("Write a page with tables and charts to this file.", valueName: "file"))
    var report: String?

    @Flag(help: "Write one JSON object per scenario instead of text.")
    var json = false

    func validate() throws {
        if let scale, !(scale > 0 && scale <= 1000) {
            throw ValidationError("--scale is \(scale); allowed is more than 0 and up to 1000")
        }
        do {
            _ = try Catalogue.matching(patterns)
        } catch {
            throw ValidationError("\(error)")
        }
    }

    func run() async throws {
        try await reportingFailures {
            let chosen = try self.chosen()
            if list { return try show(chosen) }
            var options = ScenarioRunner.Options()
            options.duration = duration
            options.scale = scale ?? options.scale
            options.seed = seed ?? options.seed
            let host = ScenarioHost()
            let runner = ScenarioRunner(options: options, host: host)
            let display = StressDisplay(isQuiet: json, total: chosen.count)
            var results: [ScenarioResult] = []
            try await withCleanup {
                for (number, scenario) in chosen.enumerated() {
                    try Task.checkCancellation()
                    let result = await display.during(scenario, number) { say in
                        await runner.run(scenario, progress: say)
                    }
                    results.append(result)
                    if json {
                        try LineOutput.write(json: result)
                    } else {
                        try LineOutput.write(text: display.text(result))
                    }
                }
            } cleanup: {
                try await host.stop()
            }
            if let output { try Self.writing(output) { try ResultFile.write(results, toFile: output) } }
            if let report {
                try Self.writing(report) {
                    try HTMLReport(results).page.write(toFile: report, atomically: true, encoding: .utf8)
                }
            }
            if !json { try LineOutput.write(display.summary(results)) }
            if results.contains(where: { $0.verdict == .fail }) { throw ExitCode(1) }
            if results.contains(where: { $0.verdict == .unknown }) { throw ExitCode(2) }
        }
    }

    private func chosen() throws -> [Scenario] {
        if patterns.isEmpty { return list ? Catalogue.scenarios : Catalogue.scenarios.filter(\.isImplemented) }
        return try Catalogue.matching(patterns)
    }

    private func show(_ scenarios: [Scenario]) throws {
        let rows = scenarios.map { scenario in
            [
                scenario.id, scenario.isImplemented ? "written" : "–", DurationText.short(scenario.short),
                scenario.isVirtual ? "virtual" : DurationText.short(scenario.nominal), scenario.title,
            ]
        }
        for line in TextTable.lines([["ID", "STATE", "SHORT", "NOMINAL", "TITLE"]] + rows) {
            try LineOutput.write(line)
        }
        let written = scenarios.count(where: \.isImplemented)
        try LineOutput.write("\(scenarios.count) scenarios, \(written) of them written")
    }

    static func writing(_ path: String, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch {
            throw Failure(.unavailable, "\(path) cannot be written: \(error.localizedDescription)")
        }
    }
}
