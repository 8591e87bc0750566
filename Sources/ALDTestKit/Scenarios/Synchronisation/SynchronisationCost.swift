import ALDCore

/// The same cycles with and without current values beside the history, in turns in one run, so that whatever else the
/// machine does meets both.
struct SynchronisationCost: ScenarioWork {
    var parameters = 84
    /// Cycles per second.
    var rate = 20.0
    private static let rounds = 6

    private struct Side {
        var times = DurationHistogram()
        var rows = 0
        var seconds = 0.0
        var failures = 0
        var heap = 0

        /// Of the cycles; those that failed have a time, too.
        var success: Double { Double(times.count - failures) / Double(max(1, times.count)) }
        /// Rows a second.
        var throughput: Double { Double(rows) / max(seconds, 0.001) }

        mutating func add(_ other: Side) {
            times.add(other.times)
            rows += other.rows
            seconds += other.seconds
            failures += other.failures
            heap = max(heap, other.heap)
        }
    }

    func run(_ run: ScenarioRun) async throws {
        try await run.host.withDatabase { database in
            var sides: [PostgresSink.Recording: Side] = [:]
            // Synchronised to history alone, round by round: what holds the machine up in one of them is one of many.
            var throughputs: [Double] = []
            for round in 0..<Self.rounds {
                // Whoever comes first in a round has the colder caches.
                let order: [PostgresSink.Recording] =
                    round % 2 == 0 ? [.historyOnly, .synchronized] : [.synchronized, .historyOnly]
                var parts: [PostgresSink.Recording: Side] = [:]
                for recording in order {
                    let part = try await measure(recording, round, run, database)
                    sides[recording, default: Side()].add(part)
                    parts[recording] = part
                }
                if let plain = parts[.historyOnly], let both = parts[.synchronized] {
                    throughputs.append(both.throughput / max(plain.throughput, 0.001))
                }
            }
            guard let plain = sides[.historyOnly], let both = sides[.synchronized] else { return }
            note(run, plain, both, throughput: throughputs.sorted()[throughputs.count / 2])
        }
    }

    /// - Parameter throughput: of the synchronised side, as a part of the other's.
    private func note(_ run: ScenarioRun, _ plain: Side, _ both: Side, throughput: Double) {
        run.note("history alone: landing", plain.times)
        run.note("synchronised: landing", both.times)
        run.note("history alone: rows", plain.throughput, .perSecond)
        run.note("synchronised: rows", both.throughput, .perSecond)
        run.note("history alone: heap", Double(plain.heap), .bytes)
        run.note("synchronised: heap", Double(both.heap), .bytes)
        run.note("history alone: success", plain.success, .ratio)
        run.note("synchronised: success", both.success, .ratio)
        run.note("throughput reduction", 1 - throughput, .ratio)
        let (before, after) = (plain.times.percentile(50).inSeconds, both.times.percentile(50).inSeconds)
        run.note("latency increase", after / before - 1, .ratio)
        run.note("memory increase", Double(both.heap) / Double(max(1, plain.heap)) - 1, .ratio)
        let (all, failures) = (plain.times.count + both.times.count, plain.failures + both.failures)
        run.note("success", Double(all - failures) / Double(max(1, all)), .ratio)
        let impact = SynchronisationImpact(
            throughputReduction: 1 - throughput, latencyIncrease: after / before - 1)
        run.say("impact of the synchronisation: \(impact.rawValue)")
    }

    private func measure(
        _ recording: PostgresSink.Recording, _ round: Int, _ run: ScenarioRun, _ database: PostgresConfiguration
    ) async throws -> Side {
        let map = try GeneratedMachine.registerMap(parameters: run.scaled(parameters), seed: run.seed)
        let device = SimulatedPLC(map, seed: run.seed)
        let pool = try ConnectionPool(configuration: database, logger: TestDatabase.quiet)
        let sink = PostgresSink(
            pool: pool, registration: MachineRegistration(machine: 1, name: "ALD-1", registerMap: map),
            recording: recording, logger: TestDatabase.quiet)
        let heap = ProcessProbe.heapBytes ?? 0
        var side = Side()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            let origin = Int64(run.seed % 1_000_000) * 100 + Int64(round) * 2 + (recording == .synchronized ? 1 : 0) + 1
            let loop = OpenLoop(rate: rate, duration: run.duration / (2 * Self.rounds), clients: 1)
            let began = run.time.now
            let report = try await loop.run { _, number in
                let records = Records(try await device.scan(deadline: run.patience))
                let batch = Batch(
                    id: BatchID(origin: origin, number: Int64(number + 1)), machine: 1, records: records)
                try await sink.apply(batch, deadline: run.patience)
            }
            side.seconds = (run.time.now - began).inSeconds
            side.times = report.service
            side.rows = report.succeeded * map.parameters.count
            side.failures = report.failed
            side.heap = max(0, (ProcessProbe.heapBytes ?? 0) - heap)
            if let error = report.firstError { run.say(error) }
            group.cancelAll()
            try await group.waitForAll()
        }
        return side
    }
}
