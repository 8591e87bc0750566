import ALDCore
import Foundation
import Logging
import Modbus

/// Starts of Terminal 1, each from nothing to its first rows in the database and back.
struct RestartCycles: ScenarioWork {
    var count: Int
    /// All at the same moment, on a database in which there is nothing.
    var atOnce = false
    /// Every other start meets a failure.
    var failing = false

    /// How a test plants a bug between writer and database.
    var around: @Sendable (any BatchSink) -> any BatchSink = { $0 }

    var unheeded: [RunOption: String] { atOnce ? [.duration: "all start at the same moment, once"] : [:] }

    func run(_ run: ScenarioRun) async throws {
        for way in ControllerWay.allCases { try await restart(run, way) }
    }

    private func restart(_ run: ScenarioRun, _ way: ControllerWay) async throws {
        let map = try Machine51.map()
        let count = run.scaled(count)
        try await run.host.withDatabase(hasSchema: !atOnce) { database in
            // Ten at the same time are more than a controller takes, and ask more than it answers one after the other.
            let (connections, pace) = atOnce ? (count, ControllerPace.delayed) : (ControllerWay.connections, .inTurn)
            try await way.with(map, seed: run.seed, connections: connections, pace: pace) { bench in
                var account = RestartAccount(due: count, isAtOnce: atOnce)
                account.starts =
                    atOnce
                    ? try await together(run, bench, database, count) : try await inTurn(run, bench, database, count)
                if failing {
                    run.sometimes("\(way.rawValue): a start that fails", account.starts.contains { $0.error != nil })
                }
                account.connectionsLeft = try await settledConnections(run, bench, database)
                account.recorded = try await RecordedRows(in: database)
                account.deadlocks = try await TestDatabase.deadlocks(in: database)
                account.note(run, way)
            }
        }
    }

    /// To the controller, where there are any, and to the database. Either side takes a moment to notice an end; what is
    /// left after half a minute is a leak.
    private func settledConnections(
        _ run: ScenarioRun, _ bench: ControllerBench, _ database: PostgresConfiguration
    ) async throws -> Int {
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE \(TestDatabase.otherSessions)"
        return try await run.leftovers("all connections are closed") {
            try await TestDatabase.number(sessions, database) + (bench.server?.statistics.open ?? 0)
        }
    }

    private func inTurn(
        _ run: ScenarioRun, _ bench: ControllerBench, _ database: PostgresConfiguration, _ count: Int
    ) async throws -> [RestartAccount.Start] {
        let beginning = run.time.now
        var starts: [RestartAccount.Start] = []
        for number in 0..<count {
            // At its instant, or at once when the one before took longer.
            try await run.time.sleep(until: beginning + run.duration / count * number)
            let failure = failing && number % 2 == 1 ? RestartAccount.Failure(rawValue: number / 2 % 3) : nil
            starts.append(try await start(run, bench, database, failure))
            run.sample("\(bench.way.rawValue): start", starts[number].took.inSeconds, .seconds)
        }
        return starts
    }

    private func together(
        _ run: ScenarioRun, _ bench: ControllerBench, _ database: PostgresConfiguration, _ count: Int
    ) async throws -> [RestartAccount.Start] {
        try await withThrowingTaskGroup(of: RestartAccount.Start.self) { group in
            for _ in 0..<count { group.addTask { try await start(run, bench, database, nil) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    private func start(
        _ run: ScenarioRun, _ bench: ControllerBench, _ database: PostgresConfiguration,
        _ failure: RestartAccount.Failure?
    ) async throws -> RestartAccount.Start {
        try await withTemporaryDirectory(in: run.host.directory()) { directory in
            let began = run.time.now
            var start = RestartAccount.Start(failure: failure)
            let book = LogBook()
            if failure == .spool {
                try "not a folder".write(toFile: directory + "/spool", atomically: true, encoding: .utf8)
            }
            do {
                start.rows = try await ProxiedDatabase.run(before: database) { proxy, proxied in
                    if failure == .database { proxy.down() }
                    return try await bench.withClient(isAbsent: failure == .controller, logger: book.logger()) { plc in
                        try await RecordingRig.record(
                            from: plc, into: proxied, directory: failure == .spool ? directory + "/spool" : directory,
                            period: .milliseconds(50), logger: book.logger(), around: around
                        ) { rig in try await waitForRows(rig, failure, proxy, bench.way) }.collection.rows
                    }
                }
            } catch {
                start.error = "\(error)"
            }
            start.took = run.time.now - began
            if failure == nil { for line in book.lines where line.level >= .warning { run.say(line.text) } }
            return start
        }
    }

    private func waitForRows(
        _ rig: RecordingRig, _ failure: RestartAccount.Failure?, _ proxy: FaultProxy, _ way: ControllerWay
    ) async throws {
        if failure == .database {
            try await eventually("rows wait for the database") { rig.writer.statistics.spooled > 0 }
            proxy.heal()
        }
        if failure == .controller {
            // The first instants may end before the network has said anything.
            var words = ""
            do {
                try await eventually("the controller is missed, and it is said why") {
                    words = rig.collection.statistics.lastFailure ?? ""
                    return RestartAccount.Start(error: words, failure: failure).saysWhy(way)
                }
            } catch is NeverHappened {
                // The account says it.
            }
            throw NeverHappened(description: words)
        }
        // Ten that make the schema one after the other take their time on a busy machine.
        try await eventually("the first rows have landed", within: .seconds(120)) { rig.writer.statistics.landed > 0 }
    }
}
