import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension PostgresServerTests {
    @Suite(.serialized) struct Pipelines {
        private func connected(_ script: String) async throws -> PostgresConnection {
            let connection = try await PostgresTestServer.connect()
            try await connection.execute(script: script, deadline: .patience)
            return connection
        }

        private func count(_ connection: PostgresConnection) async throws -> Int {
            let result = try await connection.query("SELECT count(*) FROM p", deadline: .patience)
            return try #require(result.first).decode(0, as: Int.self)
        }

        @Test func oneResultForEachStatement() async throws {
            let connection = try await connected("CREATE TEMP TABLE p (v int PRIMARY KEY)")
            let results = try await connection.pipeline(
                [
                    PostgresStatement("INSERT INTO p VALUES ($1)", [.int4(1)]),
                    PostgresStatement("SELECT $1::text AS t", [.text("zwei")]), PostgresStatement("SELECT v FROM p"),
                ], deadline: .patience)
            #expect(results.map(\.commandTag) == ["INSERT 0 1", "SELECT 1", "SELECT 1"])
            #expect(try results[1].first?.decode("t", as: String.self) == "zwei")
            #expect(try results[2].first?.decode("v", as: Int.self) == 1)
            #expect(await connection.isClean)
            #expect(try await connection.pipeline([], deadline: .patience).isEmpty)
            await connection.close()
        }

        @Test func aFailureUndoesTheOthersAndIsNamed() async throws {
            let connection = try await connected("CREATE TEMP TABLE p (v int PRIMARY KEY)")
            let error = try await failure {
                _ = try await connection.pipeline(
                    [
                        PostgresStatement("INSERT INTO p VALUES (1)"), PostgresStatement("INSERT INTO p VALUES (1)"),
                        PostgresStatement("INSERT INTO p VALUES (2)"),
                    ], deadline: .patience)
            }
            #expect(error.sqlState == .uniqueViolation)
            #expect(error.effect == .notApplied)
            #expect(error.context?.contains("statement 2 of 3") == true)
            #expect(await connection.isClean)
            #expect(try await count(connection) == 0)
            await connection.close()
        }

        @Test func aFailureOfTheCommitIsOneToo() async throws {
            let connection = try await connected(
                "CREATE TEMP TABLE p (v int CONSTRAINT once UNIQUE DEFERRABLE INITIALLY DEFERRED)")
            let error = try await failure {
                _ = try await connection.pipeline(
                    [PostgresStatement("INSERT INTO p VALUES (1)"), PostgresStatement("INSERT INTO p VALUES (1)")],
                    deadline: .patience)
            }
            #expect(error.sqlState == .uniqueViolation)
            #expect(error.context?.contains("commit") == true)
            #expect(await connection.isClean)
            #expect(try await count(connection) == 0)
            await connection.close()
        }

        @Test func insideOfATransactionItIsPartOfIt() async throws {
            let connection = try await connected("CREATE TEMP TABLE p (v int PRIMARY KEY)")
            try await connection.execute(script: "BEGIN", deadline: .patience)
            _ = try await connection.pipeline([PostgresStatement("INSERT INTO p VALUES (1)")], deadline: .patience)
            #expect(await connection.transactionStatus == .inTransaction)
            _ = try await failure {
                _ = try await connection.pipeline([PostgresStatement("INSERT INTO p VALUES (1)")], deadline: .patience)
            }
            #expect(await connection.transactionStatus == .inFailedTransaction)
            try await connection.execute(script: "ROLLBACK", deadline: .patience)
            #expect(try await count(connection) == 0)
            await connection.close()
        }

        @Test func statementsOfTheirOwnDoNotTouchEachOther() async throws {
            let connection = try await connected("CREATE TEMP TABLE p (v int PRIMARY KEY)")
            let outcomes = try await connection.pipelineEach(
                [1, 1, 2].map { PostgresStatement("INSERT INTO p VALUES ($1)", [.int4($0)]) }, deadline: .patience)
            #expect(try outcomes[0].get().commandTag == "INSERT 0 1")
            #expect(throws: PostgresError.self) { try outcomes[1].get() }
            #expect(try outcomes[2].get().commandTag == "INSERT 0 1")
            #expect(try await count(connection) == 2)
            #expect(await connection.isClean)
            await connection.close()
        }

        /// Neither side may wait for the other one to read.
        @Test func moreThanSocketBuffersHoldGoesBothWays() async throws {
            let connection = try await PostgresTestServer.connect()
            let text = String(repeating: "x", count: 100_000)
            let results = try await connection.pipeline(
                (0..<100).map { _ in PostgresStatement("SELECT $1::text", [.text(text)]) }, deadline: .patience)
            #expect(results.count == 100)
            #expect(try results.last?.first?.decode(0, as: String.self) == text)
            await connection.close()
        }

        @Test func aPipelineOverItsDeadlineIsCancelledAndLeft() async throws {
            let time = ManualTime()
            let connection = try await PostgresTestServer.connect(time: time)
            let error = try await failure {
                _ = try await connection.pipeline(
                    [
                        PostgresStatement("SELECT 1"), PostgresStatement("SELECT pg_sleep(60)"),
                        PostgresStatement("SELECT 2"),
                    ],
                    deadline: time.now + .milliseconds(50))
            }
            #expect(error.code == .timedOut)
            #expect(error.effect == .notApplied)
            #expect(await connection.isClean)
            let next = try await connection.query("SELECT 7", deadline: time.now + .seconds(60))
            #expect(try next.first?.decode(0, as: Int.self) == 7)
            await connection.close()
        }

        @Test func aServerProcessThatDiesIsHeard() async throws {
            let connection = try await PostgresTestServer.connect()
            let error = try await failure {
                _ = try await connection.pipeline(
                    [
                        PostgresStatement("SELECT pg_terminate_backend(pg_backend_pid())"),
                        PostgresStatement("SELECT 1"),
                    ],
                    deadline: .patience)
            }
            #expect(error.code == .connectionLost)
            #expect(error.sqlState == .adminShutdown)
            #expect(await !connection.isUsable)
        }

        @Test func aCopyInAPipelineEndsTheSessionInsteadOfHanging() async throws {
            let connection = try await connected("CREATE TEMP TABLE p (v int PRIMARY KEY)")
            let error = try await failure {
                _ = try await connection.pipeline(
                    [PostgresStatement("COPY p FROM STDIN"), PostgresStatement("SELECT 1")], deadline: .patience)
            }
            // Whichever comes first: that the server wants data, or that it got something else and hung up.
            #expect(error.code == .misuse || error.code == .connectionLost, "\(error)")
            #expect(await !connection.isUsable)
        }

        @Test func tooManyStatementsAreRefused() async throws {
            let connection = try await PostgresTestServer.connect()
            let many = [PostgresStatement](
                repeating: PostgresStatement("SELECT 1"), count: PostgresConnection.maximumPipelineLength + 1)
            let error = try await failure { _ = try await connection.pipeline(many, deadline: .patience) }
            #expect(error.code == .misuse)
            #expect(await connection.isClean)
            await connection.close()
        }
    }

    @Suite(.serialized) struct PreparedStatements {
        private func prepared(_ connection: PostgresConnection) async throws -> [String] {
            let result = try await connection.query(
                "SELECT statement FROM pg_prepared_statements ORDER BY prepare_time", deadline: .patience)
            return try result.map { try $0.decode(0, as: String.self) }
        }

        private func sum(_ connection: PostgresConnection, _ value: PostgresValue) async throws -> Int {
            let result = try await connection.query(prepared: "SELECT $1 + 1", [value], deadline: .patience)
            return try #require(result.first).decode(0, as: Int.self)
        }

        @Test func aStatementIsPreparedOnceForEveryType() async throws {
            let connection = try await PostgresTestServer.connect()
            for number in 1...3 { #expect(try await sum(connection, .int4(Int32(number))) == number + 1) }
            #expect(try await sum(connection, .int8(1 << 40)) == 1 << 40 + 1)
            #expect(try await prepared(connection) == ["SELECT $1 + 1", "SELECT $1 + 1"])
            #expect(await connection.isClean)
            await connection.close()
        }

        @Test func theirNumberIsBounded() async throws {
            let connection = try await PostgresTestServer.connect()
            let bound = PostgresConnection.maximumPreparedStatements
            for number in 0..<(bound + 5) {
                let result = try await connection.query(prepared: "SELECT \(number)", deadline: .patience)
                #expect(try result.first?.decode(0, as: Int.self) == number)
            }
            let names = try await prepared(connection)
            #expect(names.count == bound)
            #expect(names.first == "SELECT 5" && names.last == "SELECT \(bound + 4)")
            await connection.close()
        }

        @Test func aFailureLeavesTheStatementPrepared() async throws {
            let connection = try await PostgresTestServer.connect()
            for _ in 0..<2 {
                let error = try await failure {
                    _ = try await connection.query(prepared: "SELECT 1 / $1::int4", [.int4(0)], deadline: .patience)
                }
                #expect(error.sqlState?.rawValue == "22012")
                #expect(error.effect == .notApplied)
            }
            let good = try await connection.query(prepared: "SELECT 1 / $1::int4", [.int4(1)], deadline: .patience)
            #expect(try good.first?.decode(0, as: Int.self) == 1)
            #expect(try await prepared(connection).count == 1)
            let wrong = try await failure {
                _ = try await connection.query(prepared: "SELECT nonsense", deadline: .patience)
            }
            #expect(wrong.sqlState?.rawValue == "42703")
            await connection.close()
        }

        /// As behind a pooler that changes sessions: what was prepared is gone.
        /// Its first use runs into the deadline again and again, after it was prepared: no name is left behind.
        @Test func aFirstUseThatRunsIntoItsDeadlineLeavesNothing() async throws {
            let time = ManualTime()
            let connection = try await PostgresTestServer.connect(time: time)
            for _ in 0..<3 {
                let error = try await failure {
                    _ = try await connection.query(
                        prepared: "SELECT pg_sleep(60)", deadline: time.now + .milliseconds(20))
                }
                #expect(error.code == .timedOut && error.sqlState == .queryCanceled, "\(error)")
                #expect(await connection.isClean)
            }
            let other = "SELECT 'another one'"
            _ = try await connection.query(prepared: other, deadline: time.now + .seconds(60))
            let names = try await connection.query(
                "SELECT statement FROM pg_prepared_statements", deadline: time.now + .seconds(60))
            #expect(try names.map { try $0.decode(0, as: String.self) } == [other])
            await connection.close()
        }

        @Test func whatTheServerForgotIsRunUnnamedFromThenOn() async throws {
            let connection = try await PostgresTestServer.connect()
            #expect(try await sum(connection, .int4(1)) == 2)
            try await connection.execute(script: "DEALLOCATE ALL", deadline: .patience)
            #expect(try await sum(connection, .int4(2)) == 3)
            #expect(try await sum(connection, .int4(3)) == 4)
            #expect(try await prepared(connection).isEmpty)
            #expect(await connection.isClean)
            await connection.close()
        }

        /// As behind a pooler: another session has prepared under our name.
        @Test func aNameThatIsTakenIsRunUnnamedFromThenOn() async throws {
            let connection = try await PostgresTestServer.connect()
            try await connection.execute(script: "PREPARE ald_1 AS SELECT 'foreign'", deadline: .patience)
            #expect(try await sum(connection, .int4(1)) == 2)
            #expect(try await prepared(connection) == ["PREPARE ald_1 AS SELECT 'foreign'"])
            await connection.close()
        }

        @Test func insideOfATransactionAForgottenStatementIsAnError() async throws {
            let connection = try await PostgresTestServer.connect()
            #expect(try await sum(connection, .int4(1)) == 2)
            try await connection.execute(script: "DEALLOCATE ALL; BEGIN", deadline: .patience)
            let error = try await failure { _ = try await sum(connection, .int4(1)) }
            #expect(error.sqlState == .invalidStatementName)
            try await connection.execute(script: "ROLLBACK", deadline: .patience)
            #expect(try await sum(connection, .int4(1)) == 2)
            await connection.close()
        }

        @Test func aChangedTableGetsANewPlan() async throws {
            let connection = try await PostgresTestServer.connect()
            try await connection.execute(
                script: "CREATE TEMP TABLE q (a int); INSERT INTO q VALUES (1)", deadline: .patience)
            func columns() async throws -> Int {
                try await connection.query(prepared: "SELECT * FROM q", deadline: .patience).columns.count
            }
            #expect(try await columns() == 1)
            try await connection.execute(script: "ALTER TABLE q ADD b int", deadline: .patience)
            #expect(try await columns() == 2)
            #expect(try await columns() == 2)
            #expect(try await prepared(connection) == ["SELECT * FROM q"])
            await connection.close()
        }
    }
}
