import ALDCore

/// More and more writers of the same machine at the same moment, each with a connection of its own: all change the same
/// current values, and none may wait for another in a circle.
struct TransactionStorm: ScenarioWork {
    private static let crowds = [2, 5, 10, 20, 50, 100]

    func run(_ run: ScenarioRun) async throws {
        try await run.host.withDatabase { database in
            // A server grants so many connections; beyond that transactions wait for one.
            let room = try await TestDatabase.number("SELECT current_setting('max_connections')::int - 10", database)
            let promises = Promises()
            var (succeeded, failed) = (0, 0)
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
                run.sample("transactions per second", Double(report.succeeded) / run.duration.inSeconds, .perSecond)
                succeeded += report.succeeded
                failed += report.failed
                if let error = report.firstError { run.say(error) }
            }
            run.note("transactions", count: succeeded)
            run.note("success", Double(succeeded) / Double(max(1, succeeded + failed)), .ratio)
            let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            run.note("database deadlocks", count: try await TestDatabase.number(deadlocks, database))
            let audit = try await LandingAudit(of: promises, machine: 1, in: database)
            for problem in audit.problems { run.fail(problem) }
            run.note("lost or doubled", count: abs(promises.acceptedCount - audit.rows))
        }
    }

    private func storm(
        _ run: ScenarioRun, _ crowd: Int, _ stage: Int, _ pool: ConnectionPool, _ sink: PostgresSink,
        _ promises: Promises
    ) async throws -> OpenLoop.Report {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            // Due faster than they can be done, so that always as many are under way as there are.
            let loop = OpenLoop(
                rate: 20_000, duration: .seconds(Double(crowd * 6) / 20_000), clients: crowd)
            let end = run.time.now + run.duration / Self.crowds.count
            var (report, waves) = (OpenLoop.Report(), 0)
            repeat {
                let wave = waves
                waves += 1
                report.add(
                    try await loop.run { client, number in
                        let numbers = promises.take(10)
                        let batch = Batch(
                            id: BatchID(
                                origin: Int64(stage * 1000 + client + 1),
                                number: Int64(wave * 1_000_000 + number + 1)), machine: 1,
                            records: NumberedRecords.records(numbers, .history))
                        do {
                            try await sink.apply(batch, deadline: run.patience)
                        } catch {
                            promises.refuse(numbers)
                            throw error
                        }
                        promises.accept(numbers)
                    })
            } while run.time.now < end
            group.cancelAll()
            try await group.waitForAll()
            return report
        }
    }
}

/// Many workers on a pool that is too small for them: they wait, and none of them for ever.
struct PoolExhaustion: ScenarioWork {
    var workers = 50
    var operations = 10
    var connections = 5

    func run(_ run: ScenarioRun) async throws {
        try await run.host.withDatabase { database in
            var configuration = PoolConfiguration()
            configuration.maximumConnections = connections
            let pool = try ConnectionPool(
                configuration: database.withApplicationName("ald.workers"), pool: configuration,
                logger: TestDatabase.quiet)
            let report = try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                let loop = OpenLoop(
                    rate: 1_000_000, duration: .seconds(Double(workers * operations) / 1_000_000), clients: workers)
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
            run.note("operation", report.latency)
            run.note("failed operations", count: report.failed)
            if let error = report.firstError { run.say(error) }
            let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ald.workers'"
            try await eventually("every session has ended") { try await TestDatabase.number(sessions, database) == 0 }
            run.note("connections left", count: try await TestDatabase.number(sessions, database))
        }
    }
}
