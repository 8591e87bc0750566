import ALDCore

/// A writer whose batches get larger and larger, over and over: what it has allocated must not rise from round to round.
struct WriterMemory: ScenarioWork {
    var unheeded: [RunOption: String] { [.duration: "as many rounds are compared as it takes"] }
    private static let sizes = [100, 500, 1000, 2000, 5000]
    private static let rounds = 50

    func run(_ run: ScenarioRun) async throws {
        try await withWriter(run) { rig in
            var growth = RoundGrowth()
            for round in 0..<Self.rounds {
                try await rig.append(run.scaled(Self.sizes[round % Self.sizes.count]), kind: .history)
                try await eventually("it has landed") { rig.writer.statistics.spooled == 0 }
                // Of equal rounds, so that the size of a batch does not count.
                guard round % Self.sizes.count == Self.sizes.count - 1, let heap = ProcessProbe.heapBytes else {
                    continue
                }
                run.sample("heap in use", Double(heap), .bytes)
                growth.add(heap, round: round)
            }
            growth.note(run)
        }
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

    /// Of a round, bytes; `nil` when there were too few. The first ones fill caches and pools.
    var perRound: Double? { RobustSlope.of(Array(points.dropFirst(2))) }

    func note(_ run: ScenarioRun) {
        if let perRound { run.note("growth per round", perRound, .bytes) }
    }
}

extension ScenarioWork {
    /// Runs `body` with a writer on a database of its own; afterwards everything that was accepted must have landed, once.
    func withWriter(_ run: ScenarioRun, _ body: (WriterRig) async throws -> Void) async throws {
        try await withWriter(run, isProxied: false) { rig, _, _ in try await body(rig) }
    }

    /// - Parameter body: given the proxy before the database, too, and how to reach the database without it.
    func withWriter(
        _ run: ScenarioRun, isProxied: Bool, _ body: (WriterRig, FaultProxy, PostgresConfiguration) async throws -> Void
    ) async throws {
        try await run.host.withDatabase { database in
            try await ProxiedDatabase.run(before: database, seed: run.seed) { proxy, proxied in
                try await withTemporaryDirectory(in: run.host.directory()) { directory in
                    let options = WriterRig.Options(directory: directory, database: isProxied ? proxied : database)
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
