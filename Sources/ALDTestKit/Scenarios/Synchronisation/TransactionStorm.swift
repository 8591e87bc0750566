import ALDCore

/// More and more writers of the same machine at the same moment, each with a connection of its own: all change the same
/// current values, and none may wait for another in a circle.
struct TransactionStorm: ScenarioWork {
    var unheeded: [RunOption: String] { [.scale: "the crowds are those of the requirement"] }
    private static let crowds = [2, 5, 10, 20, 50, 100]

    func run(_ run: ScenarioRun) async throws {
        try await run.host.withDatabase { database in
            // A server grants so many connections; beyond that transactions wait for one.
            let room = try await TestDatabase.number("SELECT current_setting('max_connections')::int - 10", database)
            let promises = Promises()
            var account = StormAccount()
            for (stage, crowd) in Self.crowds.enumerated() {
                var configuration = PoolConfiguration()
                configuration.maximumConnections = min(crowd, room)
                configuration.maximumConcurrentConnects = 10
                let pool = try ConnectionPool(
                    configuration: database, pool: configuration, logger: TestDatabase.quiet)
                let sink = PostgresSink(
                    pool: pool, registration: NumberedRecords.registration(machine: 1), logger: TestDatabase.quiet)
                let report = try await storm(run, crowd, stage, pool, sink, promises)
                run.note("\(crowd) at a time", report.latency)
                run.note("\(crowd) at a time: transactions per second", report.throughput, .perSecond)
                run.sample("transactions per second", report.throughput, .perSecond)
                account.succeeded += report.succeeded
                account.failed += report.failed
                if let error = report.firstError { run.say(error) }
            }
            account.deadlocks = try await TestDatabase.deadlocks(in: database)
            account.audit = try await LandingAudit(of: promises, machine: 1, in: database)
            account.note(run)
        }
    }

    private func storm(
        _ run: ScenarioRun, _ crowd: Int, _ stage: Int, _ pool: ConnectionPool, _ sink: PostgresSink,
        _ promises: Promises
    ) async throws -> LoadReport {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            let loop = ClosedLoop(clients: crowd, duration: run.duration / Self.crowds.count)
            let report = try await loop.run { client, number in
                let numbers = promises.take(10)
                let batch = Batch(
                    id: BatchID(origin: Int64(stage * 1000 + client + 1), number: Int64(number + 1)), machine: 1,
                    records: NumberedRecords.records(numbers, .history))
                // What has failed may have landed all the same, unheard; but not twice.
                try await Self.land(batch, sink, by: run.patience, run.time)
                promises.accept(numbers)
            }
            run.note("\(crowd) at a time: waits given up", count: pool.statistics.timeouts)
            group.cancelAll()
            try await group.waitForAll()
            return report
        }
    }

    /// A sink gives up waiting for a connection after two seconds, so that a database that is away is known to be away.
    /// This one is there and busy: as a writer does, we ask again.
    private static func land(
        _ batch: Batch, _ sink: PostgresSink, by deadline: MonotonicInstant, _ time: some TimeSource
    ) async throws {
        while true {
            do {
                try await sink.apply(batch, deadline: deadline)
                return
            } catch {
                guard error.faultClass == .unsent, time.now < deadline else { throw error }
            }
            try await time.sleep(for: .milliseconds(10))
        }
    }
}

/// What simultaneous transactions have come to.
struct StormAccount: Sendable {
    var succeeded = 0
    var failed = 0
    var deadlocks = 0
    var audit = LandingAudit()

    func note(_ run: ScenarioRun) {
        run.note("transactions", count: succeeded)
        run.note("success", Double(succeeded) / Double(max(1, succeeded + failed)), .ratio)
        run.note("database deadlocks", count: deadlocks)
        audit.note(run)
    }
}

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
