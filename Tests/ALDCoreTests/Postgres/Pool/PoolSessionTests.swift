import ALDTestKit
import Testing

@testable import ALDCore

extension PostgresServerTests {
    /// What one holder does to his session, and what the next one finds.
    @Suite(.serialized) struct PoolSessions {
        private static let changes = """
            CREATE ROLE somebody; SET ROLE somebody; SET search_path = nowhere; SET "TimeZone" = 'Asia/Tokyo';
            SET lock_timeout = 77; RESET ROLE; CREATE TEMP TABLE mine (i int); LISTEN bell;
            DECLARE kept CURSOR WITH HOLD FOR SELECT 1; SET ROLE somebody
            """

        private static let traces = """
            SELECT concat_ws(' ', current_user = session_user, current_setting('search_path') = 'nowhere',
                current_setting('TimeZone') = 'Asia/Tokyo', current_setting('lock_timeout'),
                (SELECT count(*) FROM pg_class WHERE relname = 'mine'), (SELECT count(*) FROM pg_listening_channels()),
                (SELECT count(*) FROM pg_cursors WHERE name = 'kept'),
                (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
                coalesce(current_setting('ald.acting_for', true), ''))
            """

        /// One connection, lent again and again.
        private func withPool(
            _ reset: PoolSessionReset, _ body: @Sendable (ConnectionPool) async throws -> Void
        ) async throws {
            let owner = try await PostgresTestServer.connect()
            try await owner.execute(script: "DROP ROLE IF EXISTS somebody", deadline: .patience)
            var configuration = try PostgresTestServer.configuration()
            configuration.timeouts = PostgresTimeouts(lock: .milliseconds(1500))
            try await PoolRig.withPool(configuration) {
                $0.maximumConnections = 1
                $0.sessionReset = reset
                $0.pingTimeout = .seconds(60)
            } _: { pool in
                try await body(pool)
                #expect(pool.statistics.connectsStarted == 1, "it was the same session all the time")
            }
            await owner.close()
        }

        private func lend<R: Sendable>(
            _ pool: ConnectionPool, _ body: @Sendable (PostgresConnection) async throws -> R
        ) async throws -> R {
            try await pool.withConnection(holder: "test", deadline: .patience) { try await body($0) }
        }

        private func traces(_ pool: ConnectionPool) async throws -> String {
            try await lend(pool) { connection in
                let result = try await connection.query(Self.traces, deadline: .patience)
                return try #require(result.first).decode(0, as: String.self)
            }
        }

        private let clean = "t f f 1500ms 0 0 0 0 "

        @Test func theNextHolderFindsANewSessionWithItsLimitsAndWhatWasPrepared() async throws {
            try await withPool(.whenTouched) { pool in
                #expect(try await traces(pool) == clean)
                try await lend(pool) { connection in
                    _ = try await connection.query(prepared: "SELECT 'kept'", deadline: .patience)
                    try await connection.execute(script: Self.changes, deadline: .patience)
                    #expect(connection.bearsTrace)
                }
                #expect(try await traces(pool) == clean)
                try await lend(pool) { connection in
                    #expect(!connection.bearsTrace)
                    let prepared = try await connection.query(
                        "SELECT count(*) FROM pg_prepared_statements", deadline: .patience)
                    #expect(try prepared.first?.decode(0, as: Int.self) == 1)
                    _ = try await connection.query(prepared: "SELECT 'kept'", deadline: .patience)
                }
            }
        }

        /// What no command tag tells is undone only by who always resets.
        @Test(arguments: [PoolSessionReset.whenTouched, .always])
        func functionsWithinASelectLeaveNoTraceThatShows(reset: PoolSessionReset) async throws {
            try await withPool(reset) { pool in
                try await lend(pool) { connection in
                    _ = try await connection.query(
                        "SELECT set_config('ald.acting_for', 'miller', false), pg_advisory_lock(4711)",
                        deadline: .patience)
                    #expect(!connection.bearsTrace)
                }
                #expect(try await traces(pool) == (reset == .always ? clean : "t f f 1500ms 0 0 0 1 miller"))
            }
        }

        @Test func whoNeverResetsPassesItOn() async throws {
            try await withPool(.never) { pool in
                try await lend(pool) { try await $0.execute(script: Self.changes, deadline: .patience) }
                #expect(try await traces(pool) == "f t t 77ms 1 1 1 0 ")
            }
        }
    }
}

@Suite(.background) struct SessionTraceTests {
    @Test func whatIsNotKnownToLeaveNothingLeavesATrace() {
        for tag in [
            "", "SELECT 5", "INSERT 0 100", "UPDATE 0", "MERGE 3", "COPY 7", "BEGIN", "COMMIT", "FETCH 1", "SHOW",
        ] {
            #expect(!SessionTrace.isLeft(by: tag), "\(tag)")
        }
        for tag in [
            "SET", "RESET", "LISTEN", "CREATE TABLE", "DO", "CALL", "DISCARD ALL", "PREPARE", "SELECTED 5", "NEW",
        ] {
            #expect(SessionTrace.isLeft(by: tag), "\(tag)")
        }
    }
}
