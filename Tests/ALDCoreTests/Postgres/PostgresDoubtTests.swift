import Dispatch
import Testing

@testable import ALDCore

extension PostgresServerTests {
    /// Cases in which less is known than it seems.
    @Suite struct Doubts {
        @Test func aScriptThatCommittedBeforeItFailedIsNotSaidToBeUndone() async throws {
            let connection = try await PostgresTestServer.connect()
            let committed = try await failure {
                try await connection.execute(
                    script: "CREATE TEMP TABLE d (v int); COMMIT; SELECT 1/0", deadline: .patience)
            }
            #expect(committed.code == .queryFailed)
            #expect(committed.effect == .unknown)
            let whole = try await failure {
                try await connection.execute(
                    script: "INSERT INTO d VALUES (1); SELECT 1/0", deadline: .patience)
            }
            #expect(whole.effect == .notApplied)
            await connection.close()
        }

        /// The cancel request was delivered and the statement ended well: whether another request is under way, nobody
        /// knows.
        @Test func aStatementThatSurvivesItsCancelRequestCostsTheConnection() async throws {
            let connection = try await PostgresTestServer.connect()
            let observer = try await PostgresTestServer.connect()
            let pid = await connection.backendProcessID
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    _ = try await connection.query(
                        """
                        DO $$ BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END $$
                        """, deadline: .patience)
                }
                // Earlier, the request would end the whole statement.
                try await PostgresTestServer.waitUntil(
                    "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = \(pid)", on: observer)
                group.cancelAll()
                try await group.waitForAll()
            }
            #expect(await !connection.isUsable)
            await connection.close()
            await observer.close()
        }

        @Test func aNameServerThatHangsLeavesTimeForTheNextHost() async throws {
            let options = try PostgresTestServer.configuration().options
            let host = ConnectionStringValue.quoted("slow.name," + (options["host"] ?? ""))
            let configuration = try PostgresConfiguration(
                connectionString: "host=\(host) port=\(options["port"] ?? "5432")"
                    + " user=\(options["user"] ?? "ald") dbname=\(options["dbname"] ?? "ald")")
            let hang = DispatchSemaphore(value: 0)
            defer { hang.signal() }
            let connection = try await PostgresConnection.connect(
                configuration, deadline: .soon(.seconds(20)), logger: TestPlace.logger
            ) { _ in
                hang.wait()
                return .success([])
            }
            #expect(await connection.isUsable)
            await connection.close()
        }
    }
}
