import ALDCore
import Synchronization

/// The same cycles with and without current values beside the history, in turns in one run, so that whatever else the
/// machine does meets both. Each round has two parts: cycles at a fixed rate show how late they land, one side after the
/// other; cycles one after the other how many can be done, now of the one side and now of the other.
///
/// The second part takes turns by the cycle because a client and its server stay for seconds on the processors they
/// have met on, which makes a cycle quicker or slower by half whatever it does.
struct SynchronisationCost: ScenarioWork {
    var parameters = 84
    /// Cycles per second of the first part.
    var rate = 40.0
    /// What the sink of a side is really told; a test may tell it something else.
    var recording: @Sendable (PostgresSink.Recording) -> PostgresSink.Recording = { $0 }
    /// How a test plants a bug between a side and the database.
    var around: @Sendable (PostgresSink.Recording, any BatchSink) -> any BatchSink = { $1 }
    private static let rounds = 8
    /// Done by each side of a round before those that are timed: while they are done memory is looked at all the time,
    /// which would make the others later.
    private static let watchedCycles = 6
    /// Of a round, what the fixed rate has.
    private static let openShare = 0.5

    func run(_ run: ScenarioRun) async throws {
        try await run.host.withDatabase { database in
            let slice = run.duration / (2 * Self.rounds)
            var account = SynchronisationAccount()
            // What this process and the server do once must not count against whoever comes first.
            for recording in [PostgresSink.Recording.historyOnly, .synchronized] {
                _ = try await measure(
                    recording, round: Self.rounds, lasting: .milliseconds(50), &account, run, database)
            }
            var comparison = SynchronisationComparison(rate: rate)
            // Also of a run that is cut off: the rounds that are whole say what they say.
            defer { note(run, comparison) }
            for round in 0..<Self.rounds {
                try await compare(&comparison, &account, round, slice, run, database)
            }
            account.note(run, try await RecordedRows(in: database))
        }
    }

    private func compare(
        _ comparison: inout SynchronisationComparison, _ account: inout SynchronisationAccount, _ round: Int,
        _ slice: Duration, _ run: ScenarioRun, _ database: PostgresConfiguration
    ) async throws {
        // Whoever comes first in a round has the colder caches.
        let order: [PostgresSink.Recording] =
            round % 2 == 0 ? [.historyOnly, .synchronized] : [.synchronized, .historyOnly]
        var sides: [PostgresSink.Recording: SynchronisationSide] = [:]
        for recording in order {
            sides[recording] = try await measure(recording, round: round, lasting: slice, &account, run, database)
        }
        try await race(&sides, round, lasting: slice * 2 * (1 - Self.openShare), &account, run, database)
        guard let plain = sides[.historyOnly], let both = sides[.synchronized] else { return }
        comparison.add(plain: plain, both: both)
        for (name, side) in [("history alone", plain), ("synchronised", both)] {
            if let heap = side.heap { run.sample("\(name): heap added", Double(heap), .bytes) }
        }
    }

    private func note(_ run: ScenarioRun, _ comparison: SynchronisationComparison) {
        guard comparison.rounds > 0 else { return }
        note(run, "history alone", comparison.plain)
        note(run, "synchronised", comparison.both)
        run.note("throughput reduction", comparison.throughputReduction, .ratio)
        run.note("latency increase", comparison.latencyIncrease, .ratio)
        run.note("memory increase", comparison.memoryIncrease, .ratio)
        if let with = comparison.both.heap, let without = comparison.plain.heap {
            run.note("memory for each parameter", Double(with - without) / Double(run.scaled(parameters)), .bytes)
        }
        run.note("success", comparison.success, .ratio)
        for doubt in comparison.doubts { run.doubt(doubt) }
        run.note("cycles a side", count: comparison.fewest)
        run.say("impact of the synchronisation: \(comparison.impact?.rawValue ?? "not known")")
    }

    private func note(_ run: ScenarioRun, _ name: String, _ side: SynchronisationSide) {
        let parameters = Double(run.scaled(parameters))
        run.note("\(name): landing", side.open.latency)
        if let mean = side.open.meanLatency { run.note("\(name): landing mean", mean) }
        run.note("\(name): rows", side.throughput * parameters, .perSecond)
        if let heap = side.heap { run.note("\(name): heap", Double(heap), .bytes) }
        run.note("\(name): success", side.success, .ratio)
        run.note("\(name): deadlocks", count: side.deadlocks)
        run.note("\(name): dropped", count: side.open.dropped)
        if side.transactions > 0 { run.note("\(name): transaction mean", side.held / side.transactions) }
        let cycles = Double(max(1, side.open.succeeded + side.open.failed))
        run.note("\(name): processor time a cycle", side.processorSeconds / cycles, .seconds)
        if let error = side.open.firstError ?? side.closed.firstError { run.say("\(name): \(error)") }
    }

    // MARK: One side after the other

