import ALDCore

/// A statement that never returns: it is given up at its deadline and ended in the server, and the pool goes on.
struct StatementHang: ScenarioWork {
    var limit: Duration = .seconds(1)
    var unheeded: [RunOption: String] {
        [.duration: "a statement hangs three times", .scale: "it takes one statement"]
    }

    func run(_ run: ScenarioRun) async throws {
        try await run.withMeteredDatabase { database in
            let pool = try ConnectionPool(
                configuration: database.withApplicationName(Self.name), logger: TestDatabase.quiet)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                try await Self.makeStuck(database)
                var account = HangAccount(limit: limit)
                try await run.fault("a statement that never returns") {
                    var seen = 0
                    for _ in 0..<3 {
                        async let isSeen = isSeen(run, database)
                        account.attempts.append(try await attempt(run, pool))
                        if try await isSeen { seen += 1 }
                    }
                    return seen
                }
                account.rowsAfterwards = try await query("SELECT 1", pool, deadline: run.patience)
                do {
                    try await eventually("the server has ended them, and nobody has a connection") {
                        try await Self.hanging(database) == 0 && pool.statistics.leased == 0
                    }
                } catch let problem as NeverHappened {
                    // The account says which of them.
                    run.say("\(problem)")
                }
                account.hanging = try await Self.hanging(database)
                account.kept = pool.statistics.leased + pool.statistics.reclaimed
                account.note(run)
                run.note("connection timeouts", count: pool.statistics.timeouts)
                group.cancelAll()
                try await group.waitForAll()
            }
        }
    }

    private func attempt(_ run: ScenarioRun, _ pool: ConnectionPool) async throws -> HangAccount.Attempt {
        let began = run.time.now
        do {
            _ = try await query(Self.statement, pool, deadline: began + limit)
            return HangAccount.Attempt(took: run.time.now - began, error: nil)
        } catch let error as PostgresError {
            run.say("\(error)")
            return HangAccount.Attempt(took: run.time.now - began, error: error.code)
        }
    }

    /// Whether the server is seen at a statement that hangs, while it may.
    private func isSeen(_ run: ScenarioRun, _ database: PostgresConfiguration) async throws -> Bool {
        let end = run.time.now + limit
        repeat {
            if try await Self.hanging(database) > 0 { return true }
            try await run.time.sleep(for: .milliseconds(20))
        } while run.time.now < end
        return false
    }

    private func query(
        _ statement: String, _ pool: ConnectionPool, deadline: MonotonicInstant
    ) async throws -> Int {
        try await pool.withConnection(holder: "hang", lane: .reader, deadline: deadline) { connection in
            try await connection.query(statement, deadline: deadline).count
        }
    }

    // MARK: What hangs

    /// Of the sessions that are watched.
    static let name = "ald.hang"
    static let statement = "SELECT never FROM stuck"

    /// A view that waits for ever, as a statement behind a forgotten lock does.
    static func makeStuck(_ database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) {
            _ = try await $0.execute(
                script: "CREATE VIEW stuck AS SELECT pg_sleep(1000000)::text AS never", deadline: $1)
        }
    }

    /// How many sessions still execute it.
    static func hanging(_ database: PostgresConfiguration) async throws -> Int {
        try await TestDatabase.number(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = '\(name)' AND state = 'active' AND query LIKE '%stuck%'
            """, database)
    }
}

/// What has become of statements that never return, and of what they held.
struct HangAccount: Sendable {
    struct Attempt: Sendable {
        var took: Duration
        /// `nil`: the statement returned.
        var error: PostgresError.Code?
    }

    var limit: Duration
    var attempts: [Attempt] = []
    /// Of a statement that returns one.
    var rowsAfterwards = 0
    /// Sessions that still execute one of them.
    var hanging = 0
    /// Connections that were not given back, or that the pool had to take.
    var kept = 0

    func note(_ run: ScenarioRun) {
        var took = DurationHistogram()
        for attempt in attempts {
            took.record(attempt.took)
            switch attempt.error {
            case .timedOut: break
            case nil: run.fail("the statement returned")
            case let error?: run.fail("given up as \(error)")
            }
        }
        run.note("timed out", took)
        run.note("timed out after", took.percentile(0).inSeconds, .seconds)
        run.note("over the limit", took.max - limit)
        run.note("statement afterwards", count: rowsAfterwards)
        run.note("backends that still hang", count: hanging)
        run.note("connections not given back", count: kept)
    }
}
