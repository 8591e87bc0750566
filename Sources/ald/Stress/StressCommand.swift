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
                  was not reached, a scenario that nobody has written, a database that is not there
              64  wrong arguments: no scenario matches, or ALD_SEED or ALD_SCALE is no number
              69  a file cannot be written; it is tried before anything runs
              130 interrupted by Ctrl-C or a signal: the scenario that ran is unknown, the
                  files and the report have all that had ended
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

    @Option(help: ArgumentHelp("Write all results to this file, as JSON, after each scenario.", valueName: "file"))
    var output: String?

    @Option(help: ArgumentHelp("Write a page with tables and charts to this file.", valueName: "file"))
    var report: String?

    @Flag(help: "Write one JSON object per scenario instead of text, with --list, too.")
    var json = false

    func validate() throws {
        if let scale, !ScenarioRunner.Options.isScale(scale) {
            throw ValidationError("--scale is \(scale); allowed is more than 0 and up to 1000")
        }
        do {
            _ = try Catalogue.matching(patterns)
        } catch {
            throw ValidationError("\(error)")
        }
        if !list { try ScenarioRunner.Options().refuseProblems() }
        try OutputFile.checkDistinct(outputs)
    }

    private var outputFile: OutputFile? { output.map { OutputFile(option: "--output", path: $0) } }
    private var reportFile: OutputFile? { report.map { OutputFile(option: "--report", path: $0) } }
    private var outputs: [OutputFile] { [outputFile, reportFile].compactMap(\.self) }

    func run() async throws {
        try await reportingFailures {
            let chosen = try self.chosen()
            if list { return try json ? showJSON(chosen) : show(chosen) }
            for file in outputs { try file.checkWritable() }
            var options = ScenarioRunner.Options()
            options.duration = duration
            options.scale = scale ?? options.scale
            options.seed = seed ?? options.seed
            let display = StressDisplay(isQuiet: json, total: chosen.count)
            let run = StressRun(
                scenarios: chosen, runner: ScenarioRunner(options: options, host: ScenarioHost()), display: display,
                output: outputFile, report: reportFile,
                show: { [json] result in
                    if json {
                        try LineOutput.write(json: result)
                    } else {
                        try LineOutput.write(text: display.text(result))
                    }
                })
            var outcome = try await cancelledBySignals { await run.run() }
            if !json {
                let summary = display.summary(outcome.results, of: chosen.count)
                await outcome.attempt { try LineOutput.write(summary) }
            }
            for failure in outcome.failures { StandardStream.error.write("ald: \(failure.message)\n") }
            if let exit = outcome.exit { throw exit }
        }
    }

    private func chosen() throws -> [Scenario] {
        if patterns.isEmpty { return list ? Catalogue.scenarios : Catalogue.scenarios.filter(\.isImplemented) }
        return try Catalogue.matching(patterns)
    }

    private func show(_ scenarios: [Scenario]) throws {
        let rows = scenarios.map { scenario in
            [
                scenario.id, DurationText.short(scenario.short),
                DurationText.short(scenario.nominal) + (scenario.isVirtual ? " virtual" : ""),
                scenario.gate == .always ? "" : scenario.gate.rawValue,
                scenario.isImplemented ? scenario.title : "not written: " + scenario.title,
            ]
        }
        for line in TextTable.lines([["ID", "SHORT", "NOMINAL", "GATE", "TITLE"]] + rows) {
            try LineOutput.write(line)
        }
        let written = scenarios.count(where: \.isImplemented)
        try LineOutput.write("\(scenarios.count) scenarios, \(written) of them written")
    }

    private func showJSON(_ scenarios: [Scenario]) throws {
        for scenario in scenarios { try LineOutput.write(json: ListedScenario(scenario)) }
    }

    /// A scenario that is listed and not run, for programs.
    private struct ListedScenario: Encodable {
        var id: String
        var title: String
        var requirement: String
        var isWritten: Bool
        var isVirtual: Bool
        var shortSeconds: Double
        var nominalSeconds: Double
        /// The variable that asks for the nominal duration; `always` when it is the short one.
        var gate: String
        var parameters: [String: String]
        var criteria: [Criterion]

        init(_ scenario: Scenario) {
            (id, title, requirement) = (scenario.id, scenario.title, scenario.requirement)
            (isWritten, isVirtual) = (scenario.isImplemented, scenario.isVirtual)
            (shortSeconds, nominalSeconds) = (scenario.short.inSeconds, scenario.nominal.inSeconds)
            gate = scenario.gate.rawValue
            (parameters, criteria) = (scenario.parameters, scenario.criteria)
        }
    }
}

extension ScenarioRunner.Options {
    /// - Throws: `ValidationError` when a variable of the environment says nothing.
    func refuseProblems() throws {
        if !problems.isEmpty { throw ValidationError(problems.joined(separator: "\n")) }
    }
}
