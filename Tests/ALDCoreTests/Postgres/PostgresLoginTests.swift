import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension PostgresServerTests {
    @Suite struct Logins {
        private func refusal(_ configuration: PostgresConfiguration) async throws -> PostgresError {
            try await failure {
                _ = try await PostgresConnection.connect(
                    configuration, deadline: .patience, logger: TestPlace.logger)
            }
        }

        @Test func anUnknownDatabase() async throws {
            let error = try await refusal(try PostgresTestServer.configuration().withDatabase("nowhere"))
            #expect(error.code == .databaseMissing)
            #expect(error.sqlState == .databaseMissing)
            #expect(error.isConfigurationFault)
        }

        /// SCRAM for one role: the right password opens, the wrong one is refused and shows up nowhere.
        @Test func aWrongPassword() async throws {
            let owner = try await PostgresTestServer.connect()
            let file = try #require(
                try await owner.query(
                    "SELECT setting AS file FROM pg_settings WHERE name = 'hba_file'", deadline: .patience
                )
                .first?.decode("file", as: String.self))
            try "local all guarded scram-sha-256\nlocal all all trust\n".write(
                toFile: file, atomically: false, encoding: .utf8)
            try await owner.execute(
                script: """
                    DROP ROLE IF EXISTS guarded; CREATE ROLE guarded LOGIN PASSWORD 'r1ght-w0rd';
                    SELECT pg_reload_conf()
                    """, deadline: .patience)
            try await PostgresTestServer.waitUntil(
                "EXISTS (SELECT FROM pg_hba_file_rules WHERE 'guarded' = ANY (user_name))", on: owner)
            let base = try PostgresTestServer.configuration()
            let host = try #require(base.options["host"])

            func login(_ password: String) throws -> PostgresConfiguration {
                try PostgresConfiguration(
                    connectionString: "host=\(host) user=guarded dbname=ald password=\(password)")
            }
            let error = try await refusal(try login("wr0ng-w0rd"))
            #expect(error.code == .authenticationFailed)
            #expect(error.sqlState == .invalidPassword)
            #expect(error.isConfigurationFault)
            var dumped = ""
            dump(error, to: &dumped)
            for text in ["\(error)", String(reflecting: error), dumped, error.message] {
                #expect(!text.contains("wr0ng"))
            }
            let session = try await PostgresConnection.connect(
                try login("r1ght-w0rd"), deadline: .patience, logger: TestPlace.logger)
            #expect(await session.isClean)
            await session.close()
            await owner.close()
        }

        @Test func aSilentFirstHostLeavesTimeForTheSecond() async throws {
            let silent = try SilentListener()
            defer { silent.close() }
            let host = try #require(try PostgresTestServer.configuration().options["host"])
            let both = try PostgresConfiguration(
                connectionString: "host=127.0.0.1,\(host) port=\(silent.port),5432 user=ald dbname=ald")
            let connection = try await PostgresConnection.connect(
                both, deadline: .soon(.seconds(20)), logger: TestPlace.logger)
            #expect(await connection.place.hasPrefix(host))
            await connection.close()
        }

        @Test func tooManyConnections() async throws {
            let owner = try await PostgresTestServer.connect()
            try await owner.execute(
                script: "DROP ROLE IF EXISTS lonely; CREATE ROLE lonely LOGIN CONNECTION LIMIT 0",
                deadline: .patience)
            let host = try #require(try PostgresTestServer.configuration().options["host"])
            let error = try await refusal(
                try PostgresConfiguration(connectionString: "host=\(host) user=lonely dbname=ald"))
            #expect(error.code == .tooManyConnections)
            #expect(error.sqlState == .tooManyConnections)
            await owner.close()
        }
    }
}
