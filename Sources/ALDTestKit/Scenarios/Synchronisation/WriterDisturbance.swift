import ALDCore

/// A writer whose database is disturbed while it works: statements are cancelled, which rolls their transactions back,
/// sessions ended, connections reset. Afterwards deliveries run into timeouts of several lengths.
struct WriterDisturbance: ScenarioWork {
    enum Disturbance: String, CaseIterable {
        case cancelled = "statements cancelled"
        case ended = "sessions ended"
        case reset = "connections reset"
    }

    /// How a test leaves some of them out.
    var disturbances = Disturbance.allCases
    /// How a test plants a bug between whoever delivers and the database.
    var around: @Sendable (any BatchSink) -> any BatchSink = { $0 }
    var unheeded: [RunOption: String] { [.scale: "what is disturbed is one writer, at work all the time"] }
    private static let pause = Duration.milliseconds(50)
    /// How much longer than asked for statements may be cancelled: whoever works in short moments is not met by each look.
    private static let mostExtension = Duration.seconds(20)

    func run(_ run: ScenarioRun) async throws {
        try await withWriter(run, isProxied: true) { rig, proxy, database in
            // A start asks for what may not be there yet, and is refused.
            try await rig.append(kind: .history)
            try await rig.drain()
            let rollbacks = try await RollbackCount(in: database)
            try await rig.withLoad(callers: 2, rows: 20) {
                try await rig.landMore()
                for disturbance in disturbances { try await disturb(run, disturbance, rig, proxy, database) }
            }
            let healed = run.time.now
            try await rig.drain()
            run.note("recovery", run.time.now - healed)
            run.note("failed deliveries", count: rig.writer.statistics.failedAttempts)
            run.note("waits given up", count: rig.pool.statistics.timeouts)
            run.note("transactions rolled back", count: try await rollbacks.read())
            try await TimeoutRecovery.run(run, rig, around: around, database)
        }
    }

    private func disturb(
        _ run: ScenarioRun, _ disturbance: Disturbance, _ rig: WriterRig, _ proxy: FaultProxy,
        _ database: PostgresConfiguration
    ) async throws {
        try await run.fault(disturbance.rawValue) {
            switch disturbance {
            case .cancelled: return try await cancel(run, rig, database)
            case .ended:
                var ended = 0
                try await repeating(run, orUntil: { ended > 0 }) {
                    ended += try await Self.call("pg_terminate_backend", on: TestDatabase.otherSessions, database)
                }
                return ended
            case .reset:
                try await repeating(run, orUntil: { proxy.evidence.resets > 0 }) { proxy.reset() }
                return proxy.evidence.resets
            }
        }
    }

    /// What the writer notices counts: in a session that does nothing there is nothing to cancel.
    private func cancel(_ run: ScenarioRun, _ rig: WriterRig, _ database: PostgresConfiguration) async throws -> Int {
        let before = rig.writer.statistics.failedAttempts
        func bites() -> Int { rig.writer.statistics.failedAttempts - before }
        var cancelled = 0
        try await repeating(run, orUntil: { bites() > 0 }) {
            cancelled += try await Self.call(
                "pg_cancel_backend", on: TestDatabase.otherSessions + " AND state = 'active'", database)
        }
        run.note("statements cancelled", count: cancelled)
        return bites()
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
}
