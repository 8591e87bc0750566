import ALDCore

/// A statement that never returns: it is given up at its deadline and ended in the server, and the pool goes on.
struct StatementHang: ScenarioWork {
    var limit: Duration = .seconds(1)

    func run(_ run: ScenarioRun) async throws {
        try await run.host.withDatabase { database in
            let named = database.withApplicationName("ald.hang")
            let pool = try ConnectionPool(configuration: named, logger: TestDatabase.quiet)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                // A view that waits for ever, as a statement behind a forgotten lock does.
                try await TestDatabase.withConnection(database) {
                    _ = try await $0.execute(
                        script: "CREATE VIEW stuck AS SELECT pg_sleep(1000000)::text AS never", deadline: $1)
                }
                var took = DurationHistogram()
                try await run.fault("a statement that never returns") {
                    for _ in 0..<3 {
                        let began = run.time.now
                        do {
                            _ = try await query("SELECT never FROM stuck", pool, deadline: began + limit)
                            run.fail("the statement returned")
                        } catch let error as PostgresError {
                            run.say("\(error)")
                            if error.code != .timedOut { run.fail("given up as \(error.code)") }
                        }
                        took.record(run.time.now - began)
                    }
                    return took.count
                }
                run.note("timed out", took)
                run.note("timed out after", took.percentile(0).inSeconds, .seconds)
                run.note("over the limit", took.max - limit)
                let rows = try await query("SELECT 1", pool, deadline: run.patience)
                run.note("statement afterwards", count: rows)
                let hanging = """
                    SELECT count(*) FROM pg_stat_activity
                    WHERE application_name = 'ald.hang' AND state = 'active' AND query LIKE '%stuck%'
                    """
                try await eventually("the server has ended them") {
                    try await TestDatabase.number(hanging, database) == 0
                }
                run.note("backends that still hang", count: try await TestDatabase.number(hanging, database))
                group.cancelAll()
                try await group.waitForAll()
            }
        }
    }

    private func query(
        _ statement: String, _ pool: ConnectionPool, deadline: MonotonicInstant
    ) async throws -> Int {
        try await pool.withConnection(holder: "hang", lane: .reader, deadline: deadline) { connection in
            try await connection.query(statement, deadline: deadline).count
        }
    }
}
