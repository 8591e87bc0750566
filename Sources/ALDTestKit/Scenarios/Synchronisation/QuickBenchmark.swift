import ALDCore

/// What `ald bench sync` finds out: what current values cost, how much the size of a batch matters, and whether several
/// writers at the same time get in each other's way.
package struct QuickBenchmark: ScenarioWork {
    var cost: SynchronisationCost

    /// The sizes of the second document.
    package static let sizes = [10, 25, 50, 100, 200]
    package static let writers = 3
    /// Each of several writers lands batches for half of what the comparison takes, and for so long at the most.
    private static let longest = Duration.seconds(15)

    package func run(_ run: ScenarioRun) async throws {
        try await cost.run(run)
        try await run.host.withDatabase { database in
            let pool = try ConnectionPool(configuration: database, logger: TestDatabase.quiet)
            let sink = PostgresSink(
                pool: pool, registration: NumberedRecords.registration(machine: 1), logger: TestDatabase.quiet)
            let promises = Promises()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                try await BatchEfficiency.measure(Self.sizes, into: sink, machine: 1, promises: promises).note(run)
                try await together(run, sink, promises)
                group.cancelAll()
                try await group.waitForAll()
            }
            run.note("together: deadlocks", count: try await TestDatabase.deadlocks(in: database))
            let audit = try await LandingAudit(of: promises, machine: 1, in: database)
            for problem in audit.problems { run.fail(problem) }
            run.note("together: lost or doubled", count: audit.lostOrDoubled)
        }
    }

    private func together(_ run: ScenarioRun, _ sink: PostgresSink, _ promises: Promises) async throws {
        let loop = ClosedLoop(clients: Self.writers, duration: min(Self.longest, run.duration / 2))
        let rows = cost.parameters
        let report = try await loop.run { client, number in
            let numbers = promises.take(rows)
            let batch = Batch(
                id: BatchID(origin: Int64(client) + 10, number: Int64(number) + 1), machine: 1,
                records: NumberedRecords.records(numbers, .history))
            // What has failed may have landed all the same, unheard; but not twice.
            try await sink.apply(batch, deadline: run.patience)
            promises.accept(numbers)
        }
        run.note("together: landing", report.latency)
        run.note("together: rows", report.throughput * Double(rows), .perSecond)
        run.note("together: success", 1 - report.failureRatio, .ratio)
        if let error = report.firstError { run.say("together: \(error)") }
    }
}
