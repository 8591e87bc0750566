import ALDCore

/// Terminal 1 at its full rate: machine, Modbus TCP, spool, database.
struct CollectionLoad: ScenarioWork {
    var parameters: Int
    /// Cycles per second.
    var rate = 1.0

    func run(_ run: ScenarioRun) async throws {
        // Of a single instant nobody knows how regular it is.
        if planned(run) < 2 {
            let least = DurationText.short(.seconds(2 / rate))
            run.doubt("\(DurationText.short(run.duration)) are too short to judge; it takes \(least) at least")
            return
        }
        let map = try run.generatedMachine(parameters: parameters)
        try await run.withMeteredDatabase { database in
            try await withTemporaryDirectory(in: run.host.directory()) { directory in
                try await ControllerWay.wired.with(map, seed: run.seed) { bench in
                    let summary = try await RecordingRig.record(
                        map, fromPort: bench.port, into: database, directory: directory, period: .seconds(1 / rate)
                    ) { rig in try await watch(rig, run) }
                    try await judge(summary, run, database)
                }
            }
        }
    }

    /// Instants that are due in the time that was asked for.
    private func planned(_ run: ScenarioRun) -> Int { Int((run.duration.inSeconds * rate).rounded(.down)) }

    private func watch(_ rig: RecordingRig, _ run: ScenarioRun) async throws {
        try await eventually("collection has begun") { rig.collection.statistics.due > 0 }
        // Between two instants: what is due at the very end would be judged by who was the first to notice it.
        let end = run.time.now + run.duration + .seconds(0.5 / rate)
        try await run.looking { run in
            run.sample("records in the spool", Double(rig.writer.statistics.spooled), .count)
            run.sampleHeap()
        } while: {
            try await run.time.sleep(until: end)
        }
    }

    private func judge(
        _ summary: RecordingRig.Summary, _ run: ScenarioRun, _ database: PostgresConfiguration
    ) async throws {
        let collection = summary.collection
        run.note("jitter", collection.jitter)
        run.note("cycle", collection.cycleTime)
        run.note("cycles", count: collection.cycles)
        run.note("instants that were never due", count: max(0, planned(run) - collection.due))
        run.note("failures", Double(collection.missed) / Double(max(1, collection.due)), .ratio)
        run.note("bad readings", count: collection.badRows)
        let recorded = try await RecordedRows(in: database)
        run.note("rows", count: recorded.rows)
        run.note("rows per second", Double(recorded.rows) / run.duration.inSeconds, .perSecond)
        run.note("lost or doubled", count: recorded.lostOrDoubled(of: collection.rows))
        run.note("failed deliveries", count: summary.writer.failedAttempts)
        run.note("connections created", count: summary.pool.connectsSucceeded)
        run.note("connections closed", count: summary.pool.closed)
        if let failure = collection.lastFailure { run.say(failure) }
    }
}
