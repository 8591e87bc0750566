import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension PostgresServerTests {
    @Suite(.serialized) struct CopyIn {
        private static let table = "CREATE TEMP TABLE c (a int4, b float8 CHECK (b < 1e6), t timestamptz)"
        private static let copy = "COPY c FROM STDIN (FORMAT binary)"

        private func connected(_ script: String = table) async throws -> PostgresConnection {
            let connection = try await PostgresTestServer.connect()
            try await connection.execute(script: script, deadline: .patience)
            return connection
        }

        private func number(_ sql: String, _ connection: PostgresConnection) async throws -> Int {
            let result = try await connection.query(sql, deadline: .patience)
            return try #require(result.first).decode(0, as: Int.self)
        }

        @Test func rowsArriveWithNullsAndExtremes() async throws {
            let connection = try await connected()
            let moment = Timestamp(microseconds: 1_700_000_000_123_456)
            let results = try await connection.copyIn(Self.copy, deadline: .patience) { writer in
                #expect(writer.columnCount == 3)
                try await writer.write { row in
                    row.append(Int32.min)
                    row.append(-Double.infinity)
                    try row.append(moment)
                }
                try await writer.write { row in
                    row.append(nil as Int32?)
                    try row.append(.null)
                    row.appendNull()
                }
            }
            #expect(results.map(\.commandTag) == ["COPY 2"])
            let rows = try await connection.query("SELECT * FROM c ORDER BY a", deadline: .patience)
            #expect(try rows[0].decode("a", as: Int32.self) == .min)
            #expect(try rows[0].decode("b", as: Double.self) == -.infinity)
            #expect(try rows[0].decode("t", as: Timestamp.self) == moment)
            #expect(try rows[1].decode("a", as: Int32?.self) == nil)
            #expect(await connection.isClean)
            await connection.close()
        }

        /// Several chunks, so that buffers are reused and the writer waits for room.
        @Test func manyRowsAndColumnsAgree() async throws {
            let connection = try await connected()
            let count = 60_000
            try await connection.copyIn(Self.copy, deadline: .patience) { writer in
                try await writer.write(0..<count) { index, row in
                    row.append(Int32(index))
                    row.append(Double(index) / 8)
                    try row.append(Timestamp(microseconds: Int64(index) * 1_000_000))
                }
                #expect(writer.rowCount == count)
            }
            try await connection.copyIn(Self.copy, deadline: .patience) { writer in
                try await writer.write(columns: [
                    .int4Array((0..<Int32(count)).map { $0 }), .float8Array((0..<count).map { Double($0) / 8 }),
                    .timestamptzArray((0..<count).map { Timestamp(microseconds: Int64($0) * 1_000_000) }),
                ])
                #expect(writer.rowCount == count)
            }
            #expect(try await number("SELECT count(*) FROM c", connection) == 2 * count)
            #expect(
                try await number(
                    """
                    SELECT count(*) FROM (SELECT a, b, t FROM c
                        WHERE b = a / 8.0::float8 AND t = to_timestamp(a) GROUP BY 1, 2, 3 HAVING count(*) = 2) x
                    """, connection) == count)
            await connection.close()
        }

        /// With nulls and values of any width, blocks go row by row and column by column in turn.
        @Test func columnsOfEveryKind() async throws {
            let connection = try await connected(
                """
                CREATE TEMP TABLE c (i int2, l int8, f float8, s text, t timestamptz, b bool, n numeric, u uuid, r float4)
                """)
            let count = 9_000
            let uuid = try #require(UUID(uuidString: "00112233-4455-6677-8899-AABBCCDDEEFF"))
            // Nulls in the middle block of three only.
            let bools: [Bool?] = (0..<count).map { $0 == 5000 ? nil : $0 % 3 == 0 }
            let floats: [Double?] = (0..<count).map { $0 == 5000 ? nil : Double($0) }
            let columns: [PostgresValue] = [
                .int2Array((0..<count).map { Int16($0) }), .int8Array((0..<count).map { -Int64($0) }),
                .float8Array(floats), .textArray((0..<count).map { "ü\($0)" }),
                .timestamptzArray((0..<count).map { Timestamp(microseconds: Int64($0) * 1_000_000) }),
                .array(try PostgresArray(bools)),
                .array(try PostgresArray((0..<count).map { PostgresNumeric("\($0).50") })),
                .array(try PostgresArray([UUID](repeating: uuid, count: count))),
                .array(try PostgresArray((0..<count).map { Float($0) })),
            ]
            try await connection.copyIn(Self.copy, deadline: .patience) { try await $0.write(columns: columns) }
            #expect(
                try await number(
                    """
                    SELECT count(*) FROM c WHERE l = -i AND s = 'ü' || i AND t = to_timestamp(i) AND n = i + 0.5
                        AND u = '00112233-4455-6677-8899-AABBCCDDEEFF' AND r = i::float4
                        AND ((i = 5000 AND f IS NULL AND b IS NULL) OR (i <> 5000 AND f = i AND b = (i % 3 = 0)))
                    """, connection) == count)
            // All of one width: encoded arrays go column by column, too, and a null makes its block go row by row.
            try await connection.copyIn("COPY c (f, b) FROM STDIN (FORMAT binary)", deadline: .patience) { writer in
                try await writer.write(columns: [
                    .float8Array((0..<count).map { _ in 1 }), .array(try PostgresArray(bools)),
                ])
                try await writer.write(columns: [
                    .float8Array(floats), .array(try PostgresArray(bools.map { $0 ?? true })),
                ])
            }
            #expect(
                try await number("SELECT count(*) FROM c WHERE i IS NULL AND f = 1 AND b", connection) == count / 3)
            #expect(
                try await number(
                    "SELECT count(*) FROM c WHERE i IS NULL AND f > 1 AND b = (f::int % 3 = 0)", connection)
                    == count - 3)
            await connection.close()
        }

        @Test func columnsThatDoNotFitAreRefusedAndNothingIsStored() async throws {
            let connection = try await connected()
            for columns: [PostgresValue] in [
                [.int4Array([1])], [.int4Array([1]), .float8Array([1, 2]), .timestamptzArray([])],
                [.int4Array([1]), .float8Array([1]), .int4(1)],
            ] {
                let error = try await failure {
                    try await connection.copyIn(Self.copy, deadline: .patience) { try await $0.write(columns: columns) }
                }
                #expect(error.code == .misuse)
                #expect(await connection.isClean)
            }
            #expect(try await number("SELECT count(*) FROM c", connection) == 0)
            await connection.close()
        }

        @Test func aRowWithTooFewColumnsIsNotWritten() async throws {
            let connection = try await connected()
            try await connection.copyIn(Self.copy, deadline: .patience) { writer in
                do {
                    try await writer.write { $0.append(1 as Int32) }
                    Issue.record("it should throw")
                } catch let error as PostgresError {
                    #expect(error.code == .misuse)
                }
                try await writer.write { row in
                    row.append(2 as Int32)
                    row.appendNull()
                    row.appendNull()
                }
            }
            #expect(try await number("SELECT a FROM c", connection) == 2)
            await connection.close()
        }

        // MARK: Ends that are none

        private struct Change: Error {}

        @Test func aBodyThatThrowsLeavesNothingAndACleanConnection() async throws {
            let connection = try await connected()
            let pid = await connection.backendProcessID
            await #expect(throws: Change.self) {
                try await connection.copyIn(Self.copy, deadline: .patience) { writer in
                    try await writer.write(0..<50_000) { index, row in
                        row.append(Int32(index))
                        row.appendNull()
                        row.appendNull()
                    }
                    throw Change()
                }
            }
            #expect(await connection.isClean)
            #expect(await connection.backendProcessID == pid)
            #expect(try await number("SELECT count(*) FROM c", connection) == 0)
            await connection.close()
        }

        @Test func theServersRefusalNamesTheRow() async throws {
            let connection = try await connected()
            let error = try await failure {
                try await connection.copyIn(Self.copy, deadline: .patience) { writer in
                    try await writer.write(0..<10) { index, row in
                        row.append(Int32(index))
                        row.append(index == 6 ? 1e7 : 0)
                        row.appendNull()
                    }
                }
            }
            #expect(error.sqlState == .checkViolation)
            #expect(error.constraintName == "c_b_check")
            #expect(error.effect == .notApplied)
            #expect(error.context?.contains("COPY c, line 7") == true, "\(error)")
            #expect(await connection.isClean)
            #expect(try await number("SELECT count(*) FROM c", connection) == 0)
            await connection.close()
        }

        /// Row 2 of very many is bad: the writer hears it long before it has written all of them.
        @Test func aRefusalEndsTheWritingEarly() async throws {
            let connection = try await connected()
            var written = 0
            let error = try await failure {
                try await connection.copyIn(Self.copy, deadline: .patience) { writer in
                    for index in 0..<100_000_000 {
                        written = index
                        try await writer.write { row in
                            row.append(Int32(index))
                            row.append(index == 1 ? 1e7 : 0)
                            row.appendNull()
                        }
                    }
                }
            }
            #expect(error.sqlState == .checkViolation)
            #expect(error.context?.contains("line 2") == true)
            #expect(written < 99_999_999)
            #expect(await connection.isClean)
            await connection.close()
        }

        /// Notices come while data are sent; they are no refusal, however many there are.
        @Test func aTriggerThatTalksDisturbsNothing() async throws {
            let connection = try await connected(
                """
                CREATE TEMP TABLE c (a int4);
                CREATE FUNCTION pg_temp.talk() RETURNS trigger LANGUAGE plpgsql AS $$
                    BEGIN IF new.a % 7 = 0 THEN RAISE NOTICE 'row % %', new.a, repeat('x', 500); END IF; RETURN new; END $$;
                CREATE TRIGGER talk BEFORE INSERT ON c FOR EACH ROW EXECUTE FUNCTION pg_temp.talk()
                """)
            try await connection.copyIn(Self.copy, deadline: .patience) { writer in
                try await writer.write(0..<100_000) { index, row in row.append(Int32(index)) }
            }
            #expect(try await number("SELECT count(*) FROM c", connection) == 100_000)
            await connection.close()
        }

        @Test func aRefusalThatTheBodySwallowsIsThrownAfterAll() async throws {
            let connection = try await connected()
            let error = try await failure {
                try await connection.copyIn(Self.copy, deadline: .patience) { writer in
                    do {
                        for _ in 0..<1_000_000 {
                            try await writer.write { row in
                                row.append(1 as Int32)
                                row.append(1e7)
                                row.appendNull()
                            }
                        }
                    } catch {}
                }
            }
            #expect(error.sqlState == .checkViolation)
            #expect(await connection.isClean)
            await connection.close()
        }

        @Test func aDeadlineInBetweenLeavesNothing() async throws {
            let time = ManualTime()
            let connection = try await PostgresTestServer.connect(time: time)
            try await connection.execute(script: Self.table, deadline: time.now + .seconds(60))
            let error = try await failure {
                // The clock that counts is real; it has passed this deadline before so many rows are written.
                try await connection.copyIn(Self.copy, deadline: time.now + .milliseconds(30)) { writer in
                    try await writer.writeWithoutEnd()
                }
            }
            #expect(error.code == .timedOut)
            #expect(error.effect == .notApplied)
            #expect(await connection.isClean)
            let count = try await connection.query("SELECT count(*) FROM c", deadline: time.now + .seconds(60))
            #expect(try count.first?.decode(0, as: Int.self) == 0)
            await connection.close()
        }

        /// A body that takes its time: whatever it does next, be it the end, comes too late.
        @Test(arguments: [1, 100_000]) func aDeadlineThatPassedInTheBodyLeavesNothing(rows: Int) async throws {
            let time = ManualTime()
            let connection = try await PostgresTestServer.connect(time: time)
            let observer = try await PostgresTestServer.connect()
            try await connection.execute(script: Self.table, deadline: time.now + .seconds(60))
            let error = try await failure {
                try await connection.copyIn(Self.copy, deadline: time.now + .milliseconds(100)) { writer in
                    _ = try await observer.query("SELECT pg_sleep(0.2)", deadline: .patience)
                    try await writer.write(0..<rows) { index, row in
                        row.append(Int32(index))
                        row.appendNull()
                        row.appendNull()
                    }
                    #expect(rows == 1, "the writing of many rows must fail already")
                }
            }
            #expect(error.code == .timedOut)
            #expect(error.effect == .notApplied)
            #expect(await connection.isClean)
            let count = try await connection.query("SELECT count(*) FROM c", deadline: time.now + .seconds(60))
            #expect(try count.first?.decode(0, as: Int.self) == 0)
            await connection.close()
            await observer.close()
        }

        @Test func aTaskThatIsCancelledInTheBodyLeavesNothing() async throws {
            let connection = try await connected()
            let observer = try await PostgresTestServer.connect()
            let pid = await observer.backendProcessID
            let error = try await withThrowingTaskGroup(of: PostgresError.self) { group in
                group.addTask {
                    try await failure {
                        try await connection.copyIn(Self.copy, deadline: .patience) { writer in
                            let ended = try await failure {
                                _ = try await observer.query("SELECT pg_sleep(60)", deadline: .patience)
                            }
                            #expect(ended.code == .cancelled)
                            try await writer.write { row in
                                row.append(1 as Int32)
                                row.appendNull()
                                row.appendNull()
                            }
                        }
                    }
                }
                let watcher = try await PostgresTestServer.connect()
                try await PostgresTestServer.waitUntil(
                    "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = \(pid)", on: watcher)
                await watcher.close()
                group.cancelAll()
                return try #require(try await group.next())
            }
            #expect(error.code == .cancelled)
            #expect(error.effect == .notApplied)
            #expect(await connection.isClean)
            #expect(try await number("SELECT count(*) FROM c", connection) == 0)
            await connection.close()
            await observer.close()
        }

        @Test func aCancelledTaskLeavesNothing() async throws {
            let connection = try await connected()
            let error = try await withThrowingTaskGroup(of: PostgresError.self) { group in
                group.addTask {
                    try await failure {
                        try await connection.copyIn(Self.copy, deadline: .patience) { writer in
                            try await writer.writeWithoutEnd()
                        }
                    }
                }
                let observer = try await PostgresTestServer.connect()
                let pid = await connection.backendProcessID
                try await PostgresTestServer.waitUntil(
                    "EXISTS (SELECT FROM pg_stat_progress_copy WHERE pid = \(pid))", on: observer)
                await observer.close()
                group.cancelAll()
                return try #require(try await group.next())
            }
            #expect(error.code == .cancelled)
            #expect(error.effect == .notApplied)
            #expect(await connection.isClean)
            #expect(try await number("SELECT count(*) FROM c", connection) == 0)
            await connection.close()
        }

        /// A stopped server process takes no data: the writer waits for room, until its deadline.
        @Test func aServerThatTakesNothingIsLeft() async throws {
            let time = ManualTime()
            let connection = try await PostgresTestServer.connect(time: time, grace: .milliseconds(200))
            try await connection.execute(script: Self.table, deadline: time.now + .seconds(60))
            let pid = await connection.backendProcessID
            let error = try await failure {
                try await connection.copyIn(Self.copy, deadline: time.now + .seconds(3)) { writer in
                    #expect(kill(pid, SIGSTOP) == 0)
                    try await writer.writeWithoutEnd()
                }
            }
            #expect(kill(pid, SIGCONT) == 0)
            #expect(error.code == .timedOut)
            #expect(await !connection.isUsable)
        }

        @Test func aTerminatedServerProcessIsHeardWithItsCode() async throws {
            let connection = try await connected()
            let killer = try await PostgresTestServer.connect()
            let pid = await connection.backendProcessID
            let error = try await failure {
                try await connection.copyIn(Self.copy, deadline: .patience) { writer in
                    _ = try await killer.query("SELECT pg_terminate_backend($1)", [.int4(pid)], deadline: .patience)
                    try await PostgresTestServer.waitUntil(
                        "NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = \(pid))", on: killer)
                    try await writer.writeWithoutEnd()
                }
            }
            #expect(error.code == .connectionLost)
            #expect(error.sqlState == .adminShutdown)
            #expect(await !connection.isUsable)
            await killer.close()
        }

        @Test func closingEndsACopyWhoseBodyIsBusyElsewhere() async throws {
            let connection = try await connected()
            let error = try await failure {
                try await connection.copyIn(Self.copy, deadline: .patience) { writer in
                    await connection.close()
                    try await writer.write(0..<100_000) { index, row in
                        row.append(Int32(index))
                        row.appendNull()
                        row.appendNull()
                    }
                }
            }
            #expect(error.code == .connectionLost)
            #expect(error.effect == .notApplied)
            #expect(await !connection.isUsable)
        }

        // MARK: Scripts

        @Test func aScriptAroundTheCopyIsOneTransaction() async throws {
            let connection = try await connected(Self.table + "; CREATE TEMP TABLE claim (id int PRIMARY KEY)")
            func send(_ value: Double) async throws -> [PostgresResult] {
                try await connection.copyIn(
                    "INSERT INTO claim VALUES (1) RETURNING id; \(Self.copy); SELECT count(*) FROM c",
                    deadline: .patience
                ) { writer in
                    #expect(try writer.precedingResults.first?.first?.decode("id", as: String.self) == "1")
                    try await writer.write { row in
                        row.append(1 as Int32)
                        row.append(value)
                        row.appendNull()
                    }
                }
            }
            let refused = try await failure { _ = try await send(1e7) }
            #expect(refused.sqlState == .checkViolation)
            #expect(try await number("SELECT count(*) FROM claim", connection) == 0)
            let results = try await send(1)
            #expect(results.map(\.commandTag) == ["INSERT 0 1", "COPY 1", "SELECT 1"])
            #expect(try results.last?.first?.decode(0, as: String.self) == "1")
            let again = try await failure { _ = try await send(2) }
            #expect(again.sqlState == .uniqueViolation)
            #expect(try await number("SELECT count(*) FROM c", connection) == 1)
            await connection.close()
        }

        @Test(arguments: [
            "SELECT 1", "COPY c FROM STDIN", "COPY c TO STDOUT (FORMAT binary)", "",
        ])
        func whatIsNoBinaryCopyIsRefused(script: String) async throws {
            let connection = try await connected()
            let error = try await failure {
                try await connection.copyIn(script, deadline: .patience) { _ in Issue.record("no copy") }
            }
            #expect(error.code == .misuse)
            await connection.close()
        }

        @Test func theServersErrorAtTheStartIsThrown() async throws {
            let connection = try await PostgresTestServer.connect()
            let error = try await failure {
                try await connection.copyIn("COPY nowhere FROM STDIN (FORMAT binary)", deadline: .patience) { _ in }
            }
            #expect(error.sqlState == .undefinedTable)
            #expect(await connection.isClean)
            await connection.close()
        }

        @Test func aStatementDuringTheCopyIsRefused() async throws {
            let connection = try await connected()
            try await connection.copyIn(Self.copy, deadline: .patience) { _ in
                let error = try await failure { _ = try await connection.query("SELECT 1", deadline: .patience) }
                #expect(error.code == .misuse)
            }
            #expect(await connection.isClean)
            await connection.close()
        }
    }
}

extension PostgresCopyWriter {
    /// Many more rows than any of these tests lets through: it ends by throwing.
    fileprivate nonisolated(nonsending) mutating func writeWithoutEnd() async throws {
        for index in 0..<100_000_000 {
            try await write { row in
                row.append(Int32(truncatingIfNeeded: index))
                row.appendNull()
                row.appendNull()
            }
        }
    }
}
