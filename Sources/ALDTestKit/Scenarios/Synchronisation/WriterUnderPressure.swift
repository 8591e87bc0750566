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

/// A writer whose database is disturbed while it works: statements are cancelled, which rolls their transactions back,
/// sessions ended, connections reset.
struct WriterDisturbance: ScenarioWork {
    var unheeded: [RunOption: String] { [.scale: "what is disturbed is one writer, at work all the time"] }
    private static let pause = Duration.milliseconds(50)
    /// How much longer than asked for statements may be cancelled: whoever works in short moments is not met by each look.
    private static let mostExtension = Duration.seconds(20)

    private static let sessions =
        "pid <> pg_backend_pid() AND datname = current_database() AND backend_type = 'client backend'"

    func run(_ run: ScenarioRun) async throws {
        try await withWriter(run, isProxied: true) { rig, proxy, database in
            // A start asks for what may not be there yet, and is refused.
            try await rig.append(kind: .history)
            try await rig.drain()
            let before = try await Self.rollbacks(database)
            try await rig.withLoad(callers: 2, rows: 20) {
                try await cancel(run, rig, database)
                try await run.fault("sessions ended") {
                    var ended = 0
                    try await repeating(run, orUntil: { ended > 0 }) {
                        ended += try await Self.call("pg_terminate_backend", on: Self.sessions, database)
                    }
                    return ended
                }
                try await run.fault("connections reset") {
                    try await repeating(run, orUntil: { proxy.evidence.resets > 0 }) { proxy.reset() }
                    return proxy.evidence.resets
                }
            }
            let healed = run.time.now
            try await rig.drain()
            run.note("recovery", run.time.now - healed)
            run.note("failed deliveries", count: rig.writer.statistics.failedAttempts)
            run.note("waits given up", count: rig.pool.statistics.timeouts)
            try await noteRollbacks(run, after: before, database)
        }
    }

    /// What the writer notices counts: in a session that does nothing there is nothing to cancel.
    private func cancel(_ run: ScenarioRun, _ rig: WriterRig, _ database: PostgresConfiguration) async throws {
        try await run.fault("statements cancelled") {
            let before = rig.writer.statistics.failedAttempts
            func bites() -> Int { rig.writer.statistics.failedAttempts - before }
            var cancelled = 0
            try await repeating(run, orUntil: { bites() > 0 }) {
                cancelled += try await Self.call(
                    "pg_cancel_backend", on: Self.sessions + " AND state = 'active'", database)
            }
            run.note("statements cancelled", count: cancelled)
            return bites()
        }
    }

    /// - Returns: on how many sessions of this kind the server's function was called.
    private static func call(
        _ function: String, on sessions: String, _ database: PostgresConfiguration
    ) async throws -> Int {
        try await TestDatabase.number(
            "SELECT count(\(function)(pid)) FROM pg_stat_activity WHERE \(sessions)", database)
    }

    /// - Parameter isFelt: without this it goes on, ``mostExtension`` longer at the most.
    private func repeating(
        _ run: ScenarioRun, orUntil isFelt: () -> Bool = { true }, _ body: () async throws -> Void
    ) async throws {
        let end = run.time.now + run.duration / 3
        while run.time.now < end || !isFelt() && run.time.now < end + Self.mostExtension {
            try await run.time.sleep(for: Self.pause)
            try await body()
        }
    }

    /// How many transactions of this database were not committed, as far as its sessions have said so.
    private static func rollbacks(_ database: PostgresConfiguration) async throws -> Int {
        try await TestDatabase.number(
            "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()", database)
    }

    private func noteRollbacks(
        _ run: ScenarioRun, after before: Int, _ database: PostgresConfiguration
    ) async throws {
        var count = 0
        do {
            // A session tells what it has counted when it has nothing else to do.
            try await eventually("the server has counted what was rolled back") {
                count = try await Self.rollbacks(database) - before
                return count > 0
            }
        } catch let problem as NeverHappened {
            run.say("\(problem)")
        }
        run.note("transactions rolled back", count: count)
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
