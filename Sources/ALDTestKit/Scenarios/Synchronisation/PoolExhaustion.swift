import ALDCore

/// Many workers on a pool that is too small for them: they wait, and none of them for ever.
struct PoolExhaustion: ScenarioWork {
    var workers = 50
    var operations = 10
    var connections = 5
    var unheeded: [RunOption: String] {
        [.duration: "each worker does a number of things", .scale: "so do as many workers"]
    }

    func run(_ run: ScenarioRun) async throws {
        try await run.host.withDatabase { database in
            var configuration = PoolConfiguration()
            configuration.maximumConnections = connections
            let pool = try ConnectionPool(
                configuration: database.withApplicationName("ald.workers"), pool: configuration,
                logger: TestDatabase.quiet)
            let report = try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                let loop = ClosedLoop(clients: workers, operations: workers * operations)
                let report = try await loop.run { _, _ in
                    let deadline = run.patience
                    _ = try await pool.withConnection(holder: "worker", lane: .reader, deadline: deadline) {
                        try await $0.query("SELECT pg_sleep(0.01)::text", deadline: deadline)
                    }
                }
                run.note("connections used", count: pool.statistics.connectsSucceeded)
                run.sometimes("workers that wait", pool.statistics.wait.maximum > .milliseconds(10))
                group.cancelAll()
                try await group.waitForAll()
                return report
            }
            let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ald.workers'"
            let left = try await run.leftovers("every session has ended") {
                try await TestDatabase.number(sessions, database)
            }
            PoolAccount(load: report, asked: workers * operations, connectionsLeft: left).note(run)
        }
    }
}

/// What workers on a pool that is too small for them have come to.
struct PoolAccount: Sendable {
    var load: LoadReport
    /// Operations that there were to do.
    var asked: Int
    /// Sessions that were still there when all had ended.
    var connectionsLeft: Int

    func note(_ run: ScenarioRun) {
        run.note("operation", load.latency)
        run.note("operations per second", load.throughput, .perSecond)
        // One that was never done has failed, too.
        run.note("failed operations", count: max(load.failed, asked - load.succeeded))
        run.note("connections left", count: connectionsLeft)
        if let error = load.firstError { run.say(error) }
    }
}
