import ALDCore
import Foundation
import Logging
import Modbus
import Synchronization

/// Starts of Terminal 1, each from nothing to its first rows in the database and back.
struct RestartCycles: ScenarioWork {
    var count: Int
    /// All at the same moment, on a database in which there is nothing.
    var atOnce = false
    /// Every other start meets a failure.
    var failing = false

    private enum Failure: Int, CaseIterable {
        /// The database is not there for a moment.
        case database
        /// Nobody listens at the controller's address.
        case controller
        /// A file lies where the spool should be.
        case spool
    }

    private struct Start: Sendable {
        var took: Duration
        var rows = 0
        var error: String?
        var failure: Failure?

        /// The place of what was wrong, and what it was.
        var saysWhy: Bool {
            let words = error ?? ""
            switch failure {
            case .spool: return words.contains("/spool/") && words.contains("Not a directory")
            case .controller: return words.contains("127.0.0.1:1") && words.contains("refused")
            case .database, nil: return false
            }
        }
    }

    func run(_ run: ScenarioRun) async throws {
        let map = try Machine51.map()
        try await run.host.withDatabase(hasSchema: !atOnce) { database in
            try await ControllerWay.wired.with(map, seed: run.seed, connections: count + 1) { bench in
                let starts = atOnce ? try await together(run, bench, database) : try await inTurn(run, bench, database)
                try await judge(starts, run, bench, database)
            }
        }
    }

    private func inTurn(
        _ run: ScenarioRun, _ bench: ControllerBench, _ database: PostgresConfiguration
    ) async throws -> [Start] {
        let beginning = run.time.now
        var starts: [Start] = []
        for number in 0..<count {
            // At its instant, or at once when the one before took longer.
            try await run.time.sleep(until: beginning + run.duration / count * number)
            let failure = failing && number % 2 == 1 ? Failure(rawValue: number / 2 % 3) : nil
            starts.append(try await start(run, bench, database, failure))
            run.sample("start", starts[number].took.inSeconds, .seconds)
        }
        return starts
    }

    private func together(
        _ run: ScenarioRun, _ bench: ControllerBench, _ database: PostgresConfiguration
    ) async throws -> [Start] {
        try await withThrowingTaskGroup(of: Start.self) { group in
            for _ in 0..<count { group.addTask { try await start(run, bench, database, nil) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    private func start(
        _ run: ScenarioRun, _ bench: ControllerBench, _ database: PostgresConfiguration, _ failure: Failure?
    ) async throws -> Start {
        try await withTemporaryDirectory(in: run.host.directory()) { directory in
            let began = run.time.now
            var start = Start(took: .zero, failure: failure)
            let book = LogBook()
            if failure == .spool {
                try "not a folder".write(toFile: directory + "/spool", atomically: true, encoding: .utf8)
            }
            do {
                start.rows = try await ProxiedDatabase.run(before: database) { proxy, proxied in
                    if failure == .database { proxy.down() }
                    return try await RecordingRig.record(
                        bench.device.registerMap, fromPort: failure == .controller ? 1 : bench.port, into: proxied,
                        directory: failure == .spool ? directory + "/spool" : directory, period: .milliseconds(50),
                        logger: book.logger()
                    ) { rig in
                        if failure == .database {
                            try await eventually("rows wait for the database") { rig.writer.statistics.spooled > 0 }
                            proxy.heal()
                        }
                        if failure == .controller {
                            try await eventually("the controller is missed") { rig.collection.statistics.missedPLC > 0 }
                            throw NeverHappened(description: rig.collection.statistics.lastFailure ?? "")
                        }
                        // Ten that make the schema one after the other take their time on a busy machine.
                        try await eventually("the first rows have landed", within: .seconds(120)) {
                            rig.writer.statistics.landed > 0
                        }
                    }.collection.rows
                }
            } catch {
                start.error = "\(error)"
            }
            start.took = run.time.now - began
            if failure == nil { for line in book.lines where line.level >= .warning { run.say(line.text) } }
            return start
        }
    }

    private func judge(
        _ starts: [Start], _ run: ScenarioRun, _ bench: ControllerBench, _ database: PostgresConfiguration
    ) async throws {
        var times = DurationHistogram()
        for start in starts where start.error == nil { times.record(start.took) }
        run.note("start", times)
        run.note("starts", count: starts.count)
        let failed = starts.filter { $0.error != nil }
        run.note("failed starts", count: failed.count)
        run.note(
            "failed starts without a failure", count: failed.count { $0.failure == nil || $0.failure == .database })
        run.note("errors that do not say why", count: failed.count { !$0.saysWhy })
        for error in Set(failed.compactMap(\.error)).sorted().prefix(3) { run.say(error) }
        if failing { run.sometimes("a start that fails", !failed.isEmpty) }
        try await eventually("all connections to the controller are closed") { bench.server?.statistics.open == 0 }
        run.note("connections left", count: bench.server?.statistics.open ?? -1)
        let (recorded, accepted) = (try await RecordedRows(in: database), starts.reduce(0) { $0 + $1.rows })
        // Of several at once two may read in the same microsecond.
        let wrong = atOnce ? abs(recorded.rows - accepted) : recorded.lostOrDoubled(of: accepted)
        run.note("lost or doubled", count: wrong)
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        run.note("database deadlocks", count: try await TestDatabase.number(deadlocks, database))
    }
}
