import ALDCore

/// Terminal 1 from its start, several times over: how long a cycle takes, of what it consists, and by how much one run
/// differs from another. The first cycle of a run connects and makes files; it is told, and not counted.
struct CycleBenchmark: ScenarioWork {
    var parameters: Int
    /// Cycles per second.
    var rate: Double

    /// What the requirement asks for.
    private static let runs = 10
    /// A run that is shorter than that is a start and little else; there are fewer in a short time.
    private static let shortestRun: Duration = .seconds(1)

    /// What all runs have come to.
    private struct Sum {
        var cycles = DurationHistogram()
        var firstCycles = DurationHistogram()
        var reads = DurationHistogram()
        var deliveries = DurationHistogram()
        var jitter = DurationHistogram()
        /// Of each run, in seconds.
        var percentiles95: [Double] = []
        var (due, missed, violations, rows, failedDeliveries) = (0, 0, 0, 0, 0)
        var (processorSeconds, seconds) = (0.0, 0.0)
    }

    func run(_ run: ScenarioRun) async throws {
        let map = try run.generatedMachine(parameters: parameters)
        let count = max(2, min(Self.runs, Int(run.duration / Self.shortestRun)))
        var sum = Sum()
        try await run.host.withDatabase { database in
            try await ControllerWay.wired.with(map, seed: run.seed) { bench in
                for number in 1...count {
                    run.say("run \(number) of \(count)")
                    try await collect(run, map, bench.port, database, for: run.duration / count, &sum)
                }
                if sum.percentiles95.count < count { run.doubt("only \(sum.percentiles95.count) runs had a cycle") }
            }
            try await note(run, sum, database)
        }
    }

    private func collect(
        _ run: ScenarioRun, _ map: RegisterMap, _ port: Int, _ database: PostgresConfiguration,
        for length: Duration, _ sum: inout Sum
    ) async throws {
        let wanted = max(1, Int((length.inSeconds * rate).rounded()))
        let meter = CycleMeter()
        let before = (ProcessProbe().processorSeconds, run.time.now)
        let summary = try await withTemporaryDirectory(in: run.host.directory()) { directory in
            try await RecordingRig.record(
                map, fromPort: port, into: database, directory: directory, period: .seconds(1 / rate), meter: meter
            ) { rig in
                try await eventually("the first cycle has landed") { rig.writer.statistics.landed > 0 }
                let first = rig.collection.statistics
                meter.restart(after: first)
                try await eventually("\(wanted) further instants", within: length * 2 + .seconds(30)) {
                    rig.collection.statistics.due >= first.due + wanted
                }
            }
        }
        add(summary, meter, to: &sum)
        if let failure = summary.collection.lastFailure { run.say(failure) }
        if let began = before.0, let ended = ProcessProbe().processorSeconds { sum.processorSeconds += ended - began }
        sum.seconds += (run.time.now - before.1).inSeconds
    }

    private func add(_ summary: RecordingRig.Summary, _ meter: CycleMeter, to sum: inout Sum) {
        let (collection, start) = (summary.collection, meter.start)
        let cycles = collection.cycleTime.without(start.cycleTime)
        sum.cycles.add(cycles)
        sum.firstCycles.add(start.cycleTime)
        sum.reads.add(meter.reads)
        sum.deliveries.add(meter.deliveries)
        sum.jitter.add(collection.jitter)
        if cycles.count > 0 { sum.percentiles95.append(cycles.percentile(95).inSeconds) }
        sum.due += collection.due - start.due
        sum.missed += collection.missed - start.missed
        sum.violations += collection.violations - start.violations
        sum.rows += collection.rows
        sum.failedDeliveries += summary.writer.failedAttempts
    }

    private func note(
        _ run: ScenarioRun, _ sum: Sum, _ database: PostgresConfiguration
    ) async throws {
        run.note("cycle", sum.cycles)
        run.note("first cycle", sum.firstCycles)
        run.note("read", sum.reads)
        run.note("insert", sum.deliveries)
        run.note("reading to row", try await Self.wholeWay(database))
        run.note("jitter", sum.jitter)
        run.note("runs", count: sum.percentiles95.count)
        if let slowest = sum.percentiles95.max() { run.note("cycle p95 of the slowest run", slowest, .seconds) }
        let spread = Spread(sum.percentiles95)
        run.note("cycle p95, mean of the runs", spread.mean, .seconds)
        run.note("cycle p95, standard deviation of the runs", spread.standardDeviation, .seconds)
        run.note("cycles", count: sum.cycles.count)
        run.note("timing violations", Double(sum.violations) / Double(max(1, sum.due)), .ratio)
        // A rate that was not kept is another benchmark.
        if sum.missed * 10 > sum.due { run.doubt("\(sum.missed) of \(sum.due) instants went by without a cycle") }
        run.note("failed deliveries", count: sum.failedDeliveries)
        let recorded = try await RecordedRows(in: database)
        run.note("lost or doubled", count: recorded.lostOrDoubled(of: sum.rows))
        // Terminal and simulated machine together: they are one process here.
        run.note("processor", sum.processorSeconds / max(sum.seconds, 0.001), .ratio)
        if let bytes = ProcessProbe().residentBytes { run.note("resident memory", Double(bytes), .bytes) }
    }

    /// From the instant of a reading to its rows, by the ledger.
    private static func wholeWay(_ database: PostgresConfiguration) async throws -> DurationHistogram {
        try await TestDatabase.durations(
            "SELECT extract(epoch FROM applied_at - first_at)::float8 FROM ald.ingest_batches WHERE first_at IS NOT NULL",
            database)
    }
}

/// Mean and standard deviation of a sample.
struct Spread: Hashable, Sendable {
    /// Not a number for an empty sample.
    let mean: Double
    /// Not a number for fewer than two.
    let standardDeviation: Double

    init(_ values: [Double]) {
        let mean = values.reduce(0, +) / Double(values.count)
        self.mean = mean
        let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        standardDeviation = (values.count < 2 ? .nan : squares / Double(values.count - 1)).squareRoot()
    }
}

extension DurationHistogram {
    /// Without what `earlier`, an earlier state of it, holds; for some hundred durations, each within 0.1 %.
    func without(_ earlier: DurationHistogram) -> DurationHistogram {
        var rest = durations
        for duration in earlier.durations {
            // The bucket may be another one, by a rounding.
            guard
                let nearest = rest.indices.min(by: { rest[$0].distance(to: duration) < rest[$1].distance(to: duration) }
                )
            else { break }
            rest.remove(at: nearest)
        }
        return rest.reduce(into: DurationHistogram()) { $0.record($1) }
    }

    private var durations: [Duration] {
        (0..<count).map { percentile((Double($0) + 0.5) / Double(count) * 100) }
    }
}

extension Duration {
    fileprivate func distance(to other: Duration) -> Duration { self < other ? other - self : self - other }
}
