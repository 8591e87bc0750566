import ALDCore

/// How many rows a second batches of different sizes bring into a database, each delivered alone, over and over.
struct BatchEfficiency: Sendable {
    /// The sizes of DB-BI.
    static let sizes = [10, 50, 100, 500, 1000]
    private static let rounds = 5
    /// Not one that a spool draws.
    private static let origin: Int64 = 1

    private var deliveries: [Int: [Duration]] = [:]

    /// Delivers batches of all sizes, in turns.
    static func measure(
        _ sizes: [Int] = sizes, into sink: PostgresSink, machine: Int32, promises: Promises
    ) async throws -> BatchEfficiency {
        let time = SystemTime()
        var (efficiency, number) = (BatchEfficiency(), Int64(0))
        // The first round prepares statements and is not counted.
        for round in 0...rounds {
            for size in sizes {
                let numbers = promises.take(size)
                number += 1
                let batch = Batch(
                    id: BatchID(origin: origin, number: number), machine: machine,
                    records: NumberedRecords.records(numbers, .history))
                let began = time.now
                try await sink.apply(batch, deadline: began + .seconds(30))
                promises.accept(numbers)
                if round > 0 { efficiency.add(size, took: time.now - began) }
            }
        }
        return efficiency
    }

    mutating func add(_ size: Int, took: Duration) { deliveries[size, default: []].append(took) }

    /// Rows a second of batches of this size, by their median: what holds the machine up meets one delivery alone;
    /// `nil` when there was none.
    func rowsPerSecond(_ size: Int) -> Double? {
        guard let times = deliveries[size]?.sorted(), !times.isEmpty else { return nil }
        return Double(size) / max(times[times.count / 2].inSeconds, 0.000_001)
    }

    /// The size that brings in the most rows a second; `nil` when nothing was delivered.
    var best: Int? { deliveries.keys.sorted().max { (rowsPerSecond($0) ?? 0) < (rowsPerSecond($1) ?? 0) } }

    /// What part of the best size's rows a second this one brings in, 0…1; `nil` when it was not delivered.
    func efficiency(_ size: Int) -> Double? {
        guard let best, let most = rowsPerSecond(best), let own = rowsPerSecond(size) else { return nil }
        return own / most
    }

    func note(_ run: ScenarioRun) {
        if let best { run.note("best batch size", count: best) }
        for size in deliveries.keys.sorted() {
            if let rate = rowsPerSecond(size) { run.note("batches of \(size): rows per second", rate, .perSecond) }
            if let part = efficiency(size) { run.note("batches of \(size): efficiency", part, .ratio) }
        }
    }
}

/// What has become of a batch of which some rows broke a rule of the database.
struct PartialBatch: Sendable {
    /// Rows that keep every rule.
    var good: Int
    /// Those of them that are in the table.
    var landed: Int
    /// Rows that break one.
    var bad: Int
    /// Those that were put aside for somebody to look at.
    var letters: Int

    /// What part of the good rows is in the table, 0…1.
    var success: Double { good == 0 ? 1 : Double(landed) / Double(good) }

    func note(_ run: ScenarioRun) {
        run.note("partial batch success", success, .ratio)
        run.note("partial batch: rows put aside", count: letters)
        if letters != bad { run.fail("of a batch with \(bad) bad rows \(letters) were put aside") }
    }
}
