import ALDCore
import Modbus

/// Terminal 1 at its full rate: machine, Modbus TCP, spool, database.
struct CollectionLoad: ScenarioWork {
    var parameters: Int
    /// Cycles per second.
    var rate = 1.0
    /// Of the machine.
    var faults: FaultInjector?

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
                try await ControllerWay.wired.with(map, seed: run.seed, faults: faults) { bench in
                    let meter = CycleMeter()
                    let summary = try await RecordingRig.record(
                        map, fromPort: bench.port, into: database, directory: directory, period: .seconds(1 / rate),
                        meter: meter
                    ) { rig in try await watch(rig, run) }
                    let collection = summary.collection
                    CollectionAccount(
                        planned: planned(run), due: collection.due, missed: collection.missed,
                        late: collection.missedLate, lateCycles: collection.lateCycles, accepted: collection.rows,
                        recorded: try await RecordedRows(in: database), jitter: collection.jitter
                    ).note(run)
                    note(summary, meter, run)
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
            run.sample("connections in use", Double(rig.pool.statistics.leased), .count)
            run.sampleHeap()
        } while: {
            try await run.time.sleep(until: end)
        }
    }

    private func note(_ summary: RecordingRig.Summary, _ meter: CycleMeter, _ run: ScenarioRun) {
        let collection = summary.collection
        run.note("cycle", collection.cycleTime)
        run.note("read", meter.reads)
        run.note("insert", meter.deliveries)
        run.note("batches", count: meter.batches)
        run.note("cycles", count: collection.cycles)
        run.note("bad readings", count: collection.badRows)
        run.note("failed deliveries", count: summary.writer.failedAttempts)
        run.note("connections created", count: summary.pool.connectsSucceeded)
        run.note("connections closed", count: summary.pool.closed)
        run.note("connection timeouts", count: summary.pool.timeouts)
        if let failure = collection.lastFailure { run.say(failure) }
    }
}

/// What a collection has come to, beside what was due.
struct CollectionAccount: Sendable {
    /// Instants that had to be due in the time that was asked for.
    var planned: Int
    /// Those that were.
    var due: Int
    /// Of them, without readings, whatever the cause.
    var missed = 0
    /// Of those, because the collector was not there in time.
    var late = 0
    /// Instants with readings that were late: see ``CollectionStatistics/lateCycles``.
    var lateCycles = 0
    /// Rows that the collection has accepted.
    var accepted: Int
    var recorded: RecordedRows
    var jitter: DurationHistogram

    func note(_ run: ScenarioRun) {
        run.note("jitter", jitter)
        run.note("instants that were never due", count: max(0, planned - due))
        run.note("failures", Double(missed) / Double(max(1, due)), .ratio)
        // What was missed has no time that could be right.
        run.note("timing violations", Double(missed + lateCycles) / Double(max(1, due)), .ratio)
        run.note("instants missed late", count: late)
        run.note("instants recorded late", count: lateCycles)
        run.note("rows", count: recorded.rows)
        run.note("rows per second", Double(recorded.rows) / run.duration.inSeconds, .perSecond)
        run.note("lost or doubled", count: recorded.lostOrDoubled(of: accepted))
    }
}
