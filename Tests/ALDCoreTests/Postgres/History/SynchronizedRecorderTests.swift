import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension HistoryTests {
    /// History, process points and current values in one call.
    @Suite struct SynchronizedRecording {
        typealias Base = HistoryDatabase

        private static let everything = """
            SELECT (SELECT count(*) FROM ald.parameter_value_history) + (SELECT count(*) FROM ald.process_data_points)
                + (SELECT count(*) FROM ald.component_parameter_values) + (SELECT count(*) FROM ald.ingest_batches)
                + (SELECT count(*) FROM ald_history.rollup_queue)
            """

        @Test func aCycleLandsInAllThreeTablesOnceUnderItsName() async throws {
            try await Base.with { connection, _ in
                try await connection.run(
                    """
                    INSERT INTO ald.process_executions (machine_id, operator, status, started_at)
                    VALUES (1, 'somebody', 'running', '2026-01-07 11:59:59Z')
                    """)
                let (rows, name) = (Base.cycle(at: Base.noon), UUID())
                let first = try await Base.record(rows, name, on: connection)
                #expect(
                    first
                        == .init(isNew: true, historyRows: 10, processRows: 10, currentValues: Base.parameters))
                let before = try await connection.number(Self.everything)
                #expect(before == 10 + 10 + 10 + 1 + 1)
                let second = try await Base.record(rows, name, on: connection)
                #expect(second == .init(isNew: false, historyRows: 0, processRows: 0, currentValues: 0))
                await #expect(throws: SynchronizedRecorder.Refused.self) {
                    try await Base.record(Base.cycle(at: Base.noon, value: 0.5), name, on: connection)
                }
                #expect(try await connection.number(Self.everything) == before)
                let stored = try await connection.query(
                    "SELECT transaction_id FROM ald.ingest_batches", deadline: .patience)
                #expect(try stored.first?.decode(0, as: UUID.self) == name)
            }
        }

        @Test func anOlderReadingReplacesNothingNewerAndAnotherSetIsMerged() async throws {
            try await Base.with { connection, _ in
                let cycle = Base.cycle(at: Base.noon, value: 0.25)
                _ = try await Base.record(cycle, on: connection)
                let older = Base.cycle(at: Base.noon.advanced(by: .seconds(-1)))
                #expect(try await Base.record(older, on: connection).currentValues == 0)
                let same = Base.cycle(at: Base.noon, value: 0.5)
                #expect(try await Base.record(same, on: connection).currentValues == 0)
                // Two newer ones, an older one, a stranger, and a parameter twice.
                let later = Base.noon.advanced(by: .seconds(1))
                let mixed = [
                    HistoryRow(parameter: ParameterID(rawValue: 3), time: later, value: 33, quality: .good),
                    HistoryRow(parameter: ParameterID(rawValue: 2), time: later, value: 20, quality: .good),
                    HistoryRow(
                        parameter: ParameterID(rawValue: 2), time: later.advanced(by: .seconds(1)), value: 22,
                        quality: .uncertain),
                    HistoryRow(parameter: ParameterID(rawValue: 99), time: later, value: 99, quality: .good),
                    older[4],
                ]
                #expect(try await Base.record(mixed, on: connection).currentValues == 3)
                #expect(
                    try await connection.number(
                        """
                        SELECT count(*) FROM ald.component_parameters_full WHERE machine_id = 1 AND CASE parameter_id
                            WHEN 3 THEN current_value = 33 AND current_at = '2026-01-07 12:00:01Z'
                            WHEN 2 THEN current_value = 22 AND current_quality = 64
                            WHEN 7 THEN current_value IS NULL AND current_quality = 0 AND current_at IS NOT NULL
                            ELSE current_value = parameter_id + 0.25 AND current_at = '2026-01-07 12:00Z' END
                        """) == 10)
                // And the usual cycle goes on from there.
                let next = Base.cycle(at: Base.noon.advanced(by: .seconds(9)), value: 0.75)
                for shift in 0...1 {
                    let rows = next.map { row in
                        var row = row
                        row.time = row.time.advanced(by: .seconds(shift))
                        return row
                    }
                    #expect(try await Base.record(rows, on: connection).currentValues == 10)
                }
                #expect(
                    try await connection.number(
                        """
                        SELECT count(*) FROM ald.component_parameter_values v JOIN ald.parameter_value_history h
                            USING (machine_id, parameter_id, sampled_at)
                        WHERE v.value IS NOT DISTINCT FROM h.value AND sampled_at = CASE parameter_id
                            WHEN 99 THEN '2026-01-07 12:00:01Z' ELSE timestamptz '2026-01-07 12:00:10Z' END
                        """) == 11)
            }
        }

        @Test func aPoisonRowTakesEverythingWithIt() async throws {
            try await Base.with { connection, _ in
                var rows = Base.cycle(at: Base.noon)
                rows[9].value = nil
                let name = UUID()
                let error = try await failure { _ = try await Base.record(rows, name, on: connection) }
                #expect(error.constraintName == "value_present_unless_bad")
                #expect(try await connection.number(Self.everything) == 0)
                rows[9].value = 1
                #expect(try await Base.record(rows, name, on: connection).isNew)
            }
        }

        @Test func onlyASnapshotThatIsTakenInTurnIsAccepted() async throws {
            try await Base.with { connection, _ in
                try await Base.makeDays(connection)
                try await connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
                let error = try await failure { _ = try await Base.record(Base.cycle(at: Base.noon), on: connection) }
                #expect(error.message.contains("read committed"))
            }
        }

        /// The process cannot see the cycle yet, and the cycle has not seen the process.
        @Test func aProcessThatStartsWhileACycleIsRecordedGetsItsReadings() async throws {
            try await Base.with { connection, database in
                try await Base.makeDays(connection)
                try await connection.run("BEGIN")
                _ = try await Base.record(Base.cycle(at: Base.noon), on: connection)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        try await TestDatabase.withConnection(database) { operators, _ in
                            try await operators.run(
                                """
                                INSERT INTO ald.process_executions (machine_id, operator, status, started_at)
                                VALUES (1, 'somebody', 'running', '2026-01-07 11:59:59Z')
                                """)
                        }
                    }
                    try await PostgresTestServer.waitUntil(
                        "EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)", on: connection)
                    try await connection.run("COMMIT")
                    try await group.waitForAll()
                }
                #expect(try await connection.number("SELECT count(*) FROM ald.process_data_points") == 10)
            }
        }

        /// Two to thirty-six writers, on one machine and on two, each cycle sent twice, while processes start and end.
        @Test(.timeLimit(.minutes(5)), arguments: [(2, 1), (12, 1), (36, 1), (12, 2)])
        func writersAtTheSameTimeNeitherLoseNorDoubleNorDeadlock(writers: Int, machines: Int) async throws {
            try await Base.with { connection, database in
                try await Base.makeDays(connection)
                let cycles = max(6, 240 / writers)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for writer in 0..<writers {
                        group.addTask {
                            try await Self.write(
                                cycles, writer: writer, machine: Int32(writer % machines + 1), into: database)
                        }
                    }
                    group.addTask { try await Self.runProcesses(machine: 1, in: database) }
                    try await group.waitForAll()
                }
                try await Self.expectWhole(connection, cycles: cycles * writers)
            }
        }

        /// Sessions are ended at random moments; whoever lost one sends the same again.
        @Test(.timeLimit(.minutes(5)))
        func sessionsKilledAnywhereLeaveNothingHalf() async throws {
            try await Base.with { connection, database in
                try await Base.makeDays(connection)
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for writer in 0..<6 {
                        group.addTask {
                            try await Self.write(40, writer: writer, machine: 1, into: database)
                            return true
                        }
                    }
                    group.addTask {
                        try await Self.runProcesses(machine: 1, in: database)
                        return true
                    }
                    group.addTask {
                        try await Self.killWriters(in: database)
                        return false
                    }
                    for try await wasWriter in group where !wasWriter { break }
                    try await group.waitForAll()
                }
                try await Self.expectWhole(connection, cycles: 240)
            }
        }

        private static func write(
            _ cycles: Int, writer: Int, machine: Int32, into database: PostgresConfiguration
        ) async throws {
            let named = database.withApplicationName("cycle writer")
            var connection: PostgresConnection?
            for cycle in 0..<cycles {
                // Every writer at its own instants, in an order that is neither time nor writer.
                let rows = Base.cycle(
                    at: Base.noon.advanced(by: .milliseconds((cycle * 7919 % cycles) * 1000 + writer)))
                let name = UUID()
                var sent = 0
                while sent < 2 {
                    do {
                        let open: PostgresConnection
                        if let connection {
                            open = connection
                        } else {
                            open = try await PostgresConnection.connect(
                                named, deadline: .patience, time: SystemTime(), logger: TestPlace.logger)
                            connection = open
                        }
                        _ = try await Base.record(rows, name, machine: machine, on: open)
                        sent += 1
                    } catch let error as PostgresError where error.sqlState != .deadlockDetected && error.isOutage {
                        await connection?.close()
                        connection = nil
                    }
                }
            }
            await connection?.close()
        }

        private static func runProcesses(machine: Int32, in database: PostgresConfiguration) async throws {
            try await TestDatabase.withConnection(database) { connection, _ in
                for run in 0..<12 {
                    let start = "timestamptz '2026-01-07 12:00Z' + interval '\(run * 1237) ms'"
                    try await connection.run(
                        """
                        INSERT INTO ald.process_executions (machine_id, operator, status, started_at)
                        VALUES (\(machine), 'somebody', 'running', \(start));
                        SELECT pg_sleep(0.01);
                        UPDATE ald.process_executions SET status = 'completed',
                            ended_at = started_at + interval '\(run * 413) ms'
                        WHERE machine_id = \(machine) AND ended_at IS NULL;
                        """)
                }
            }
        }

        private static func killWriters(in database: PostgresConfiguration) async throws {
            try await TestDatabase.withConnection(database) { connection, _ in
                for _ in 0..<40 {
                    try await connection.run(
                        """
                        SELECT pg_sleep(0.02 * random()), pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE datname = current_database() AND application_name = 'cycle writer'
                        ORDER BY random() LIMIT 1
                        """)
                }
            }
        }

        /// Every cycle is whole and once there, every process has exactly the readings of its time, and the current
        /// values are the newest readings.
        private static func expectWhole(
            _ connection: PostgresConnection, cycles: Int, sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            #expect(
                try await connection.number("SELECT count(*) FROM ald.ingest_batches WHERE row_count = 10") == cycles,
                sourceLocation: sourceLocation)
            #expect(
                try await connection.number("SELECT count(*) FROM ald.parameter_value_history") == cycles * 10,
                sourceLocation: sourceLocation)
            #expect(
                try await connection.number(
                    """
                    SELECT count(*) FROM (SELECT FROM ald.parameter_value_history GROUP BY machine_id, sampled_at
                        HAVING count(*) = 10 AND count(DISTINCT parameter_id) = 10) whole
                    """) == cycles, sourceLocation: sourceLocation)
            #expect(
                try await connection.number(
                    """
                    WITH due AS (SELECT h.machine_id, e.process_id, h.parameter_id, h.sampled_at, h.value
                            FROM ald.process_executions e JOIN ald.parameter_value_history h
                                ON h.machine_id = e.machine_id AND h.sampled_at >= e.started_at
                                AND (e.ended_at IS NULL OR h.sampled_at < e.ended_at)),
                        there AS (SELECT machine_id, process_id, parameter_id, sampled_at, value
                            FROM ald.process_data_points)
                    SELECT count(*) FROM ((TABLE due EXCEPT ALL TABLE there) UNION ALL
                        (TABLE there EXCEPT ALL TABLE due)) differences
                    """) == 0, sourceLocation: sourceLocation)
            #expect(
                try await connection.number("SELECT count(*) FROM ald.process_data_points") > 0,
                sourceLocation: sourceLocation)
            #expect(
                try await connection.number(
                    """
                    SELECT count(*) FROM ald.component_parameter_values v WHERE NOT EXISTS (
                        SELECT FROM ald.parameter_value_history h WHERE h.machine_id = v.machine_id
                            AND h.parameter_id = v.parameter_id GROUP BY h.machine_id
                            HAVING max(h.sampled_at) = v.sampled_at)
                    """) == 0, sourceLocation: sourceLocation)
            try await connection.run("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
            #expect(
                try await connection.number(
                    "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0,
                sourceLocation: sourceLocation)
        }
    }
}
