import ALDCore

/// What `ald bench sync` finds out: what current values cost, how much the size of a batch matters, and whether several
/// writers at the same time get in each other's way.
package struct QuickBenchmark: ScenarioWork {
    var cost: SynchronisationCost

    /// The sizes of the second document.
    package static let sizes = [10, 25, 50, 100, 200]
    package static let writers = 3
    /// Of which the writers write.
    private static let machines: [Int32] = [1, 2]
    /// Each of several writers lands batches for half of what the comparison takes, and for so long at the most.
    private static let longest = Duration.seconds(15)

    package func run(_ run: ScenarioRun) async throws {
        try await cost.run(run)
        try await run.host.withDatabase { database in
            let pool = try ConnectionPool(configuration: database, logger: TestDatabase.quiet)
            let machines = Self.machines.map { number in
                let sink = PostgresSink(
                    pool: pool, registration: NumberedRecords.registration(machine: number),
                    logger: TestDatabase.quiet)
                return StormPlant.Machine(number: number, sink: sink)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                if let first = machines.first {
                    try await BatchEfficiency.measure(
                        Self.sizes, into: first.sink, machine: first.number, promises: first.promises
                    ).note(run)
                }
                try await together(run, machines)
                group.cancelAll()
                try await group.waitForAll()
            }
            run.note("together: deadlocks", count: try await StormAccount.deadlocks(run, database))
            var audits: [LandingAudit] = []
            for machine in machines {
                audits.append(try await LandingAudit(of: machine.promises, machine: machine.number, in: database))
            }
            LandingAudit.note(audits, run, as: "together: lost or doubled")
        }
    }

    /// All of them at both machines, with the same parameters in any order.
    private func together(_ run: ScenarioRun, _ machines: [StormPlant.Machine]) async throws {
        let loop = ClosedLoop(clients: Self.writers, duration: min(Self.longest, run.duration / 2))
        let rows = cost.parameters
        let report = try await loop.run { client, number in
            let machine = machines[number % machines.count]
            let numbers = machine.promises.take(rows)
            var random = SeededGenerator(seed: run.seed &+ UInt64(number))
            let batch = Batch(
                id: BatchID(origin: Int64(client) + 10, number: Int64(number) + 1), machine: machine.number,
                records: NumberedRecords.records(numbers, .history).shuffled(using: &random))
            // What has failed may have landed all the same, unheard; but not twice.
            try await machine.sink.apply(batch, deadline: run.patience)
            machine.promises.accept(numbers)
        }
        run.note("together: landing", report.latency)
        run.note("together: rows", report.throughput * Double(rows), .perSecond)
        run.note("together: success", 1 - report.failureRatio, .ratio)
        if let error = report.firstError { run.say("together: \(error)") }
    }
}
