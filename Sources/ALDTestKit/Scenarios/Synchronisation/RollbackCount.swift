import ALDCore

/// How many transactions of a database were not committed since a moment, exactly.
///
/// A session tells the server what it has counted when it has done nothing else for a second, and at its end. What was
/// rolled back before the moment would count as rolled back after it, so all sessions are ended when it begins and when
/// it is read. Whoever has one must be able to lose it.
struct RollbackCount: Sendable {
    private let database: PostgresConfiguration
    private let before: Int

    /// Begins now.
    ///
    /// - Throws: ``NeverHappened`` when a session is not gone after half a minute.
    init(in database: PostgresConfiguration) async throws {
        self.database = database
        before = try await Self.total(database)
    }

    /// Up to now, what is under way included: it is rolled back by this.
    ///
    /// - Throws: ``NeverHappened`` when a session is not gone after half a minute.
    func read() async throws -> Int { try await Self.total(database) - before }

    private static func total(_ database: PostgresConfiguration) async throws -> Int {
        try await endSessions(database)
        return try await TestDatabase.number(
            "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()", database)
    }

    /// Nothing that is about to end by itself is rolled back for it. What a session has counted is told before it is gone from the list of sessions.
    private static func endSessions(_ database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) { connection, deadline in
            try await eventually("nothing is under way") {
                try await connection.query(
                    "SELECT 1 FROM pg_stat_activity WHERE \(TestDatabase.otherSessions) AND state = 'active'",
                    deadline: deadline
                ).isEmpty
            }
            let rows = try await connection.query(
                "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE \(TestDatabase.otherSessions)",
                deadline: deadline)
            let ended = PostgresValue.int4Array(try rows.map { try $0.decode(0, as: Int32.self) })
            try await eventually("the sessions are gone") {
                try await connection.query(
                    "SELECT 1 FROM pg_stat_activity WHERE pid = ANY ($1)", [ended], deadline: deadline
                ).isEmpty
            }
        }
    }
}
