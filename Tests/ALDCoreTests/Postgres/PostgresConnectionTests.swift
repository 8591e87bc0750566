import ALDTestKit
import Foundation
import Logging
import Synchronization
import Testing

@testable import ALDCore

extension PostgresServerTests {
    @Suite struct Connections {
        @Test func answersAStatementWithTypedValues() async throws {
            let connection = try await PostgresTestServer.connect()
            let result = try await connection.query(
                "SELECT $1::int8 AS count, $2::text AS name, NULL::float8 AS missing", [.int8(42), .text("Füllstand")],
                deadline: .patience)
            let row = try #require(result.first)
            #expect(try row.decode("count", as: Int64.self) == 42)
            #expect(try row.decode("name", as: String.self) == "Füllstand")
            #expect(try row.decode("missing", as: Double?.self) == nil)
            #expect(throws: PostgresError.self) { try row.decode("missing", as: Double.self) }
            #expect(throws: PostgresError.self) { try row.decode("nowhere", as: Double.self) }
            #expect(result.commandTag == "SELECT 1")
            #expect(result.rowsAffected == 1)
            await connection.close()
            #expect(await !connection.isUsable)
        }

        @Test func everyParameterTypeComesBackUnchanged() async throws {
            let connection = try await PostgresTestServer.connect()
            let moment = Timestamp(microseconds: 1_700_000_000_123_456)
            let uuid = try #require(UUID(uuidString: "00112233-4455-6677-8899-AABBCCDDEEFF"))
            let row = try #require(
                try await connection.query(
                    """
                    SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e, $6 AS f, $7 AS g, $8 AS h, $9 AS i, $10 AS j,
                        $11 AS k, $12 AS l, $13 AS m, $14 AS n
                    """,
                    [
                        .bool(true), .int2(-7), .int4(1 << 30), .float8(-0.1), .bytea([0, 255]), .timestamptz(moment),
                        .jsonb(#"{"a": 1}"#), .int2Array([1, 2]), .int4Array([]), .int8Array([.min, .max]),
                        .float8Array([1.5, nil, .infinity]), .timestamptzArray([moment]), .textArray(["", "ö"]),
                        .uuid(uuid),
                    ], deadline: .patience
                ).first)
            #expect(try row.decode("a", as: Bool.self))
            #expect(try row.decode("b", as: Int16.self) == -7)
            #expect(try row.decode("c", as: Int32.self) == 1 << 30)
            #expect(try row.decode("d", as: Double.self) == -0.1)
            #expect(try row.decode("e", as: [UInt8].self) == [0, 255])
            #expect(try row.decode("f", as: Timestamp.self) == moment)
            #expect(try row.decode("g", as: String.self) == #"{"a": 1}"#)
            #expect(try row.decode("h", as: [Int16].self) == [1, 2])
            #expect(try row.decode("i", as: [Int32].self) == [])
            #expect(try row.decode("j", as: [Int64].self) == [.min, .max])
            #expect(try row.decode("k", as: [Double?].self) == [1.5, nil, .infinity])
            #expect(throws: PostgresError.self) { try row.decode("k", as: [Double].self) }
            #expect(try row.decode("l", as: [Timestamp].self) == [moment])
            #expect(try row.decode("m", as: [String].self) == ["", "ö"])
            #expect(try row.decode("n", as: String.self) == "00112233-4455-6677-8899-aabbccddeeff")
            await connection.close()
        }

        @Test func anAnswerThatIsAnErrorKeepsTheConnection() async throws {
            let connection = try await PostgresTestServer.connect()
            try await connection.execute(
                script: "CREATE TEMP TABLE t (v int CONSTRAINT small CHECK (v < 10)); INSERT INTO t VALUES (1)",
                deadline: .patience)
            let error = try await failure {
                _ = try await connection.query("INSERT INTO t VALUES ($1)", [.int4(11)], deadline: .patience)
            }
            #expect(error.code == .queryFailed)
            #expect(error.sqlState == .checkViolation)
            #expect(error.constraintName == "small")
            #expect(error.tableName == "t")
            #expect(error.effect == .notApplied)
            #expect(!error.endsConnection)
            #expect(await connection.isClean)
            await connection.close()
        }

