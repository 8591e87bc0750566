import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// One connection through a real PgBouncer in transaction mode, which nobody told it about.
@Suite(.serialized, .enabled(if: PgBouncer.isRequired, "PgBouncer is not installed; .ci/setup --tests does it"))
struct PostgresBehindPoolerTests {
    @Test func everythingButSessionsWorksAndSessionsRefuse() async throws {
        try await ServerHands.withServer { server in
            try await PgBouncer.run(before: server.connectionString, limits: PgBouncer.Limits()) { pooler in
                var configuration = pooler.configuration
                configuration.timeouts = PostgresTimeouts(lock: .seconds(1), statement: .seconds(50))
                let connection = try await PostgresConnection.connect(
                    configuration, deadline: .patience, logger: TestPlace.logger)
                #expect(await connection.isPooled)
                try await Self.useStatements(of: connection)
                try await Self.useCopies(of: connection)
                let error = try await failure {
                    try await connection.listen(to: ["c"], deadline: .patience) { _ in }
                }
                #expect(error.code == .misuse)
                #expect(await connection.isClean)
                try await Self.leaveACopyEarly(connection)
                await connection.close()
            }
        }
    }

    private static func useStatements(of connection: PostgresConnection) async throws {
        try await connection.ping(deadline: .patience)
        for number in 1...3 as ClosedRange<Int32> {
            let result = try await connection.query(prepared: "SELECT $1 + 1", [.int4(number)], deadline: .patience)
            #expect(try result.first?.decode(0, as: Int32.self) == number + 1)
        }
        let results = try await connection.pipeline(
            [
                PostgresStatement("SELECT count(*) FROM pg_prepared_statements"),
                PostgresStatement("SELECT current_setting('lock_timeout')"),
            ], deadline: .patience)
        #expect(try results[0].first?.decode(0, as: Int.self) == 0)
        #expect(try results[1].first?.decode(0, as: String.self) == "0", "the session is not ours to change")
    }

    private static func useCopies(of connection: PostgresConnection) async throws {
        try await connection.execute(script: "CREATE TABLE c (a int4 CHECK (a >= 0))", deadline: .patience)
        let copied = try await connection.copyIn("COPY c FROM STDIN (FORMAT binary)", deadline: .patience) { writer in
            try await writer.write(0..<100_000) { index, row in row.append(Int32(index)) }
        }
        #expect(copied.map(\.commandTag) == ["COPY 100000"])
        let error = try await failure {
            try await connection.copyIn("COPY c FROM STDIN (FORMAT binary)", deadline: .patience) { writer in
                try await writer.write(0..<100_000) { index, row in row.append(index == 7 ? -1 : 1 as Int32) }
            }
        }
        #expect(error.sqlState == .checkViolation)
        #expect(error.context?.contains("line 8") == true)
        #expect(await connection.isClean)
    }

    /// The rest is not wanted: the connection drains it or cancels, and is clean or closed afterwards.
    private static func leaveACopyEarly(_ connection: PostgresConnection) async throws {
        let first = try await connection.copyOut(
            "COPY c TO STDOUT (FORMAT binary)", columns: [.int4], deadline: .patience
        ) { rows in
            for try await row in rows { return try row.decode(0, as: Int.self) }
            return -1
        }
        #expect(first == 0)
        let (isClean, isUsable) = (await connection.isClean, await connection.isUsable)
        #expect(isClean || !isUsable)
    }
}
