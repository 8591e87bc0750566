import ALDCore
import ALDTestKit
import ArgumentParser
import Foundation

struct BenchSyncCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync",
        abstract: "What it costs to keep current values beside the history.",
        discussion: """
            Lands cycles of a simulated machine in a private PostgreSQL, in turns as
            history alone and as history with the current value of each parameter in
            the same transaction, so that whatever else this computer does meets both.
            Compares rows per second, how long a cycle takes to land, the heap, and how
            many succeed. Then batches of 10 to 200 rows, each size five times, and three
            writers at the same time for half as long, 15 s at the most.

            The class of the impact is LOW below 10 % of the throughput and 15 % of
            the latency, MEDIUM below 25 % and 40 %, else HIGH.

            EXAMPLES
              ald bench sync                                    84 parameters, 30 s
              ald bench sync --parameters 500 --duration 1m
              ald bench sync --rate 100                         nearer to the limit
              ald bench sync --json | jq .impact
              ald bench sync --output result.json               the same JSON into a file
              ALD_DATABASE_URL=postgresql://… ald bench sync    on your server

            TARGETS
              throughput falls by less than 20 %, latency (p50) rises by less than 30 %,
              the heap by less than 40 %, more than 95 % of the cycles succeed, also of
              three writers, without a deadlock; what has landed is there once, and current
              values are the newest of it

            EXIT STATUS
              0   all targets are met        1   one is not: the table says which
              2   nothing was shown, for instance because the rate could not be kept up
              64  wrong arguments
              69  the file cannot be written; it is tried before anything runs
              130 interrupted by Ctrl-C or a signal: what was measured until then is shown
            """)

    @Option(help: ArgumentHelp("Parameters of the machine, 1 to 5000.", valueName: "number"))
    var parameters = 84

    @Option(
        help: ArgumentHelp("How long to measure, both together (30s).", valueName: "time"), transform: durationOption)
    var duration = Duration.seconds(30)

    @Option(help: ArgumentHelp("Cycles a second, up to 1000.", valueName: "number"))
    var rate = 20.0

    @Option(help: "Replays the machine's values.")
    var seed: UInt64?

    @Option(help: ArgumentHelp("Write the result to this file, too, as JSON.", valueName: "file"))
    var output: String?

    @Flag(help: "Write the result as one JSON object.")
    var json = false

    func validate() throws {
        try ScenarioRunner.Options().refuseProblems()
        guard (1...5000).contains(parameters) else {
            throw ValidationError("--parameters is \(parameters); allowed are 1 to 5000")
        }
        guard rate > 0, rate <= 1000 else { throw ValidationError("--rate is \(rate); allowed is up to 1000") }
        guard duration >= .seconds(1), duration <= .seconds(86_400) else {
            throw ValidationError("--duration is \(DurationText.short(duration)); allowed are 1s to 24h")
        }
    }

    func run() async throws {
        try await reportingFailures {
            let file = output.map { OutputFile(option: "--output", path: $0) }
            try file?.checkWritable()
            var options = ScenarioRunner.Options()
            (options.duration, options.scale) = (duration, 1)
            options.seed = seed ?? options.seed
            let host = ScenarioHost()
            let runner = ScenarioRunner(options: options, host: host)
            let scenario = Catalogue.quickBenchmark(parameters: parameters, rate: rate)
            let display = StressDisplay(isQuiet: json, total: 1)
            let (result, isInterrupted, trouble) = try await cancelledBySignals {
                let result = await display.during(scenario, 0) { say in
                    await runner.run(scenario, progress: say)
                }
                var trouble: (any Error)?
                do { try await host.stop() } catch { trouble = error }
                return (result, Task.isCancelled, trouble)
            }
            let report = SyncReport(result, parameters: parameters, rate: rate)
            try file?.write { Data(try LineOutput.line(json: report).utf8) }
            if json {
                try LineOutput.write(json: report)
            } else {
                for line in report.lines { try LineOutput.write(line) }
            }
            if isInterrupted { throw ExitCode.interrupted }
            if let trouble { throw trouble }
            switch result.verdict {
            case .pass: break
            case .fail: throw ExitCode(1)
            case .unknown: throw ExitCode(2)
            }
        }
    }
}
