import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension HistoryTests {
    /// Where the recorded data lies: partitions, the ledger, and what a migration leaves of earlier versions.
    @Suite struct HistorySchema {
        typealias Base = HistoryDatabase

        @Test func whatWasRecordedBeforeIsStillThereAndInTheRollups() async throws {
            try await Base.with(version: 5) { connection, _ in
                try await connection.run(
                    """
                    SELECT ald.ensure_history_partitions('2026-01-07', 1);
                    SELECT ald.apply_history_batch(1, 5, 1, 2, sha256('a'), '{1,2}',
                        '{2026-01-07 12:00Z,2026-01-07 12:00Z}', '{1.5,2.5}', '{192,192}');
                    SELECT ald.apply_gap_batch(1, 5, 2, 1, sha256('b'), '{2026-01-07 12:00Z}', '{2026-01-07 12:01Z}',
                        '{60}', '{plc}', '{away}');
                    """)
                _ = try await Migrator().migrate(connection, deadline: .patience)
                #expect(try await connection.number("SELECT count(*) FROM ald.parameter_value_history") == 2)
                #expect(try await connection.number("SELECT count(*) FROM ald.collection_gaps") == 1)
                #expect(
                    try await connection.number(
                        """
                        SELECT ald.apply_history_batch(1, 5, 1, 2, sha256('a'), '{1,2}',
                            '{2026-01-07 12:00Z,2026-01-07 12:00Z}', '{1.5,2.5}', '{192,192}')::bigint
                        """) == 0)
                let report = try await HistoryMaintenance.maintain(
                    on: connection, now: Base.noon.advanced(by: .seconds(600)), deadline: .patience)
                #expect(report.rolledUp == 1)
                #expect(try await connection.number("SELECT count(*) FROM ald.parameter_rollup_1d WHERE n = 1") == 2)
            }
        }

        @Test func manyWhoMissADayMakeItOnce() async throws {
            try await Base.with { connection, database in
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<8 {
                        group.addTask {
                            try await TestDatabase.withConnection(database) { connection, _ in
                                try await connection.number(
                                    "SELECT ald.ensure_history_partitions('2026-01-01', 20)::bigint")
                            }
                        }
                    }
                    let made = try await group.reduce(0, +)
                    #expect(made == 20)
                }
                #expect(
                    try await connection.number(
                        """
                        SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                        WHERE c.relnamespace = 'ald_history'::regnamespace AND c.relkind = 'r'
                            AND c.relrowsecurity AND EXISTS (
                                SELECT FROM pg_index x JOIN pg_class b ON b.oid = x.indexrelid
                                JOIN pg_am a ON a.oid = b.relam WHERE x.indrelid = c.oid AND a.amname = 'brin')
                        """) == 21, "20 days and a month of process points, each with its index and closed by itself")
            }
        }

        @Test(arguments: ["1970-01-01", "1999-12-31", "2200-01-01", "infinity", "-infinity"])
        func aDayThatCannotBeIsRefusedInWords(day: String) async throws {
            try await Base.with { connection, _ in
                let error = try await failure {
                    try await connection.run("SELECT ald.ensure_history_partitions('\(day)', 1)")
                }
                #expect(error.sqlState?.rawValue == "22008" && error.message.contains("cannot be recorded"))
            }
        }

        @Test func aDayThatSomebodyDetachedIsNamed() async throws {
            try await Base.with { connection, _ in
                _ = try await Base.record(Base.cycle(at: Base.noon), on: connection)
                try await connection.run(
                    """
                    ALTER TABLE ald_history.parameter_value_history
                    DETACH PARTITION ald_history.parameter_value_history_20260107
                    """)
                let error = try await failure { _ = try await Base.record(Base.cycle(at: Base.noon), on: connection) }
                #expect(error.message.contains("parameter_value_history_20260107 exists and is no partition"))
            }
        }

        @Test func aWriterLearnsWhichBatchesTheDatabaseLost() async throws {
            try await Base.with { connection, _ in
                try await connection.run(
                    """
                    SELECT ald.apply_gap_batch(1, 9, n, 0, sha256('x'), '{}', '{}', '{}', '{}', '{}')
                    FROM unnest('{1,2,3,5,8}'::bigint[]) n;
                    SELECT ald.forget_batches(1, 9, 2);
                    SELECT ald.forget_batches(1, 9, 1);
                    """)
                let lost = try await connection.query(
                    """
                    SELECT batch_number || ' ' || status FROM ald.missing_batches(1,
                        '{9,9,9,9,9,7}', '{1,3,4,5,6,1}', ARRAY[sha256('x'), sha256('x'), sha256('x'), sha256('other'),
                            sha256('x'), sha256('x')])
                    """, deadline: .patience)
                #expect(try lost.map { try $0.decode(0, as: String.self) } == ["1 1", "4 1", "5 2", "6 1"])
            }
        }

        @Test func theLedgerForgetsOnlyWhatItsWriterHasForgottenLongAgo() async throws {
            try await Base.with { connection, _ in
                func apply(_ number: Int) async throws -> Int {
                    try await connection.number(
                        """
                        SELECT status::bigint
                        FROM ald.apply_gap_batch(1, 9, \(number), 0, sha256('x'), '{}', '{}', '{}', '{}', '{}') status
                        """)
                }
                for number in 1...4 { #expect(try await apply(number) == 1) }
                try await connection.run(
                    """
                    UPDATE ald_history.ingest_batches SET applied_at = '2026-01-07 12:00Z',
                        first_at = '2026-01-07 11:00Z', last_at = '2026-01-07 11:00Z' WHERE batch_number <> 2;
                    UPDATE ald_history.ingest_batches SET first_at = NULL, last_at = NULL WHERE batch_number = 3;
                    SELECT ald.forget_batches(1, 9, 3);
                    """)
                // 2 is young, 3 has no readings, 4 may still come again.
                #expect(try await connection.number("SELECT ald.prune_ledger('2026-01-20Z')::bigint") == 1)
                #expect(
                    try await connection.number(
                        "SELECT count(*) FROM ald.ingest_batches WHERE batch_number IN (2, 3, 4)") == 3)
                #expect(
                    try await connection.number(
                        "SELECT count(*) FROM ald_history.retention WHERE ledger_floor = '2026-01-13Z'") == 1)
                #expect(try await apply(2) == 0)
                #expect(try await apply(4) == 0)
                #expect(try await apply(1) == 3, "pruned, and its writer promised never to send it")
                let tooSoon = try await failure {
                    try await connection.run("SELECT ald.prune_ledger('2026-01-20Z', '10 s')")
                }
                #expect(tooSoon.message.contains("at least an hour"))
            }
        }

        /// A role that may only call what collectors call.
        @Test func aCollectorRecordsAndCannotTouchTheTables() async throws {
            try await Base.with { connection, database in
                let name = "collector_" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
                try await connection.run(
                    """
                    CREATE ROLE \(name) LOGIN PASSWORD 'x' IN ROLE ald_collector;
                    INSERT INTO ald.machine_members (member, machine_id) VALUES ('\(name)', 1);
                    SET SESSION AUTHORIZATION \(name);
                    """)
                #expect(try await Base.record(Base.cycle(at: Base.noon), on: connection).historyRows == 10)
                let foreign = try await failure {
                    _ = try await Base.record(Base.cycle(at: Base.noon), machine: 2, on: connection)
                }
                #expect(foreign.sqlState?.rawValue == "42501")
                for statement in [
                    "SELECT count(*) FROM ald_history.parameter_value_history",
                    "DELETE FROM ald_history.ingest_batches",
                    "INSERT INTO ald_history.parameter_value_history_20260107 VALUES (1, 1, '2026-01-07', 1, 192)",
                ] {
                    let error = try await failure { try await connection.run(statement) }
                    #expect(error.sqlState?.rawValue == "42501", "\(statement)")
                }
                // Where nobody else does it, whoever records keeps the history in shape.
                try await connection.run("SELECT ald.maintain('2026-01-07 12:00Z')")
                try await connection.run(
                    "RESET SESSION AUTHORIZATION; DROP OWNED BY \(name); DROP ROLE \(name)")
            }
        }
    }
}
