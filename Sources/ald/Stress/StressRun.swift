import ALDTestKit
import ArgumentParser
import Foundation

/// Runs scenarios one after the other and keeps what has come of them, whatever ends it.
struct StressRun: Sendable {
    /// What was run, and what went wrong beside the scenarios.
    struct Outcome: Sendable {
        var results: [ScenarioResult] = []
        var isInterrupted = false
        /// Files that cannot be written, a closed standard output, a server that does not stop: said at the end.
        var failures: [Failure] = []

        /// What the command ends with; `nil` when every scenario passed.
        var exit: ExitCode? {
            if isInterrupted { return .interrupted }
            if results.contains(where: { $0.verdict == .fail }) { return ExitCode(1) }
            if let failure = failures.first { return ExitCode(failure.status.rawValue) }
            return results.contains { $0.verdict == .unknown } ? ExitCode(2) : nil
        }

        mutating func attempt(_ work: () async throws -> Void) async {
            do { try await work() } catch { failures.append(Failure(error)) }
        }
    }

    var scenarios: [Scenario]
    var runner: ScenarioRunner
    var display: StressDisplay
    /// Written anew after each scenario: a crash then loses only the one that runs.
    var output: OutputFile?
    var report: OutputFile?
    /// Shows a result.
    var show: @Sendable (ScenarioResult) throws -> Void

    /// Never throws: what was measured until then is worth more than what went wrong.
    func run() async -> Outcome {
        var outcome = Outcome()
        for (number, scenario) in scenarios.enumerated() where !Task.isCancelled {
            let result = await display.during(scenario, number) { say in
                await runner.run(scenario, progress: say)
            }
            outcome.results.append(result)
            outcome.isInterrupted = Task.isCancelled
            let results = outcome.results
            // A file that could not be written is tried again at the end, and then said.
            if let output { do { try output.write { try ResultFile.data(results) } } catch {} }
            if outcome.failures.isEmpty { await outcome.attempt { try show(result) } }
        }
        outcome.isInterrupted = outcome.isInterrupted || outcome.results.count < scenarios.count
        await outcome.attempt { try await runner.host.stop() }
        let results = outcome.results
        if let output { await outcome.attempt { try output.write { try ResultFile.data(results) } } }
        if let report { await outcome.attempt { try report.write { Data(HTMLReport(results).page.utf8) } } }
        return outcome
    }
}