        @Test func moreThanASocketBufferGoesBothWays() async throws {
            let connection = try await PostgresTestServer.connect()
            let bytes = await inBackground { (0..<20_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) } }
            let result = try await connection.query(
                "SELECT $1::bytea AS b", [.bytea(bytes)], deadline: .patience)
            #expect(try #require(result.first).decode("b", as: [UInt8].self) == bytes)
            await connection.close()
        }

        @Test func theFirstErrorOfATerminatedSessionIsKept() async throws {
            let victim = try await PostgresTestServer.connect()
            let killer = try await PostgresTestServer.connect()
            let pid = await victim.backendProcessID
            async let outcome = failure {
                _ = try await victim.query("SELECT pg_sleep(60)", deadline: .patience)
            }
            try await PostgresTestServer.waitUntil(
                "SELECT state = 'active' FROM pg_stat_activity WHERE pid = \(pid)", on: killer)
            _ = try await killer.query("SELECT pg_terminate_backend($1)", [.int4(pid)], deadline: .patience)
            let error = try await outcome
            #expect(error.code == .connectionLost)
            #expect(error.sqlState == .adminShutdown)
            #expect(error.severity == "FATAL")
            #expect(error.effect == .unknown)
            #expect(await !victim.isUsable)
            await killer.close()
        }

        @Test func aSessionTerminatedWhileIdleIsSeenBeforeAnythingIsSent() async throws {
            let victim = try await PostgresTestServer.connect()
            let killer = try await PostgresTestServer.connect()
            let pid = await victim.backendProcessID
            _ = try await killer.query("SELECT pg_terminate_backend($1)", [.int4(pid)], deadline: .patience)
            try await PostgresTestServer.waitUntil(
                "NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = \(pid))", on: killer)
            let error = try await failure { _ = try await victim.query("SELECT 1", deadline: .patience) }
            #expect(error.code == .connectionLost)
            #expect(error.sqlState == .adminShutdown)
            #expect(error.effect == .notSent)
            await killer.close()
        }

        @Test func aStatementOverItsDeadlineIsCancelledOnTheServer() async throws {
            let time = ManualTime()
            let connection = try await PostgresTestServer.connect(time: time)
            let observer = try await PostgresTestServer.connect()
            let pid = await connection.backendProcessID
            let deadline = time.now + .milliseconds(50)
            let error = try await failure {
                _ = try await connection.query("SELECT pg_sleep(60)", deadline: deadline)
            }
            #expect(error.code == .timedOut)
            #expect(error.sqlState == .queryCanceled)
            #expect(error.effect == .notApplied)
            let state = try await observer.query(
                "SELECT state FROM pg_stat_activity WHERE pid = $1", [.int4(pid)], deadline: .patience)
            #expect(try state.first?.decode("state", as: String.self) == "idle")
            #expect(await connection.isClean)
            let next = try await connection.query("SELECT 7 AS seven", deadline: time.now + .seconds(60))
            #expect(try next.first?.decode("seven", as: Int.self) == 7)
            await connection.close()
            await observer.close()
        }

        @Test func aStatementOfACancelledTaskIsCancelledOnTheServer() async throws {
            let connection = try await PostgresTestServer.connect()
            let observer = try await PostgresTestServer.connect()
            let pid = await connection.backendProcessID
            let error = try await withThrowingTaskGroup(of: PostgresError.self) { group in
                group.addTask {
                    try await failure {
                        _ = try await connection.query("SELECT pg_sleep(60)", deadline: .patience)
                    }
                }
                try await PostgresTestServer.waitUntil(
                    "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = \(pid)", on: observer)
                group.cancelAll()
                return try #require(try await group.next())
            }
            #expect(error.code == .cancelled)
            #expect(error.effect == .notApplied)
            #expect(await connection.isClean)
            await connection.close()
            await observer.close()
        }

