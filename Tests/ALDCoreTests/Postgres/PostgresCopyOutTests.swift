import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension PostgresServerTests {
    @Suite(.serialized) struct CopyOut {
        @Test func rowsComeInOrderWithTypesAndNulls() async throws {
            let connection = try await PostgresTestServer.connect()
            let rows = try await connection.copyOut(
                """
                COPY (SELECT i, CASE WHEN i % 2 = 0 THEN i / 4.0::float8 END, 'n' || i, to_timestamp(i), (i || '.10')::numeric
                    FROM generate_series(1, 20000) i) TO STDOUT (FORMAT binary)
                """, columns: [.int4, .float8, .text, .timestamptz, .numeric], deadline: .patience
            ) { rows in
                var count = 0
                for try await row in rows {
                    count += 1
                    #expect(try row.decode(0, as: Int.self) == count)
                    #expect(try row.decode(1, as: Double?.self) == (count % 2 == 0 ? Double(count) / 4 : nil))
                    #expect(try row.decode(2, as: String.self) == "n\(count)")
                    #expect(try row.decode("3", as: Timestamp.self).microseconds == Int64(count) * 1_000_000)
                    #expect(try row.decode(4, as: PostgresNumeric.self).description == "\(count).10")
                }
                return count
            }
            #expect(rows == 20_000)
            #expect(await connection.isClean)
            await connection.close()
        }

        @Test func anEmptyTableHasNoRows() async throws {
            let connection = try await PostgresTestServer.connect()
            let count = try await connection.copyOut(
                "COPY (SELECT 1 WHERE false) TO STDOUT (FORMAT binary)", columns: [.int4], deadline: .patience
            ) { rows in try await rows.reduce(0) { count, _ in count + 1 } }
            #expect(count == 0)
            #expect(await connection.isClean)
            await connection.close()
        }

        @Test func aBreakLeavesACleanConnection() async throws {
            let connection = try await PostgresTestServer.connect()
            let pid = await connection.backendProcessID
            let first = try await connection.copyOut(
                "COPY (SELECT generate_series(1, 1000000000)) TO STDOUT (FORMAT binary)", columns: [.int4],
                deadline: .patience
            ) { rows in
                for try await row in rows { return try row.decode(0, as: Int.self) }
                return 0
            }
            #expect(first == 1)
            #expect(await connection.isClean)
            #expect(await connection.backendProcessID == pid)
            let next = try await connection.query("SELECT 7", deadline: .patience)
            #expect(try next.first?.decode(0, as: Int.self) == 7)
            await connection.close()
        }

        @Test func anErrorInTheMiddleComesBehindTheRows() async throws {
            let connection = try await PostgresTestServer.connect()
            var last = 0
            let error = try await failure {
                try await connection.copyOut(
                    "COPY (SELECT i, 1 / (30000 - i) FROM generate_series(1, 40000) i) TO STDOUT (FORMAT binary)",
                    columns: [.int4, .int4], deadline: .patience
                ) { rows in
                    for try await row in rows { last = try row.decode(0, as: Int.self) }
                }
            }
            #expect(error.sqlState?.rawValue == "22012")
            #expect(last > 10_000 && last < 30_000)
            #expect(await connection.isClean)
            await connection.close()
        }

        @Test func theDeadlineCountsForTheWhole() async throws {
            let time = ManualTime()
            let connection = try await PostgresTestServer.connect(time: time)
            let error = try await failure {
                try await connection.copyOut(
                    "COPY (SELECT generate_series(1, 1000000000)) TO STDOUT (FORMAT binary)", columns: [.int4],
                    deadline: time.now + .milliseconds(100)
                ) { rows in for try await _ in rows {} }
            }
            #expect(error.code == .timedOut)
            #expect(await connection.isClean)
            await connection.close()
        }

        @Test func aRowLargerThanABatch() async throws {
            let connection = try await PostgresTestServer.connect()
            let length = try await connection.copyOut(
                "COPY (SELECT repeat('x', 3000000)) TO STDOUT (FORMAT binary)", columns: [.text], deadline: .patience
            ) { rows in
                var length = 0
                for try await row in rows { length += try row.decode(0, as: String.self).utf8.count }
                return length
            }
            #expect(length == 3_000_000)
            await connection.close()
        }

        @Test func whatDoesNotFitIsRefused() async throws {
            let connection = try await PostgresTestServer.connect()
            let columns = try await failure {
                try await connection.copyOut(
                    "COPY (SELECT 1, 2) TO STDOUT (FORMAT binary)", columns: [.int4], deadline: .patience
                ) { _ in _ = Issue.record("it should not begin") }
            }
            #expect(columns.code == .misuse)
            #expect(await connection.isClean)
            let width = try await failure {
                try await connection.copyOut(
                    "COPY (SELECT 1::int8) TO STDOUT (FORMAT binary)", columns: [.int4], deadline: .patience
                ) { rows in for try await row in rows { _ = try row.decode(0, as: Int32.self) } }
            }
            #expect(width.code == .decodingFailed)
            #expect(await connection.isClean)
            let text = try await failure {
                try await connection.copyOut("COPY (SELECT 1) TO STDOUT", columns: [.int4], deadline: .patience) { _ in
                }
            }
            #expect(text.code == .misuse)
            await connection.close()
        }

        @Test func rowsOutsideOfTheirClosureAreRefused() async throws {
            let connection = try await PostgresTestServer.connect()
            let rows = try await connection.copyOut(
                "COPY (SELECT 1) TO STDOUT (FORMAT binary)", columns: [.int4], deadline: .patience
            ) { $0 }
            let error = try await failure {
                try await connection.copyOut(
                    "COPY (SELECT 2) TO STDOUT (FORMAT binary)", columns: [.int4], deadline: .patience
                ) { _ in for try await _ in rows {} }
            }
            #expect(error.code == .misuse)
            await connection.close()
        }
    }
}
