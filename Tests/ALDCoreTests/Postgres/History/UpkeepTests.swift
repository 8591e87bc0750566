import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension HistoryTests {
    /// What maintenance does besides rollups, what it says it will do, and what is said of how far it is.
    @Suite struct Upkeep {
        typealias Base = HistoryDatabase

        private static func day(_ days: Int64) -> Timestamp { Base.noon.advanced(by: .seconds(days * 86_400)) }

        /// Batches 1 to 6 of origin 9, one a day from noon of the first day on; their writer has forgotten 1 to 5.
        private static func makeLedger(_ connection: PostgresConnection) async throws {
            for number in 1...6 {
                #expect(try await send(number, connection) == 1)
            }
            try await connection.run(
                """
                UPDATE ald_history.ingest_batches SET applied_at = '2026-01-07 12:00Z'::timestamptz
                    + (batch_number - 1) * interval '1 day';
                SELECT ald.forget_batches(1, 9, 5)
                """)
        }

        /// - Returns: the status of the ledger.
        private static func send(_ number: Int, _ connection: PostgresConnection) async throws -> Int {
            try await connection.number(
                """
                SELECT status::bigint FROM ald.record_cycle(1, 9, \(number), 1, sha256('\(number)'), '{1}',
                    ARRAY['2026-01-07 12:00Z'::timestamptz + \(number - 1) * interval '1 day'], '{1}', '{192}')
                """)
        }

        @Test func aForgottenBatchLeavesTheLedgerAfterAWeekAndDoesNotLandAgain() async throws {
            try await Base.with { connection, _ in
                try await Base.makeDays(connection)
                try await connection.run("SELECT ald.ensure_history_partitions('2026-01-07', 10)")
                try await Self.makeLedger(connection)
                let known = "SELECT count(*) FROM ald.ingest_batches"
                let early = try await HistoryMaintenance.maintain(
                    on: connection, now: Self.day(7), deadline: .patience)
                #expect(early.pruned == 0, "exactly a week is not more than a week")
                let later = Self.day(9).advanced(by: .seconds(60))
                let report = try await HistoryMaintenance.maintain(on: connection, now: later, deadline: .patience)
                #expect(report.pruned == 3)
                #expect(try await connection.number(known) == 3)
                let rows = "SELECT count(*) FROM ald_history.parameter_value_history"
                let before = try await connection.number(rows)
                for number in 1...3 { #expect(try await Self.send(number, connection) == 3, "forgotten") }
                for number in 4...6 { #expect(try await Self.send(number, connection) == 0, "known") }
                #expect(try await connection.number(rows) == before)
            }
        }

        /// From the spool that has deleted its segment to the ledger that has no row any more, and back.
        @Test func whatASpoolHasForgottenIsPrunedAndWhatIsSentNeverthelessIsRecognised() async throws {
            try await Base.with { connection, database in
                var configuration = SpoolFixture.small
                configuration.segmentAge = .seconds(1)
                configuration.retainedWindow = .seconds(3600)
                let time = ManualTime()
                try await SpoolFixture.withSpool(configuration, time: time) { spool, _ in
                    let batch = try await Self.deliver(spool, database)
                    // A new segment, so that the one with the batch is complete; then the window passes.
                    time.advance(by: .seconds(2))
                    _ = try await spool.append(.history(Base.cycle(at: Self.day(1))), machine: 1)
                    #expect(try await spool.forgotten() == [], "it is kept for an hour")
                    time.advance(by: .seconds(3600))
                    spool.acknowledge([])
                    try await spool.tidyUp()
                    let promises = try await spool.promises(machine: 1)()
                    #expect(promises == [.init(machine: 1, origin: batch.id.origin, number: batch.id.number)])
                    try await HistoryMaintenance.forget(promises, on: connection, deadline: .patience)
                    try await connection.run("UPDATE ald_history.ingest_batches SET applied_at = '2026-01-07 12:00Z'")
                    let report = try await HistoryMaintenance.maintain(
                        on: connection, now: Self.day(8), deadline: .patience)
                    #expect(report.pruned == 1)
                    #expect(try await connection.number("SELECT count(*) FROM ald.ingest_batches") == 0)
                    let rows = "SELECT count(*) FROM ald.parameter_value_history"
                    let before = try await connection.number(rows)
                    #expect(try await Self.send([batch], database) == [.forgotten])
                    #expect(try await connection.number(rows) == before)
                }
            }
        }

        /// Appends a batch, delivers it and tells the spool so.
        private static func deliver(_ spool: Spool, _ database: PostgresConfiguration) async throws -> Batch {
            _ = try await spool.append(.history(Base.cycle(at: Base.noon)), machine: 1)
            let stored = try #require(try await SpoolFixture.all(spool).first)
            #expect(try await send([try stored.batch()], database) == [.landed])
            spool.acknowledge([stored.header])
            try await spool.tidyUp()
            return try stored.batch()
        }

        private static func send(_ batches: [Batch], _ database: PostgresConfiguration) async throws -> [BatchLanding] {
            let pool = try ConnectionPool(configuration: database, logger: TestDatabase.quiet)
            let sink = PostgresSink(
                pool: pool, registration: Base.registration(1), logger: TestDatabase.quiet)
            return try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                defer { group.cancelAll() }
                return try await sink.deliver(batches, deadline: .patience)
            }
        }

        @Test func maintenanceToTheEndIsManyStepsOfBoundedSize() async throws {
            try await Base.with { connection, _ in
                try await connection.run("SELECT ald.ensure_history_partitions('2026-01-07', 10)")
                try await Self.makeLedger(connection)
                var steps: [Int32] = []
                let done = try await HistoryMaintenance.maintainToTheEnd(
                    on: connection, now: Self.day(40), limit: 2, deadline: .patience
                ) { steps.append($0.rolledUp) }
                #expect(steps == [2, 4, 6, 6])
                #expect(done.rolledUp == 6 && done.pruned == 5 && done.hindrance == nil && !done.isBusy)
                let plan = try await MaintenancePlan(connection, now: Self.day(40), deadline: .patience)
                #expect(plan.buckets == 0 && plan.ledgerRows == 0 && plan.partitions == 0 && plan.dropped.isEmpty)
            }
        }

        @Test func whoComesWhileAnotherMaintainsIsToldSo() async throws {
            try await Base.with { connection, database in
                try await connection.run("BEGIN; SELECT ald.maintain('2026-01-07 12:00Z')")
                let report = try await TestDatabase.withConnection(database) { other, deadline in
                    try await HistoryMaintenance.maintainToTheEnd(on: other, now: Base.noon, deadline: deadline)
                }
                #expect(report.isBusy)
                try await connection.run("COMMIT")
            }
        }

        @Test func whatMayStillBeReconciledStaysInTheLedgerAndAStepIsBounded() async throws {
            try await Base.with { connection, _ in
                try await connection.run("SELECT ald.ensure_history_partitions('2026-01-07', 10)")
                try await Self.makeLedger(connection)
                let later = Self.day(40)
                try await connection.run("UPDATE ald_history.retention SET unreconciled = '37 days'")
                let held = try await HistoryMaintenance.maintain(on: connection, now: later, deadline: .patience)
                #expect(held.pruned == 3, "the last two are not 37 days old")
                try await connection.run("UPDATE ald_history.retention SET unreconciled = '1 day'")
                let step = try await connection.number(
                    "SELECT ald.prune_ledger('2026-02-16 12:00Z', '7 days', 1)::bigint")
                #expect(step == 1)
                #expect(
                    try await connection.rows("SELECT batch_number FROM ald.ingest_batches ORDER BY 1") == ["5", "6"],
                    "the writer has not forgotten the last one, however old it is")
            }
        }

        /// What the plan names is dropped, summed up and pruned, neither more nor less.
        @Test func thePlanIsWhatIsDone() async throws {
            try await Base.with { connection, _ in
                try await connection.run("SELECT ald.ensure_history_partitions('2026-01-07', 10)")
                try await Self.makeLedger(connection)
                let now = "'2026-02-16 12:00Z'"
                func plan(_ task: String) async throws -> [String] {
                    try await connection.rows(
                        "SELECT object FROM ald.maintenance_plan(\(now)) WHERE task = '\(task)' ORDER BY 1")
                }
                func amount(_ task: String) async throws -> Int {
                    try await connection.number(
                        "SELECT amount FROM ald.maintenance_plan(\(now)) WHERE task = '\(task)'")
                }
                let partitions = """
                    SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' AND relname !~ '^process'
                    ORDER BY 1
                    """
                let (toDrop, toSum, toPrune) = (
                    try await plan("drop"), try await amount("sum up"), try await amount("prune")
                )
                let toCreate = try await amount("create")
                #expect(toDrop.count == 10 && toSum == 6 && toPrune == 5 && toCreate == 9)
                let before = try await connection.rows(partitions)
                var (summed, pruned, dropped, created) = (0, 0, 0, 0)
                for _ in 0..<8 {
                    let report = try await connection.query(
                        "SELECT rolled_up, pruned, dropped, created FROM ald.maintain(\(now), 2)", deadline: .patience)
                    let row = try #require(report.first)
                    summed += Int(try row.decode(0, as: Int32.self))
                    pruned += Int(try row.decode(1, as: Int32.self))
                    dropped += Int(try row.decode(2, as: Int32.self))
                    created += Int(try row.decode(3, as: Int32.self))
                }
                #expect((summed, pruned, created) == (toSum, toPrune, toCreate))
                let after = try await connection.rows(partitions)
                #expect(Set(before).subtracting(after).sorted() == toDrop)
                // The rollups by five minutes were made on the way and are dropped with their days.
                #expect(dropped >= toDrop.count)
                let (left, waiting) = (try await plan("drop"), try await plan("wait"))
                #expect(left == [] && waiting == [])
            }
        }

        @Test func aPlanSaysWhatItMustWaitFor() async throws {
            try await Base.with { connection, _ in
                _ = try await Base.record(Base.cycle(at: Base.noon), on: connection)
                try await connection.run("UPDATE ald_history.ingest_batches SET applied_at = '2026-01-20 11:00Z'")
                let plan = try await connection.rows(
                    "SELECT task, object FROM ald.maintenance_plan('2026-01-20 12:00Z') WHERE task IN ('drop', 'wait')")
                #expect(plan == ["wait|readings of 2026-01-07 arrived within the last 1 day"])
                let error = try await failure {
                    try await connection.run("SELECT * FROM ald.maintenance_plan('infinity')")
                }
                #expect(error.sqlState?.rawValue == "22023")
            }
        }

        @Test func everyMachineSaysHowFarItIsAndOnlyToItsMembers() async throws {
            try await Base.with { connection, _ in
                try await connection.run("SELECT ald.ensure_history_partitions('2026-01-07', 10)")
                try await Self.makeLedger(connection)
                try await connection.run(
                    """
                    INSERT INTO ald_history.dead_letters (machine_id, origin, batch_number, row_number, format, payload,
                        recorded_at, refused_at, attempts, message, state, operator, reason, closed_at) VALUES
                        (1, 1, 1, 0, 1, '', now(), '2026-01-08Z', 1, 'm', 'open', NULL, NULL, NULL),
                        (1, 1, 2, 0, 1, '', now(), '2026-01-07Z', 1, 'm', 'discarded', 'o', 'r', now())
                    """)
                let upkeep = """
                    SELECT machine_id, rollups_waiting, rollups_due_since AT TIME ZONE 'UTC' AS due, late_waiting,
                        ledger_batches, ledger_since AT TIME ZONE 'UTC' AS since, ledger_forgotten, dead_letters_open,
                        dead_letters_since AT TIME ZONE 'UTC' AS letters FROM ald.upkeep('2026-01-12 12:04:59Z')
                    """
                #expect(
                    try await connection.rows(upkeep) == [
                        "1|5|2026-01-07T12:05:00|0|6|2026-01-07T12:00:00|5|1|2026-01-08T00:00:00", "2|0|0|0|0|0",
                    ], "the sixth bucket has not ended")
                let name = "reader_" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
                try await connection.run(
                    """
                    CREATE ROLE \(name) IN ROLE ald_reader;
                    INSERT INTO ald.machine_members (member, machine_id) VALUES ('\(name)', 2);
                    SET SESSION AUTHORIZATION \(name)
                    """)
                try await withCleanup {
                    let seen = try await connection.rows(upkeep)
                    #expect(seen == ["2|0|0|0|0|0"])
                } cleanup: {
                    try await connection.run("RESET SESSION AUTHORIZATION; DROP ROLE \(name)")
                }
            }
        }
    }
}