    private func measure(
        _ recording: PostgresSink.Recording, round: Int, lasting slice: Duration,
        _ account: inout SynchronisationAccount, _ run: ScenarioRun, _ database: PostgresConfiguration
    ) async throws -> SynchronisationSide {
        let isFirst = account.landed == 0
        let deadlocks = try await StormAccount.deadlocks(run, database)
        // Before the first cycle of all there is no schema to ask.
        let current = isFirst ? CurrentValues() : try await CurrentValues(in: database)
        // With room for its histograms: what we count with is not to count.
        var side = SynchronisationSide()
        let heap = HeapWatch()
        let cycle = try cycle(recording, 4 * round + (recording == .synchronized ? 1 : 0), database, run)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await cycle.pool.run() }
            // Connecting and registering are no cycle.
            try await cycle.land(0, by: run.patience)
            try await heap?.looking(run.time) {
                for number in 1...Self.watchedCycles { try await cycle.land(number, by: run.patience) }
            }
            let (before, processor) = (cycle.pool.statistics.use, ProcessProbe().processorSeconds)
            try await load(&side, cycle, slice, run)
            let (after, spent) = (cycle.pool.statistics.use, ProcessProbe().processorSeconds)
            heap?.look()
            side.heap = heap?.added
            side.processorSeconds = (spent ?? 0) - (processor ?? 0)
            (side.held, side.transactions) = (after.total - before.total, after.count - before.count)
            group.cancelAll()
            try await group.waitForAll()
        }
        side.deadlocks = try await StormAccount.deadlocks(run, database) - deadlocks
        account.add(
            cycle.record, isSynchronized: recording == .synchronized, before: current,
            after: try await CurrentValues(in: database))
        return side
    }

    /// In a function of its own, so that its report is gone when memory is looked at.
    private func load(
        _ side: inout SynchronisationSide, _ cycle: Cycle, _ slice: Duration, _ run: ScenarioRun
    ) async throws {
        var open = OpenLoop(rate: rate, duration: slice * Self.openShare, clients: 1)
        // Bounds how long a rate that is too high takes, and forgives a moment without a processor.
        open.patience = max(.seconds(1), open.duration)
        side.open.add(
            try await open.run { _, number in
                try await cycle.land(1 + Self.watchedCycles + number, by: run.patience)
            })
    }

    // MARK: Both in turns

    private func race(
        _ sides: inout [PostgresSink.Recording: SynchronisationSide], _ round: Int, lasting duration: Duration,
        _ account: inout SynchronisationAccount, _ run: ScenarioRun, _ database: PostgresConfiguration
    ) async throws {
        let plain = try cycle(.historyOnly, 4 * round + 2, database, run)
        let both = try cycle(.synchronized, 4 * round + 3, database, run)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for cycle in [plain, both] {
                group.addTask { try await cycle.pool.run() }
                try await cycle.land(0, by: run.patience)
            }
            let end = run.time.now + duration
            var number = 1
            var turns = [(PostgresSink.Recording.historyOnly, plain), (.synchronized, both)]
            repeat {
                for (recording, cycle) in turns {
                    let began = run.time.now
                    let failure = try await LoadProgress.failure { try await cycle.land(number, by: run.patience) }
                    sides[recording]?.addClosed(from: began, to: run.time.now, failure: failure)
                }
                // Neither always comes after the other.
                turns.reverse()
                number += 1
            } while run.time.now < end
            // The last to land: what it writes beside the history would be seen.
            try await plain.land(number, by: run.patience)
            group.cancelAll()
            try await group.waitForAll()
        }
        let after = try await CurrentValues(in: database)
        account.add(both.record, isSynchronized: true, before: after, after: after)
        account.add(plain.record, isSynchronized: false, before: after, after: after)
    }

    /// - Parameter number: of all of a run another one.
    private func cycle(
        _ recording: PostgresSink.Recording, _ number: Int, _ database: PostgresConfiguration, _ run: ScenarioRun
    ) throws -> Cycle {
        let map = try run.generatedMachine(parameters: parameters)
        let pool = try ConnectionPool(configuration: database, logger: TestDatabase.quiet)
        return Cycle(
            device: SimulatedPLC(map, seed: run.seed), pool: pool,
            sink: around(
                recording,
                PostgresSink(
                    pool: pool, registration: MachineRegistration(machine: 1, name: "ALD-1", registerMap: map),
                    recording: self.recording(recording), logger: TestDatabase.quiet)),
            origin: Int64(run.seed % 1_000_000) * 100 + Int64(number) + 1)
    }

    /// Reads the machine and lands what it said, through a pool of its own.
    private final class Cycle: Sendable {
        let pool: ConnectionPool
        private let device: SimulatedPLC
        private let sink: any BatchSink
        private let origin: Int64
        private let state = Mutex(CycleRecord())

        init(device: SimulatedPLC, pool: ConnectionPool, sink: any BatchSink, origin: Int64) {
            (self.device, self.pool, self.sink, self.origin) = (device, pool, sink, origin)
        }

        var record: CycleRecord { state.withLock(\.self) }

        func land(_ number: Int, by deadline: MonotonicInstant) async throws {
            let records = Records(try await device.scan(deadline: deadline))
            let batch = Batch(id: BatchID(origin: origin, number: Int64(number + 1)), machine: 1, records: records)
            guard case .history(let rows) = records else { return }
            do {
                try await sink.apply(batch, deadline: deadline)
            } catch {
                state.withLock { $0.fail(rows) }
                throw error
            }
            state.withLock { $0.land(rows) }
        }
    }
}
