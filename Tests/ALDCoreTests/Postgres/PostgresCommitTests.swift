import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// A commit that waits for a standby which never comes: no limit of the server ends it, and who gives up does not know
/// whether it counts.
struct PostgresCommitTests {
    @Test func onlyTheClientsDeadlineBoundsACommit() async throws {
        try await TestDatabase.withPrivateServer { _, lease in
            var configuration = lease.configuration
            configuration.timeouts = PostgresTimeouts(lock: .milliseconds(500), statement: .seconds(1))
            let time = ManualTime()
            let owner = try await PostgresConnection.connect(
                lease.configuration, deadline: .patience, logger: TestPlace.logger)
            try await owner.execute(script: "CREATE TABLE t (v int)", deadline: .patience)
            _ = try await owner.query(
                "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", deadline: .patience)
            _ = try await owner.query("SELECT pg_reload_conf()", deadline: .patience)
            let connection = try await PostgresConnection.connect(
                configuration, deadline: time.now + .seconds(60), time: time, logger: TestPlace.logger,
                grace: .seconds(60), lookUp: NameResolution.addresses)
            try await PostgresTestServer.waitUntil(
                "current_setting('synchronous_standby_names') = 'nobody'", on: owner)
            let pid = await connection.backendProcessID
            let error = try await failure {
                // Several times what the server's own limit would allow.
                _ = try await connection.query("INSERT INTO t VALUES (1)", deadline: time.now + .seconds(4))
            }
            #expect(error.code == .timedOut)
            #expect(error.effect == .unknown, "it is committed here, and nobody knows where else")
            #expect(await !connection.isUsable)
            let count = try await owner.query("SELECT count(*) FROM t", deadline: .patience)
            #expect(try count[0].decode(0, as: Int.self) == 1)
            #expect(pid > 0)
            await owner.close()
        }
    }
}
