import ALDCore

/// Several programs at one database, each with a pool of its own: they write batches of the same machine and read its
/// current values, in turn.
struct ClientLoad: ScenarioWork {
    var clients: Int
    /// Operations of all of them per second.
    var rate: Double

    func run(_ run: ScenarioRun) async throws {
        try await run.withMeteredDatabase { database in
            let before = try await TestDatabase.number(Self.sessions, database)
            let report = try await load(run, database.withApplicationName("ald.clients"))
            run.note("operations", report)
            try await eventually("every session has ended") {
                try await TestDatabase.number(Self.sessions, database) == before
            }
            run.note("connections left", count: try await TestDatabase.number(Self.sessions, database) - before)
            let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            run.note("database deadlocks", count: try await TestDatabase.number(deadlocks, database))
            let rows = try await TestDatabase.number("SELECT count(*) FROM ald.parameter_value_history", database)
            run.note("rows", count: rows)
        }
    }

    private static let sessions = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'ald.clients'
        """

    private func load(_ run: ScenarioRun, _ database: PostgresConfiguration) async throws -> OpenLoop.Report {
        var configuration = PoolConfiguration()
        configuration.maximumConnections = 2
        let pools = try (0..<run.scaled(clients)).map { _ in
            try ConnectionPool(configuration: database, pool: configuration, logger: TestDatabase.quiet)
        }
        let report = try await run.looking { run in
            run.sample("callers that wait", Double(pools.reduce(0) { $0 + $1.statistics.waiting }), .count)
            run.sampleHeap()
        } while: {
            try await load(run, pools)
        }
        run.note("connections created", count: pools.reduce(0) { $0 + $1.statistics.connectsSucceeded })
        run.note("connections closed", count: pools.reduce(0) { $0 + $1.statistics.closed })
        run.note("connection timeouts", count: pools.reduce(0) { $0 + $1.statistics.timeouts })
        return report
    }

    private func load(_ run: ScenarioRun, _ pools: [ConnectionPool]) async throws -> OpenLoop.Report {
        let loop = OpenLoop(rate: rate / Double(clients), duration: run.duration, clients: 1)
        return try await withThrowingTaskGroup(of: OpenLoop.Report.self) { group in
            for (client, pool) in zip(1..., pools) {
                group.addTask {
                    let sink = PostgresSink(
                        pool: pool, registration: NumberedRecords.registration(machine: 1), logger: TestDatabase.quiet)
                    return try await withThrowingTaskGroup(of: Void.self) { pooling in
                        pooling.addTask { try await pool.run() }
                        let report = try await loop.run { _, number in
                            try await Self.operate(client, number, pool, sink, run)
                        }
                        pooling.cancelAll()
                        try await pooling.waitForAll()
                        return report
                    }
                }
            }
            return try await group.reduce(into: OpenLoop.Report()) { $0.add($1) }
        }
    }

    private static func operate(
        _ client: Int, _ number: Int, _ pool: ConnectionPool, _ sink: PostgresSink, _ run: ScenarioRun
    ) async throws {
        let deadline = run.time.now + .seconds(5)
        guard number.isMultiple(of: 2) else {
            _ = try await pool.withConnection(holder: "client", lane: .reader, deadline: deadline) { connection in
                try await connection.query(
                    "SELECT parameter_id, value FROM ald.component_parameter_values WHERE machine_id = 1",
                    deadline: deadline)
            }
            return
        }
        // Each client is an origin of its own; its numbers go up.
        let first = Int64(client) * 1_000_000 + Int64(number) * 10
        let batch = Batch(
            id: BatchID(origin: Int64(client), number: Int64(number / 2 + 1)), machine: 1,
            records: NumberedRecords.records(first..<first + 10, .history))
        try await sink.apply(batch, deadline: deadline)
    }
}
