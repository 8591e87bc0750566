import ALDCore
import Synchronization

/// Batches of one size at one rate, through spool and writer. Each delivery to the database is timed.
struct BatchLoad: ScenarioWork {
    var rows: Int
    /// Batches per second.
    var rate: Double
    /// Whether deliveries of all sizes are compared afterwards, and the largest is looked for that lands in time.
    var comparesSizes = false
    /// In which the largest has to land.
    var patience = LargestBatch.timeout
    /// How a test plants a bug between whoever looks for the largest batch and the database.
    var around: @Sendable (any BatchSink) -> any BatchSink = { $0 }

    func run(_ run: ScenarioRun) async throws {
        try await run.withMeteredDatabase { database in
            try await withTemporaryDirectory(in: run.host.directory()) { directory in
                let times = DeliveryTimes()
                var options = WriterRig.Options(directory: directory, database: database)
                options.around = { TimedSink(sink: $0, times: times) }
                let promises = Promises()
                try await WriterRig.run(options, promises: promises) { rig in
                    try await load(run, rig, times)
                    times.note(run)
                    if comparesSizes {
                        let sink = PostgresSink(
                            pool: rig.pool, registration: NumberedRecords.registration(machine: rig.options.machine),
                            logger: TestDatabase.quiet)
                        // Without the writer, which would wait for more of them.
                        try await BatchEfficiency.measure(
                            into: sink, machine: rig.options.machine, promises: promises
                        ).note(run)
                        try await LargestBatch.measure(
                            within: patience, into: around(sink), machine: rig.options.machine, promises: promises,
                            in: database
                        ).note(run)
                    }
                    let letter = try await deliverPartly(run, rig)
                    let audit = try await LandingAudit(
                        of: promises, machine: rig.options.machine, letters: [letter], in: database)
                    audit.note(run)
                    run.note("rows", count: audit.rows)
                }
            }
        }
    }

    private func load(_ run: ScenarioRun, _ rig: WriterRig, _ times: DeliveryTimes) async throws {
        let size = run.scaled(rows)
        // What is done once, connecting and registering, is told and not judged: a short run has few deliveries.
        try await rig.append(size, kind: .history)
        try await rig.drain()
        if let longest = times.reset() { run.note("first insert", longest) }
        let load = OpenLoop(rate: rate, duration: run.duration, clients: 4)
        let report = try await run.looking { run in
            run.sample("records in the spool", Double(rig.writer.statistics.spooled), .count)
            run.sample("connections in use", Double(rig.pool.statistics.leased), .count)
            run.sampleHeap()
        } while: {
            try await load.run { _, _ in try await rig.append(size, kind: .history) }
        }
        run.note("acceptance", report)
        let began = run.time.now
        try await rig.drain()
        run.note("drained after", run.time.now - began)
        run.note("connections created", count: rig.pool.statistics.connectsSucceeded)
        run.note("connections closed", count: rig.pool.statistics.closed)
    }

    /// A batch of which one row in the middle breaks a rule: the others land all the same.
    ///
    /// - Returns: the number of that row.
    private func deliverPartly(_ run: ScenarioRun, _ rig: WriterRig) async throws -> Int64 {
        let database = rig.options.database
        try await TestDatabase.withConnection(database) {
            _ = try await $0.execute(script: NumberedRecords.rule, deadline: $1)
        }
        let rows = "SELECT count(*) FROM ald.parameter_value_history"
        let before = try await TestDatabase.number(rows, database)
        let numbers = rig.promises.take(run.scaled(self.rows))
        let bad = numbers.lowerBound + Int64(numbers.count / 2)
        try await rig.append(
            NumberedRecords.records(numbers, .history, poisonEvery: bad + 1), numbers: numbers)
        let began = run.time.now
        try await rig.drain()
        run.note("partial batch: landed after", run.time.now - began)
        let landed = try await TestDatabase.number(rows, database) - before
        let letters = try await TestDatabase.number("SELECT count(*) FROM ald_history.dead_letters", database)
        PartialBatch(good: numbers.count - 1, landed: landed, bad: 1, letters: letters).note(run)
        return bad
    }
}

/// How long deliveries took, and how many failed.
final class DeliveryTimes: Sendable {
    private let state = Mutex<(histogram: DurationHistogram, failures: Int, rows: Int)>((DurationHistogram(), 0, 0))

    func add(_ duration: Duration, rows: Int) {
        state.withLock { state in
            state.histogram.record(duration)
            state.rows += rows
        }
    }

    /// Forgets what was so far, except failures.
    ///
    /// - Returns: the longest delivery until now; `nil` when there was none.
    func reset() -> Duration? {
        state.withLock { state in
            defer { (state.histogram, state.rows) = (DurationHistogram(), 0) }
            return state.histogram.count > 0 ? state.histogram.max : nil
        }
    }

    func addFailure() { state.withLock { $0.failures += 1 } }

    func note(_ run: ScenarioRun) {
        let (histogram, failures, rows) = state.withLock(\.self)
        run.note("insert", histogram)
        run.note("inserts", count: histogram.count)
        run.note("insert failures", count: failures)
        run.note("rows per second", Double(rows) / run.duration.inSeconds, .perSecond)
    }
}

/// Times every delivery to the sink behind it.
struct TimedSink: ForwardingSink {
    let sink: any BatchSink
    let times: DeliveryTimes

    func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
        let time = SystemTime()
        let began = time.now
        do throws(SinkFault) {
            let landings = try await sink.deliver(batches, deadline: deadline)
            times.add(time.now - began, rows: batches.reduce(0) { $0 + $1.records.count })
            return landings
        } catch {
            times.addFailure()
            throw error
        }
    }
}
