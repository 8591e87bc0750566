import ALDCore
import Synchronization

/// Counts the sessions of a storm that are in the middle of a transaction, as the server sees them.
final class StormWatch: Sendable {
    /// What the sessions that are counted call themselves.
    static let name = "ald.storm"
    private static let pause = Duration.milliseconds(20)

    private let state = Mutex((most: 0, sum: 0, looks: 0))

    /// At a time, of all looks.
    var most: Int { state.withLock(\.most) }
    /// At a time, on average; `nil` without a look.
    var mean: Double? { state.withLock { $0.looks == 0 ? nil : Double($0.sum) / Double($0.looks) } }

    /// - Returns: how many it were now.
    @discardableResult
    func look(_ connection: PostgresConnection, deadline: MonotonicInstant) async throws -> Int {
        let rows = try await connection.query(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = '\(Self.name)' AND xact_start IS NOT NULL
            """, deadline: deadline)
        let count = Int(try rows.first?.decode(0, as: Int64.self) ?? 0)
        state.withLock { state in
            state.most = max(state.most, count)
            state.sum += count
            state.looks += 1
        }
        return count
    }

    /// Looks again and again while `body` runs.
    func looking<Result: Sendable>(
        _ run: ScenarioRun, _ database: PostgresConfiguration, while body: () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await TestDatabase.withConnection(database) { connection, _ in
                    while true {
                        try await self.look(connection, deadline: run.patience)
                        try await run.time.sleep(for: Self.pause)
                    }
                }
            }
            let result = try await body()
            group.cancelAll()
            return result
        }
    }

    /// Has a crowd begin while the ledger is locked, and lets it go on when all of it is in the middle of a transaction:
    /// a hundred that come one after the other are no hundred at a time.
    ///
    /// - Parameter patience: those that are not there by then are not waited for. ``most`` says how many were.
    func gather(
        _ crowd: Int, patience: Duration, _ run: ScenarioRun, _ database: PostgresConfiguration,
        _ begin: @escaping @Sendable (_ client: Int) async throws -> Void
    ) async throws {
        try await TimeoutRecovery.whileLocked(database) { unlock in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in 0..<crowd { group.addTask { try await begin(client) } }
                try await TestDatabase.withConnection(database) { connection, deadline in
                    let there = try await run.leftovers(
                        "all of them are in a transaction", within: patience, expected: .max, least: crowd
                    ) { try await look(connection, deadline: deadline) }
                    if there < crowd { run.say("of \(crowd) transactions \(there) were under way at a time") }
                }
                try await unlock()
                try await group.waitForAll()
            }
        }
    }
}
