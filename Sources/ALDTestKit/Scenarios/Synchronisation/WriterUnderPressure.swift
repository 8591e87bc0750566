import ALDCore
import Synchronization

/// What a writer allocates: batches of all sizes, the same batch over and over, connections that come and go with batches
/// of any size, and rows that wait while the database is held up. Nothing may rise from round to round, and at no moment
/// may it be too much.
struct WriterMemory: ScenarioWork {
    /// All three of the requirement.
    var sizes = [100, 500, 1000, 2000, 5000]
    var iterations = 50
    var churns = 100
    /// How a test plants a bug between writer and sink.
    var around: @Sendable (any BatchSink) -> any BatchSink = { $0 }
    var unheeded: [RunOption: String] { [.duration: "as many rounds are compared as the requirement says"] }

    /// Bytes beyond what was allocated when the scenario began: the guard of the requirement.
    static let most = 500_000_000.0
    /// Bytes a round that are called a leak, and one that is called high.
    static let leak = 100_000.0
    static let highLeak = 1_000_000.0
    /// Rows of a batch that is landed over and over.
    private static let rows = 1000
    /// So often batches of all sizes are accepted, and while the database is held up.
    private static let turns = 2

    func run(_ run: ScenarioRun) async throws {
        guard let heap = HeapWatch() else {
            return run.doubt("what is allocated is known on Linux with the GNU C library only")
        }
        try await withWriter(run, isProxied: false, around: around) { rig, _, database in
            try await heap.looking(run.time) {
                try await batches(run, rig)
                try await iterate(run, rig)
                try await churn(run, rig)
                try await holdUp(run, rig, database)
            }
        }
        run.note("memory above the beginning", Double(heap.added), .bytes)
    }

    private func land(_ count: Int, _ rig: WriterRig) async throws {
        try await rig.append(count, kind: .history)
        try await eventually("it has landed") { rig.writer.statistics.spooled == 0 }
    }

    private func batches(_ run: ScenarioRun, _ rig: WriterRig) async throws {
        // Connecting, registering and preparing is no batch.
        try await land(run.scaled(Self.rows), rig)
        for size in sizes {
            let heap = HeapWatch()
            try await heap?.looking(run.time) {
                for _ in 0..<Self.turns { try await land(run.scaled(size), rig) }
            }
            if let heap { run.note("batches of \(size): memory", Double(heap.added), .bytes) }
        }
    }

    private func iterate(_ run: ScenarioRun, _ rig: WriterRig) async throws {
        var growth = RoundGrowth()
        for round in 0..<iterations {
            try await land(run.scaled(Self.rows), rig)
            growth.look(run, round: round)
        }
        growth.note(run, as: "growth per round")
    }

    /// A pool and a sink of its own each time, as a process that starts, and a batch of any size that is thrown away.
    private func churn(_ run: ScenarioRun, _ rig: WriterRig) async throws {
        var random = SeededGenerator(seed: run.seed)
        var growth = RoundGrowth()
        for round in 0..<churns {
            let size = Int.random(in: 100...2 * Self.rows, using: &random)
            try await churn(size, round, run, rig)
            growth.look(run, round: round)
        }
        growth.note(run, as: "growth per churn")
    }

    private func churn(_ size: Int, _ round: Int, _ run: ScenarioRun, _ rig: WriterRig) async throws {
        let unused = rig.promises.take(run.scaled(size))
        rig.promises.refuse(unused)
        let thrownAway = batch(unused, number: 2 * round + 1, rig)
        let pool = try ConnectionPool(configuration: rig.options.database, logger: TestDatabase.quiet)
        let sink = around(
            PostgresSink(
                pool: pool, registration: NumberedRecords.registration(machine: rig.options.machine),
                logger: TestDatabase.quiet))
        let numbers = rig.promises.take(10)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            try await sink.apply(batch(numbers, number: 2 * round + 2, rig), deadline: run.patience)
            rig.promises.accept(numbers)
            group.cancelAll()
            try await group.waitForAll()
        }
        withExtendedLifetime(thrownAway) {}
    }

    private func batch(_ numbers: Range<Int64>, number: Int, _ rig: WriterRig) -> Batch {
        // Not an origin that a spool draws.
        Batch(
            id: BatchID(origin: 1, number: Int64(number)), machine: rig.options.machine,
            records: NumberedRecords.records(numbers, .history))
    }

    /// While the ledger is locked batches of all sizes are accepted: they wait on the disk, not here.
    private func holdUp(_ run: ScenarioRun, _ rig: WriterRig, _ database: PostgresConfiguration) async throws {
        let heap = HeapWatch()
        try await TimeoutRecovery.whileLocked(database) { unlock in
            try await heap?.looking(run.time) {
                for size in (0..<Self.turns).flatMap({ _ in sizes }) {
                    try await rig.append(run.scaled(size), kind: .history)
                }
            }
            let waiting = rig.writer.statistics.spooled
            run.note("held up: records that wait", count: waiting)
            run.sometimes("records wait", waiting > 0)
            try await unlock()
        }
        if let heap { run.note("held up: memory", Double(heap.added), .bytes) }
        try await rig.drain()
    }
}

/// What was allocated after rounds that are alike.
struct RoundGrowth: Sendable {
    private var points: [Series.Point] = []

    /// - Parameters:
    ///   - bytes: what was allocated then.
    ///   - round: its number, those that were not looked at included.
    mutating func add(_ bytes: Int, round: Int) {
        points.append(Series.Point(at: Double(round), value: Double(bytes)))
    }

    /// Adds what is allocated now.
    mutating func look(_ run: ScenarioRun, round: Int) {
        guard let heap = ProcessProbe.heapBytes else { return }
        run.sample("heap in use", Double(heap), .bytes)
        add(heap, round: round)
    }

    /// Of a round, bytes; `nil` when there were too few. The first fifth fills caches and pools.
    var perRound: Double? { RobustSlope.of(Array(points.dropFirst(points.count / 5))) }

    func note(_ run: ScenarioRun, as name: String) {
        guard let perRound else { return }
        run.note(name, perRound, .bytes)
        if perRound > WriterMemory.highLeak { run.say("\(name): a high leak") }
    }
}

extension ScenarioWork {
    /// Runs `body` with a writer on a database of its own; afterwards everything that was accepted must have landed, once.
    func withWriter(_ run: ScenarioRun, _ body: (WriterRig) async throws -> Void) async throws {
        try await withWriter(run, isProxied: false) { rig, _, _ in try await body(rig) }
    }

    /// - Parameters:
    ///   - around: puts something between writer and sink.
    ///   - body: given the proxy before the database, too, and how to reach the database without it.
    func withWriter(
        _ run: ScenarioRun, isProxied: Bool, around: @escaping @Sendable (any BatchSink) -> any BatchSink = { $0 },
        _ body: (WriterRig, FaultProxy, PostgresConfiguration) async throws -> Void
    ) async throws {
        try await run.host.withDatabase { database in
            try await ProxiedDatabase.run(before: database, seed: run.seed) { proxy, proxied in
                try await withTemporaryDirectory(in: run.host.directory()) { directory in
                    var options = WriterRig.Options(directory: directory, database: isProxied ? proxied : database)
                    options.around = around
                    let promises = Promises()
                    let audit = try await WriterRig.run(options, promises: promises) { rig in
                        try await body(rig, proxy, database)
                        try await rig.drain()
                        return try await rig.audit()
                    }
                    audit.note(run)
                }
            }
        }
    }
}