        /// A server process that is stopped does not hear the cancel request: the client's deadline must do alone.
        @Test func aServerThatDoesNotReactIsLeftInDoubt() async throws {
            let time = ManualTime()
            let connection = try await PostgresTestServer.connect(time: time, grace: .milliseconds(200))
            let pid = await connection.backendProcessID
            #expect(kill(pid, SIGSTOP) == 0)
            let deadline = time.now + .milliseconds(20)
            let error = try await failure { _ = try await connection.query("SELECT 1", deadline: deadline) }
            #expect(kill(pid, SIGCONT) == 0)
            #expect(error.code == .timedOut)
            #expect(error.effect == .unknown)
            #expect(await !connection.isUsable)
        }

        /// 1. The server process is too busy to read the statement. 2. The first cancel request reaches it while it
        /// still waits for a statement, and is forgotten. 3. It reads the statement and runs it: only a further
        /// request can end it.
        @Test func aCancelRequestThatCameTooEarlyIsRepeated() async throws {
            let time = ManualTime()
            let connection = try await PostgresTestServer.connect(time: time)
            let observer = try await PostgresTestServer.connect()
            let pid = await connection.backendProcessID
            #expect(kill(pid, SIGSTOP) == 0)
            let deadline = time.now + .milliseconds(20)
            async let outcome = failure {
                _ = try await connection.query("SELECT pg_sleep(60)", deadline: deadline)
            }
            _ = try await observer.query("SELECT pg_sleep(0.3)", deadline: .patience)
            #expect(kill(pid, SIGCONT) == 0)
            let error = try await outcome
            #expect(error.sqlState == .queryCanceled)
            #expect(error.effect == .notApplied)
            #expect(await connection.isClean)
            await connection.close()
            await observer.close()
        }

        @Test func closingEndsARunningStatement() async throws {
            let connection = try await PostgresTestServer.connect()
            let observer = try await PostgresTestServer.connect()
            let pid = await connection.backendProcessID
            async let outcome = failure {
                _ = try await connection.query("SELECT pg_sleep(60)", deadline: .patience)
            }
            try await PostgresTestServer.waitUntil(
                "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = \(pid)", on: observer)
            await connection.close()
            #expect(try await outcome.code == .connectionLost)
            try await PostgresTestServer.waitUntil(
                "NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = \(pid))", on: observer)
            await observer.close()
        }

        @Test func twoStatementsAtOnceAreRefused() async throws {
            let connection = try await PostgresTestServer.connect()
            let observer = try await PostgresTestServer.connect()
            let pid = await connection.backendProcessID
            // The first one runs until the observer lets it go.
            _ = try await observer.query("SELECT pg_advisory_lock(1)", deadline: .patience)
            async let first = connection.query("SELECT pg_advisory_lock(1)", deadline: .patience)
            try await PostgresTestServer.waitUntil(
                "SELECT wait_event = 'advisory' FROM pg_stat_activity WHERE pid = \(pid)", on: observer)
            let error = try await failure { _ = try await connection.query("SELECT 1", deadline: .patience) }
            #expect(error.code == .misuse)
            _ = try await observer.query("SELECT pg_advisory_unlock(1)", deadline: .patience)
            #expect(try await first.count == 1)
            await connection.close()
            await observer.close()
        }

        @Test func copyIsRefusedAndEndsTheSessionInsteadOfHanging() async throws {
            let connection = try await PostgresTestServer.connect()
            let error = try await failure {
                try await connection.execute(
                    script: "CREATE TEMP TABLE c (v int); COPY c FROM STDIN", deadline: .patience)
            }
            #expect(error.code == .misuse)
            #expect(await !connection.isUsable)
        }

        @Test func noticesGoToTheLog() async throws {
            let lines = LogRecorder()
            var logger = Logger(label: "notices") { _ in lines }
            logger.logLevel = .trace
            let connection = try await PostgresConnection.connect(
                try PostgresTestServer.configuration(), deadline: .patience, logger: logger)
            try await connection.execute(
                script: "DO $$ BEGIN RAISE WARNING 'valve % sticks', 7; END $$", deadline: .patience)
            #expect(lines.messages == ["warning valve 7 sticks"])
            await connection.close()
        }
    }
}

/// Keeps what was logged.
final class LogRecorder: LogHandler {
    private let recorded = Mutex<[String]>([])
    var messages: [String] { recorded.withLock { $0 } }
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .trace }
        set {}
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func log(event: LogEvent) {
        recorded.withLock { $0.append("\(event.level) \(event.message)") }
    }
}
