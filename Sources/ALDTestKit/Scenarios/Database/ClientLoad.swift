import ALDCore

/// Several programs at one database, each with a pool of its own: they write batches of the same machine and read its
/// current values, in turn.
struct ClientLoad: ScenarioWork {
    var clients: Int
    /// Operations of all of them per second.
    var rate: Double
    /// Whether one client's calls one at a time are compared with its calls at once afterwards.
    var comparesCalls = false
    /// Puts something between a client and its sink.
    var around: @Sendable (any BatchSink) -> any BatchSink = { $0 }

    func run(_ run: ScenarioRun) async throws {
        try await run.withMeteredDatabase { database in
            let promises = Promises()
            var account = ClientAccount(
                clients: try await load(run, database.withApplicationName(Self.name), promises))
            if comparesCalls {
                for way in CallsOfOneClient.allCases {
                    let report = try await calls(way, run, database.withApplicationName(Self.name), promises)
                    account.calls.append(report)
                }
            }
            account.connectionsLeft = try await run.leftovers("every session has ended") {
                try await Self.sessions(database)
            }
            account.deadlocks = try await TestDatabase.deadlocks(in: database)
            account.audit = try await LandingAudit(of: promises, machine: 1, in: database)
            account.note(run)
        }
    }

    /// Of the sessions that are watched.
    static let name = "ald.clients"

    /// How many of them there are.
    static func sessions(_ database: PostgresConfiguration) async throws -> Int {
        try await TestDatabase.number(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = '\(name)'
            """, database)
    }

    private func load(
        _ run: ScenarioRun, _ database: PostgresConfiguration, _ promises: Promises
    ) async throws -> [LoadReport] {
        var configuration = PoolConfiguration()
        configuration.maximumConnections = 2
        let pools = try (0..<run.scaled(clients)).map { _ in
            try ConnectionPool(configuration: database, pool: configuration, logger: TestDatabase.quiet)
        }
        let reports = try await run.looking { run in
            run.sample("callers that wait", Double(pools.reduce(0) { $0 + $1.statistics.waiting }), .count)
            run.sample("connections in use", Double(pools.reduce(0) { $0 + $1.statistics.leased }), .count)
            run.sampleHeap()
        } while: {
            try await load(run, pools, promises)
        }
        run.note("connections created", count: pools.reduce(0) { $0 + $1.statistics.connectsSucceeded })
        run.note("connections closed", count: pools.reduce(0) { $0 + $1.statistics.closed })
        run.note("connection timeouts", count: pools.reduce(0) { $0 + $1.statistics.timeouts })
        return reports
    }

    private func load(
        _ run: ScenarioRun, _ pools: [ConnectionPool], _ promises: Promises
    ) async throws -> [LoadReport] {
        let loop = OpenLoop(rate: rate / Double(clients), duration: run.duration, clients: 1)
        return try await withThrowingTaskGroup(of: LoadReport.self) { group in
            for (client, pool) in zip(1..., pools) {
                group.addTask {
                    let sink = around(
                        PostgresSink(
                            pool: pool, registration: NumberedRecords.registration(machine: 1),
                            logger: TestDatabase.quiet))
                    return try await withThrowingTaskGroup(of: Void.self) { pooling in
                        pooling.addTask { try await pool.run() }
                        let report = try await loop.run { _, number in
                            try await Self.operate(client, number, pool, sink, promises, run)
                        }
                        pooling.cancelAll()
                        try await pooling.waitForAll()
                        return report
                    }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// What one client that has the database to itself does in a moment.
    private func calls(
        _ way: CallsOfOneClient, _ run: ScenarioRun, _ database: PostgresConfiguration, _ promises: Promises
    ) async throws -> ClientAccount.Calls {
        let pool = try ConnectionPool(configuration: database, logger: TestDatabase.quiet)
        let sink = around(
            PostgresSink(
                pool: pool, registration: NumberedRecords.registration(machine: 1), logger: TestDatabase.quiet))
        return try await withThrowingTaskGroup(of: Void.self) { pooling in
            pooling.addTask { try await pool.run() }
            let loop = ClosedLoop(clients: way.calls, duration: run.duration / 6)
            let load = try await loop.run { _, number in
                try await Self.operate(run.scaled(clients) + way.calls, number, pool, sink, promises, run)
            }
            let connections = pool.statistics.connectsSucceeded
            pooling.cancelAll()
            try await pooling.waitForAll()
            return ClientAccount.Calls(way: way, load: load, connections: connections)
        }
    }

    private static func operate(
        _ client: Int, _ number: Int, _ pool: ConnectionPool, _ sink: any BatchSink, _ promises: Promises,
        _ run: ScenarioRun
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
        // Each client is an origin of its own.
        let numbers = promises.take(10)
        let batch = Batch(
            id: BatchID(origin: Int64(client), number: Int64(number / 2 + 1)), machine: 1,
            records: NumberedRecords.records(numbers, .history))
        // What has failed may have landed all the same, unheard; but not twice.
        try await sink.apply(batch, deadline: deadline)
        promises.accept(numbers)
    }
}

/// How one client calls the database. The requirement names a synchronous client and an asynchronous one; there is one
/// here, which is asynchronous, and what the other one could is to have one call under way at a time.
enum CallsOfOneClient: String, CaseIterable, Sendable {
    case oneAtATime = "one at a time"
    case atOnce = "at once"

    /// Under way at a time.
    var calls: Int { self == .oneAtATime ? 1 : 8 }
}

/// What programs at one database have come to, each for itself.
struct ClientAccount: Sendable {
    var clients: [LoadReport]
    /// Sessions that were still there when all had ended.
    var connectionsLeft = 0
    var deadlocks = 0
    /// What one client has come to that called in a certain way.
    struct Calls: Sendable {
        var way: CallsOfOneClient
        var load: LoadReport
        /// That it has opened for it.
        var connections: Int
    }

    /// Empty where they are not compared.
    var calls: [Calls] = []
    /// Of the rows that they have been told have landed.
    var audit = LandingAudit()

    func note(_ run: ScenarioRun) {
        run.note("operations", clients.reduce(into: LoadReport()) { $0.add($1) })
        // One that gets nowhere is a small part of many clients' operations, and none when it does not even begin.
        run.note("clients without success", count: clients.count { $0.succeeded == 0 })
        for calls in calls {
            let name = calls.way.rawValue
            run.note("calls \(name)", calls.load)
            run.note("calls \(name): per second", calls.load.throughput, .perSecond)
            run.note("calls \(name): connections", count: calls.connections)
        }
        run.note("connections left", count: connectionsLeft)
        run.note("database deadlocks", count: deadlocks)
        audit.note(run)
    }
}
