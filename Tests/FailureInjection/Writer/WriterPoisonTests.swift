import ALDCore
import ALDTestKit
import Foundation
import XCTest

/// Records that the database refuses, and a database that refuses all records. The first become dead letters and nothing
/// else does; for the second everything waits until somebody has repaired it.
final class WriterPoisonTests: SharedServerTestCase {
    /// What a row's value stands for: the rule that it breaks.
    private static let refusals = [
        -2: "P0001", -3: "22012", -4: "23502", -5: "23503", -6: "22003", -7: "23505", -8: "23P01", -9: "22P02",
        -10: "21000", -11: "22021",
    ]

    private static var refusingTrigger: String {
        let cases = refusals.filter { $0.value != "23502" }.map {
            "WHEN \($0.key) THEN RAISE EXCEPTION 'refused: \($0.key)' USING ERRCODE = '\($0.value)';"
        }
        return """
            CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                CASE NEW.value \(cases.joined(separator: " "))
                WHEN -4 THEN NEW.parameter_id := NULL; ELSE NULL; END CASE;
                RETURN NEW;
            END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON ald_history.parameter_value_history
                FOR EACH ROW EXECUTE FUNCTION public.refuse();
            """
    }

    private static func execute(_ script: String, _ database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) { _ = try await $0.execute(script: script, deadline: $1) }
    }

    /// A batch in which these places break a rule.
    private func append(_ count: Int, breaking places: Set<Int>, value: Int, to rig: WriterRig) async throws -> [Int64]
    {
        let numbers = rig.promises.take(count)
        guard case .history(var rows) = NumberedRecords.records(numbers, .history) else { return [] }
        for place in places { rows[place].value = Double(value) }
        try await rig.append(.history(rows), numbers: numbers)
        return places.map { numbers.lowerBound + Int64($0) }
    }

    func test_badRecordsOfEveryKindAtEveryPlace_becomeDeadLettersAndNothingElseDoes() async throws {
        let database = try await Self.database()
        try await Self.execute(Self.refusingTrigger, database)
        try await withTemporaryDirectory { directory in
            var options = WriterRig.Options(directory: directory, database: database)
            // Each call makes a batch of its own, so that its places are the batch's.
            options.spool.mergedRecords = 1
            try await WriterRig.run(options, promises: Promises()) { rig in
                // A rule that few of many records break is a rule; one that most break is a fault of the database.
                for _ in 0..<20 { try await rig.append(50, kind: .history) }
                var letters: [Int64] = []
                for value in [-1] + Self.refusals.keys.sorted() {
                    let places = value == -1 ? Array(0..<9) : [0, 4, 8]
                    for place in places {
                        letters += try await self.append(9, breaking: [place], value: value, to: rig)
                        try await rig.append(3)
                    }
                }
                letters += try await self.append(9, breaking: [0, 1, 7, 8], value: -1, to: rig)
                letters += try await self.append(1, breaking: [0], value: -2, to: rig)
                for place in 0..<4 {
                    let numbers = rig.promises.take(4)
                    guard case .gaps(var gaps) = NumberedRecords.records(numbers, .gaps) else { continue }
                    gaps[place].instants = 0
                    try await rig.append(.gaps(gaps), numbers: numbers)
                    letters.append(numbers.lowerBound + Int64(place))
                }
                try await rig.drain()
                let audit = try await LandingAudit(of: rig.promises, machine: 1, letters: letters, in: database)
                XCTAssertEqual(audit.problems, [])
                XCTAssertEqual(audit.deadLetters, letters.count)
                XCTAssertEqual(rig.writer.statistics.deadLettered, letters.count)
                let kinds = "SELECT count(DISTINCT sqlstate) FROM ald_history.dead_letters WHERE state = 'open'"
                let found = try await TestDatabase.number(kinds, database)
                XCTAssertEqual(found, 1 + Self.refusals.count)
            }
        }
    }

    /// - Parameters:
    ///   - login: who writes; `nil`: who owns the schema.
    ///   - kind: of the records that cannot land; the others must not wait for them.
    private func holds(
        _ story: String, _ kind: NumberedRecords.Kind, as login: String? = nil, broken: String, repaired: String
    ) async throws {
        let database = try await Self.database()
        try await TestDatabase.withConnection(database) { connection, deadline in
            try await NumberedRecords.registration(machine: 1).register(connection, deadline: deadline)
            if let login {
                _ = try await connection.execute(
                    script: """
                        CREATE ROLE \(login) LOGIN IN ROLE ald_collector;
                        INSERT INTO ald.machine_members (member, machine_id) VALUES ('\(login)', 1);
                        """, deadline: deadline)
            }
        }
        let words = "\(database)".split(separator: " ").filter { login == nil || !$0.hasPrefix("user=") }
        let string = words.joined(separator: " ") + (login.map { " user=\($0)" } ?? "")
        try await withTemporaryDirectory { directory in
            let options = WriterRig.Options(
                directory: directory, database: try PostgresConfiguration(connectionString: string))
            try await WriterRig.run(options, promises: Promises()) { rig in
                for other in NumberedRecords.Kind.allCases { try await rig.append(kind: other) }
                try await rig.drain()
                try await Self.execute(broken, database)
                for _ in 0..<30 { try await rig.append(kind: kind) }
                try await eventually("\(story): held, \(rig.writer.statistics)") {
                    rig.writer.statistics.heldBecause != nil
                }
                let held = rig.writer.statistics.landed
                let other: NumberedRecords.Kind = kind == .gaps ? .history : .gaps
                for _ in 0..<10 { try await rig.append(kind: other) }
                try await eventually("\(story): the others land, \(rig.writer.statistics)") {
                    rig.writer.statistics.landed >= held + 30
                }
                XCTAssertEqual(rig.writer.statistics.spooled, 90, story)
                try await Self.execute(repaired, database)
                try await rig.drain()
                let audit = try await LandingAudit(of: rig.promises, machine: 1, in: database)
                XCTAssertEqual(audit.problems, [], story)
                XCTAssertEqual(audit.deadLetters, 0, story)
            }
        }
    }

    func test_rightTakenAway_everythingWaitsForItAndNothingIsBuried() async throws {
        try await holds(
            "revoked", .history, as: "story_collector",
            broken: "REVOKE EXECUTE ON FUNCTION ald.record_cycle FROM ald_collector",
            repaired: "GRANT EXECUTE ON FUNCTION ald.record_cycle TO ald_collector")
    }

    func test_columnDropped_everythingWaitsForItAndNothingIsBuried() async throws {
        try await holds(
            "column", .gaps, broken: "ALTER TABLE ald_history.collection_gaps DROP COLUMN detail CASCADE",
            repaired: """
                ALTER TABLE ald_history.collection_gaps ADD COLUMN detail text;
                UPDATE ald_history.collection_gaps SET detail = 'gap '
                    || (extract(epoch FROM first_missed_at) * 1000000)::bigint - \(NumberedRecords.epoch.microseconds);
                ALTER TABLE ald_history.collection_gaps ALTER detail SET NOT NULL;
                """)
    }

    func test_tableDropped_everythingWaitsForItAndNothingIsBuried() async throws {
        // Away for as long as it is elsewhere: what is in it is needed for the account.
        try await holds(
            "table", .gaps, broken: "ALTER TABLE ald_history.collection_gaps SET SCHEMA public",
            repaired: "ALTER TABLE public.collection_gaps SET SCHEMA ald_history")
        try await holds(
            "history", .history, broken: "ALTER TABLE ald_history.parameter_value_history SET SCHEMA public",
            repaired: "ALTER TABLE public.parameter_value_history SET SCHEMA ald_history")
    }

    func test_ruleThatNoRecordFits_fewAreBuriedTheRestWaits() async throws {
        let database = try await Self.database()
        try await withTemporaryDirectory { directory in
            let options = WriterRig.Options(directory: directory, database: database)
            try await WriterRig.run(options, promises: Promises()) { rig in
                for _ in 0..<20 { try await rig.append(kind: .history) }
                try await rig.drain()
                try await Self.execute(
                    "ALTER TABLE ald_history.parameter_value_history ADD CONSTRAINT wrong CHECK (value < 0) NOT VALID",
                    database)
                for _ in 0..<100 { try await rig.append(kind: .history) }
                try await eventually("held, \(rig.writer.statistics)") { rig.writer.statistics.heldBecause != nil }
                try await Self.execute(
                    "ALTER TABLE ald_history.parameter_value_history DROP CONSTRAINT wrong", database)
                try await rig.drain()
                let buried = try await TestDatabase.number("SELECT count(*) FROM ald_history.dead_letters", database)
                XCTAssertLessThanOrEqual(buried, 20)
                XCTAssertEqual(rig.writer.statistics.landed + buried, rig.promises.acceptedCount)
            }
        }
    }

    func test_partitionMissing_isMadeAndNothingIsBuried() async throws {
        let database = try await Self.database()
        try await withTemporaryDirectory { directory in
            let options = WriterRig.Options(directory: directory, database: database)
            try await WriterRig.run(options, promises: Promises()) { rig in
                try await rig.withLoad {
                    for _ in 0..<5 {
                        try await rig.landMore()
                        // What landed may have been gaps and events alone: then the day is not made again yet.
                        try await eventually("the day's partition is there") {
                            try await TestDatabase.number(
                                """
                                SELECT count(*) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                                WHERE inhparent = 'ald_history.parameter_value_history'::regclass
                                    AND pg_get_expr(relpartbound, inhrelid) LIKE '%2026-09-10%TO%'
                                """, database) == 1
                        }
                        // Somebody moves a day aside; its rows come back afterwards.
                        try await Self.execute(
                            """
                            DO $$ DECLARE part text; BEGIN
                                SELECT inhrelid::regclass INTO STRICT part FROM pg_inherits
                                WHERE inhparent = 'ald_history.parameter_value_history'::regclass
                                    AND pg_get_expr((SELECT relpartbound FROM pg_class WHERE oid = inhrelid), inhrelid)
                                        LIKE '%2026-09-10%TO%';
                                EXECUTE format('ALTER TABLE ald_history.parameter_value_history DETACH PARTITION %s', part);
                                EXECUTE format('ALTER TABLE %s RENAME TO aside_%s', part, txid_current());
                            END $$
                            """, database)
                    }
                    try await rig.landMore()
                }
                try await rig.drain()
                try await Self.execute(
                    """
                    DO $$ DECLARE part regclass; BEGIN
                        FOR part IN SELECT oid FROM pg_class WHERE relname LIKE 'aside_%' LOOP
                            EXECUTE format('INSERT INTO ald_history.parameter_value_history SELECT * FROM %s', part);
                        END LOOP;
                    END $$
                    """, database)
                let audit = try await rig.audit()
                XCTAssertEqual(audit.problems, [])
                XCTAssertEqual(audit.deadLetters, 0)
            }
        }
    }
}
