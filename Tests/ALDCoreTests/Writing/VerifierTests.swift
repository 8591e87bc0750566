import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension LetterServerTests {
    /// Whatever is missing or doubled is found, by what it is and where.
    @Suite("Verifying") struct VerifierTests {
        private typealias Fixture = LetterFixture
        private typealias Finding = Verification.Finding

        private static let end = Fixture.day.advanced(by: .seconds(3600))

        /// Three parameters at each of these seconds, in one batch.
        private static func cycle(_ number: Int64, _ seconds: [Int]) -> Batch {
            let rows = seconds.flatMap { second in
                (Int32(1)...3).map {
                    HistoryRow(
                        parameter: ParameterID(rawValue: $0), time: Fixture.day.advanced(by: .seconds(second)),
                        value: 1, quality: .good)
                }
            }
            return Fixture.batch(.history(rows), number: number)
        }

        private static let gap = CollectionGap(
            firstMissedAt: Fixture.day, lastMissedAt: Fixture.day, instants: 1, cause: .plc, detail: "")

        /// Ten cycles, one second each, and a gap have landed.
        private static func with(
            _ letters: [DeadLetter] = [],
            _ body: @Sendable (PostgresConnection, PostgresConfiguration) async throws -> Void
        ) async throws {
            try await Fixture.with(letters) { _, connection, database in
                try await Fixture.land((1...10).map { cycle(100 + $0, [Int($0)]) }, connection)
                try await Fixture.land([Fixture.batch(.gaps([gap]), number: 200)], connection)
                try await body(connection, database)
            }
        }

        private static func verify(
            _ connection: PostgresConnection, from: Timestamp = Fixture.day, to: Timestamp = end
        ) async throws -> Verification {
            try await Verifier(connection).verify(
                machine: Fixture.machine, from: from, to: to, time: SystemTime(), patience: .seconds(60)
            ) { _ in }
        }

        private static func second(_ second: Int) -> Timestamp { Fixture.day.advanced(by: .seconds(second)) }

        @Test("what landed is sound, and every record is in one place of the account")
        func sound() async throws {
            let letters = [
                Fixture.letter(1, Fixture.reading(5000, second: 20)), Fixture.letter(2, Fixture.reading(5, second: 21)),
                Fixture.letter(3, Fixture.reading(5000, second: 22)),
            ]
            try await Self.with(letters) { connection, _ in
                let queue = DeadLetterQueue(connection)
                let sent = try await queue.requeue(
                    Fixture.name(2), revision: 0, by: Fixture.ann, deadline: .patience)
                let given = try await queue.discard(Fixture.name(3), by: Fixture.ann, deadline: .patience)
                #expect(sent == .done && given == .done)
                let found = try await Self.verify(connection)
                #expect(found.verdict == .sound, "\(found)")
                #expect(found.announced == 31 && found.found == 31 && found.gaps == 1)
                #expect(found.openLetters == 1 && found.requeuedLetters == 1 && found.discardedLetters == 1)
                // Thirty readings, a gap and three letters were accepted.
                #expect(found.accepted == 34 && found.landed == 32)
                #expect(await connection.isClean)
            }
        }

        @Test("a missing row is found to the instant")
        func missing() async throws {
            try await Self.with { connection, _ in
                try await connection.accept(
                    "DELETE FROM ald_history.parameter_value_history WHERE parameter_id = 2 "
                        + "AND sampled_at = '2024-01-10T00:26:47Z'")
                let found = try await Self.verify(connection)
                #expect(found.verdict == .unsound && found.findingCounts == [.missing: 1])
                let finding = try #require(found.findings.first)
                #expect(finding.from == Self.second(7) && finding.to == Self.second(7))
                #expect(finding.expected == 3 && finding.found == 2)
            }
        }

        @Test("a doubled row is found, also when another one of the same instant is missing")
        func doubled() async throws {
            try await Self.with { connection, _ in
                let double = """
                    INSERT INTO ald_history.parameter_value_history SELECT * FROM ald_history.parameter_value_history
                    WHERE parameter_id = 3 AND sampled_at = '2024-01-10T00:26:42Z'
                    """
                try await connection.accept(double)
                let found = try await Self.verify(connection)
                #expect(found.findingCounts == [.surplus: 1, .repeated: 1])
                #expect(found.findings.allSatisfy { $0.from == Self.second(2) && $0.expected == 3 && $0.found == 4 })
                try await connection.accept(
                    "DELETE FROM ald_history.parameter_value_history WHERE parameter_id = 1 "
                        + "AND sampled_at = '2024-01-10T00:26:42Z'")
                let balanced = try await Self.verify(connection)
                #expect(balanced.verdict == .unsound && balanced.findingCounts == [.repeated: 1])
            }
        }

        @Test("rows whose batch the ledger has lost are found, and a range before them is sound")
        func lostLedgerRow() async throws {
            try await Self.with { connection, _ in
                try await connection.accept("DELETE FROM ald_history.ingest_batches WHERE batch_number IN (101, 109)")
                let found = try await Self.verify(connection)
                #expect(found.findingCounts == [.unannounced: 2] && found.announced == 24 && found.found == 30)
                #expect(found.findings.map(\.from) == [Self.second(1), Self.second(9)])
                let between = try await Self.verify(connection, from: Self.second(2), to: Self.second(9))
                #expect(between.verdict == .sound && between.found == 21)
            }
        }

        @Test("batches that overlap each other or the ends of the range are taken whole")
        func overlapping() async throws {
            try await Self.with { connection, _ in
                let batches = [
                    Self.cycle(300, [1200, 1210, 1220]), Self.cycle(301, [1215, 1225]), Self.cycle(302, [-86_400, -1]),
                    Self.cycle(303, [1199, 3601]),
                ]
                try await connection.accept("SELECT ald.ensure_history_partitions('2024-01-09', 1)")
                try await Fixture.land(batches, connection)
                let found = try await Self.verify(connection)
                #expect(found.verdict == .sound && found.announced == 30 + 15 + 6, "\(found)")
                let earlier = try await Self.verify(connection, from: Self.second(-3600))
                #expect(earlier.verdict == .sound && earlier.announced == found.announced + 6)
                try await connection.accept(
                    "DELETE FROM ald_history.parameter_value_history WHERE sampled_at = '2024-01-10T00:46:55Z'")
                let broken = try await Self.verify(connection)
                let finding = try #require(broken.findings.first)
                #expect(finding.kind == .missing && finding.from == Self.second(1199))
                #expect(finding.expected == 21 && finding.found == 18)
            }
        }

        @Test("a chain of thousands of batches that overlap is one piece, from wherever it is looked at")
        func longChain() async throws {
            try await Self.with { connection, _ in
                // Each batch reaches into the next one: no instant lies between two of them.
                let start = "'2024-01-10T01:00:00Z'::timestamptz + n * interval '10 s'"
                try await connection.accept(
                    """
                    INSERT INTO ald_history.ingest_batches
                        (machine_id, origin, batch_number, row_count, sha256, first_at, last_at)
                    SELECT 3, 77, n, 2, sha256('x'), \(start), \(start) + interval '15 s' FROM generate_series(1, 3000) n;
                    INSERT INTO ald_history.parameter_value_history (machine_id, parameter_id, sampled_at, value, quality)
                    SELECT 3, 1 + k, \(start) + k * interval '15 s', 1, 192
                    FROM generate_series(1, 3000) n, generate_series(0, 1) k;
                    """)
                for minute in [61, 300, 559] {
                    let place = Fixture.day.startOfDay.advanced(by: .seconds(60 * minute))
                    let found = try await Self.verify(connection, from: place, to: place.advanced(by: .seconds(20)))
                    #expect(found.verdict == .sound && found.announced == 6000, "\(minute): \(found)")
                }
                try await connection.accept(
                    "DELETE FROM ald_history.parameter_value_history WHERE sampled_at = '2024-01-10T09:00:00Z'")
                let place = Fixture.day.startOfDay.advanced(by: .seconds(3700))
                let broken = try await Self.verify(connection, from: place, to: place.advanced(by: .seconds(1)))
                #expect(broken.findingCounts == [.missing: 1] && broken.findings.first?.expected == 6000)
            }
        }

        @Test("gaps and dead letters that are not as many as announced are found, imported letters are none of them")
        func uncounted() async throws {
            let letters = (1...3).map { Fixture.letter(Int64($0), Fixture.reading(5000)) }
            try await Self.with(letters) { connection, _ in
                let queue = DeadLetterQueue(connection)
                let line = DeadLetterArchive.line(
                    letter: try await connection.rows(
                        "SELECT (to_jsonb(d) || '{\"batch_number\": 99}')::text AS l FROM ald.dead_letters d LIMIT 1")[
                            0],
                    events: "[]", record: nil)
                let imported = try await queue.import(
                    try DeadLetterArchive.read(line), by: Fixture.ann, deadline: .patience)
                #expect(imported == .done)
                let sound = try await Self.verify(connection)
                #expect(sound.verdict == .sound && sound.openLetters == 4, "\(sound)")
                try await connection.accept(
                    """
                    SET session_replication_role = replica;
                    DELETE FROM ald_history.dead_letters WHERE batch_number IN (1, 2);
                    SET session_replication_role = origin;
                    """)
                let found = try await Self.verify(connection)
                #expect(found.findingCounts == [.uncounted: 1])
                #expect(found.findings.first?.expected == 4 && found.findings.first?.found == 3)
                try await connection.accept(
                    "INSERT INTO ald_history.collection_gaps SELECT g.* FROM ald_history.collection_gaps g, generate_series(1, 5)"
                )
                let more = try await Self.verify(connection)
                #expect(more.findingCounts == [.uncounted: 1] && more.findings.first?.found == 8)
            }
        }

        @Test("a letter that was sent again and whose record the ledger does not know is found by name")
        func unclaimed() async throws {
            try await Self.with([Fixture.letter(1, Fixture.reading(5, second: 30))]) { connection, _ in
                let sent = try await DeadLetterQueue(connection).requeue(
                    Fixture.name(1), revision: 0, by: Fixture.ann, deadline: .patience)
                #expect(sent == .done)
                try await connection.accept(
                    "DELETE FROM ald_history.ingest_batches WHERE first_at = '2024-01-10T00:27:10Z'")
                let found = try await Self.verify(connection)
                #expect(found.findingCounts == [.unclaimed: 1, .unannounced: 1])
                #expect(found.findings.contains { $0.detail.contains("letter 3/2a/1/0") })
            }
        }

        @Test("what was pruned or dropped cannot be proved, and that is said instead of sound")
        func unproven() async throws {
            try await Self.with { connection, _ in
                try await connection.accept(
                    """
                    UPDATE ald_history.ingest_batches SET applied_at = now() - interval '30 days';
                    SELECT ald.forget_batches(3, 7, 104);
                    """)
                let before = try await Self.verify(connection)
                #expect(before.verdict == .sound)
                #expect(try await connection.rows("SELECT ald.prune_ledger(now(), '7 days')") == ["4"])
                let pruned = try await Self.verify(connection)
                #expect(pruned.verdict == .unproven && pruned.unknown == 12 && pruned.doubts.count == 1, "\(pruned)")
                try await connection.accept(
                    "DELETE FROM ald_history.parameter_value_history WHERE sampled_at = '2024-01-10T00:26:50Z'")
                #expect(try await Self.verify(connection).verdict == .unsound, "what the ledger has is still proved")
                try await connection.accept("UPDATE ald_history.retention SET raw_floor = '2024-01-11'")
                let dropped = try await Self.verify(connection)
                #expect(dropped.verdict == .unproven && dropped.announced == 0)
                #expect(
                    dropped.doubts.first?.hasPrefix("readings before 2024-01-11T00:00:00.000000Z were dropped") == true)
            }
        }

        @Test("a pruned ledger excuses what it may have lost, and nothing else")
        func prunedLedger() async throws {
            try await Self.with { connection, _ in
                try await connection.accept(
                    """
                    UPDATE ald_history.ingest_batches SET applied_at = now() - interval '30 days';
                    SELECT ald.forget_batches(3, 7, 300);
                    UPDATE ald_history.ingest_batches SET applied_at = now() WHERE batch_number IN (105, 200);
                    SELECT ald.prune_ledger(now(), '7 days');
                    """)
                #expect(try await Self.verify(connection).verdict == .unproven)
                // Two batches of one instant, of which the ledger has only one left, look like readings too many.
                try await connection.accept(
                    """
                    INSERT INTO ald_history.parameter_value_history (machine_id, parameter_id, sampled_at, value, quality)
                    SELECT 3, 9, sampled_at, value, quality FROM ald_history.parameter_value_history
                    WHERE sampled_at = '2024-01-10T00:26:45Z' LIMIT 1
                    """)
                let crowded = try await Self.verify(connection)
                #expect(crowded.verdict == .unproven && crowded.findings.isEmpty && crowded.unknown == 28, "\(crowded)")
                // The batches of gaps are never pruned, so one that is gone is missed.
                try await connection.accept(
                    "SET session_replication_role = replica; DELETE FROM ald_history.collection_gaps")
                let robbed = try await Self.verify(connection)
                #expect(robbed.verdict == .unsound && robbed.findings.map(\.kind) == [.uncounted], "\(robbed)")
            }
        }

        @Test("a letter that came back from a file and is sent again by its writer is there once")
        func letterTwice() async throws {
            let letter = Fixture.letter(1, Fixture.reading(5000, second: 20))
            try await Self.with([letter]) { connection, _ in
                try await Fixture.land([Fixture.batch(.deadLetters([letter]), number: 301)], connection)
                #expect(try await connection.rows("SELECT count(*) FROM ald.dead_letters") == ["1"])
                var other = letter
                other.payload[0] ^= 1
                let impostor = Fixture.batch(.deadLetters([other]), number: 302)
                await #expect(throws: PostgresError.self) { try await Fixture.land([impostor], connection) }
            }
        }

        @Test("the spool is read without changing it; what it remembers is compared, what waits is counted")
        func spool() async throws {
            try await Self.with { connection, _ in
                try await withTemporaryDirectory { directory in
                    let place = directory + "/spool"
                    try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
                    let spool = try SpoolFixture.open(place)
                    for number in Int64(1)...4 {
                        let batch = Self.cycle(number, [Int(number) + 50])
                        _ = try await spool.append(batch.records, machine: Fixture.machine)
                    }
                    let stored = try await SpoolFixture.all(spool)
                    // The first three have landed; of the second the database has not been told yet that it was.
                    for batch in stored.prefix(3) { try await Fixture.land([try batch.batch()], connection) }
                    spool.acknowledge([stored[0].header, stored[2].header])

                    func inspect() throws -> SpoolInspection {
                        let copies = directory + "/copies-\(UUID().uuidString)"
                        try FileManager.default.createDirectory(atPath: copies, withIntermediateDirectories: false)
                        return try #require(try SpoolInspection.inspect(directory: place, temporary: copies))
                    }
                    func compare(_ inspection: SpoolInspection) async throws -> Verification {
                        var found = try await Self.verify(connection)
                        try await Verifier(connection).compare(inspection, with: &found, deadline: .patience)
                        return found
                    }
                    try await spool.tidyUp()
                    let open = try await compare(try inspect())
                    #expect(open.remembered == nil && open.spooled != nil && open.verdict == .sound, "\(open)")
                    try spool.close()

                    let files = { try FileManager.default.contentsOfDirectory(atPath: place).sorted() }
                    let before = try files()
                    let inspection = try inspect()
                    #expect(try files() == before)
                    let sound = try await compare(inspection)
                    #expect(sound.verdict == .sound && sound.remembered == 9 && sound.spooled == 3, "\(sound)")
                    #expect(sound.accepted == 30 + 1 + 9 + 3)
                    // A damaged file may name a batch twice.
                    var doubled = inspection
                    doubled.items?.append(contentsOf: inspection.items?.prefix(1) ?? [])
                    let twice = try await compare(doubled)
                    #expect(twice.verdict == .sound, "\(twice)")

                    // Of the two batches that were confirmed the spool still knows what they said.
                    #expect(sound.compared == 6)
                    for (deed, change, undo) in [
                        ("another value", "value = 2", "value = 1"),
                        ("another quality", "quality = 64", "quality = 192"),
                        ("another parameter", "parameter_id = 9", "parameter_id = 2"),
                    ] {
                        let which = "sampled_at = '2024-01-10T00:27:31Z' AND parameter_id IN (2, 9)"
                        let update = "UPDATE ald_history.parameter_value_history SET "
                        try await connection.accept(update + "\(change) WHERE \(which)")
                        let changed = try await compare(inspection)
                        #expect(changed.findingCounts == [.changed: 1], "\(deed): \(changed)")
                        #expect(changed.findings.first?.from == Self.second(51), "\(deed)")
                        try await connection.accept(update + "\(undo) WHERE \(which)")
                    }

                    try await connection.accept(
                        """
                        DELETE FROM ald_history.ingest_batches WHERE origin = \(stored[2].header.id.origin) AND batch_number = 3;
                        DELETE FROM ald_history.parameter_value_history WHERE sampled_at = '2024-01-10T00:27:33Z';
                        UPDATE ald_history.ingest_batches SET sha256 = sha256('') WHERE batch_number = 2;
                        """)
                    var lossy = inspection
                    func loss(_ numbers: ClosedRange<Int64>, isCertain: Bool) -> SpoolLoss {
                        SpoolLoss(
                            file: "segment", reason: "r",
                            batches: [
                                BatchRange(
                                    origin: stored[0].header.id.origin, first: numbers.lowerBound,
                                    last: numbers.upperBound)
                            ], foundAt: 0, isCertain: isCertain)
                    }
                    lossy.losses = [loss(1...2, isCertain: true), loss(3...4, isCertain: false)]
                    let found = try await compare(lossy)
                    #expect(found.findingCounts == [.forgotten: 1, .collision: 1], "\(found)")
                    #expect(found.doubts.count == 1)
                    lossy.losses = [loss(2...4, isCertain: true)]
                    let lost = try await compare(lossy)
                    #expect(lost.findingCounts[.lost] == 1)
                    #expect(lost.findings.last?.expected == 3 && lost.findings.last?.found == 1)
                }
            }
        }

        @Test("`ald verify` prints the account and the findings, and its exit status is the verdict")
        func command() async throws {
            try await Self.with([Fixture.letter(1, Fixture.reading(5000))]) { connection, database in
                func ald(_ arguments: [String]) async throws -> ChildResult {
                    try await ChildProcess.run(
                        try Executables.ald(), ["verify", "--from", "2024-01-10", "--to", "2024-01-11"] + arguments,
                        environment: ["ALD_DATABASE_URL": "\(database)"], endsWithin: .seconds(120))
                }
                let sound = try await ald(["--database-only"])
                #expect(sound.exitCode == 0 && sound.errors.isEmpty, "\(sound.transcript)")
                for line in [
                    "machine 3 \"ALD-3\", 2024-01-10T00:00:00.000000Z to 2024-01-11T00:00:00.000000Z",
                    "accepted    32 records = 31 landed + 1 dead-lettered + 0 discarded by name + what waits in a spool that "
                        + "nobody looked at",
                    "letters     1 open, 0 sent again and landed, 0 discarded by name",
                    "verdict     SOUND: nothing is missing, nothing is doubled",
                ] { #expect(sound.output.contains(line), "\(line)\nin \(sound.transcript)") }
                #expect(sound.output.contains { $0.hasPrefix("  2024-01-10T00:00:00Z") && $0.hasSuffix("none") })
                try await withTemporaryDirectory { directory in
                    let nowhere = try await ald(["--data-directory", directory])
                    #expect(nowhere.exitCode == 2)
                    #expect(nowhere.output.contains("verdict     NOT PROVED: nothing wrong was found, but see above"))
                    let spool = try SpoolFixture.open(directory)
                    _ = try await spool.append(Fixture.reading(1), machine: 3)
                    try spool.close()
                    let waiting = try await ald(["--spool", directory])
                    #expect(waiting.exitCode == 0 && waiting.output.contains { $0.hasSuffix("+ 1 spooled") })
                }
                try await connection.accept(
                    "DELETE FROM ald_history.parameter_value_history WHERE parameter_id = 2 "
                        + "AND sampled_at = '2024-01-10T00:26:47Z'")
                let unsound = try await ald(["--database-only"])
                #expect(unsound.exitCode == 1 && unsound.output.contains("verdict     UNSOUND"))
                #expect(unsound.output.last?.hasPrefix("  missing  2024-01-10T00:26:47.000000Z") == true)
                let json = try await ald(["--database-only", "--json"])
                let report = try #require(
                    try JSONSerialization.jsonObject(with: Data(json.output.joined(separator: "\n").utf8))
                        as? [String: Any])
                let machine = try #require((report["machines"] as? [[String: Any]])?.first)
                #expect(json.exitCode == 1 && machine["verdict"] as? String == "unsound")
                #expect((machine["finding_counts"] as? [String: Int]) == ["missing": 1])
                for (from, status) in [("6d", 0), ("6d ago", 0), ("6 weeks", 64)] {
                    let ago = try await ChildProcess.run(
                        try Executables.ald(), ["verify", "--database-only", "--from", from, "--to", "12h"],
                        environment: ["ALD_DATABASE_URL": "\(database)"], endsWithin: .seconds(60))
                    #expect(ago.exitCode == Int32(status), "\(from): \(ago.transcript)")
                }
                let other = try await ald(["--database-only", "--machine", "9"])
                #expect(other.exitCode == 78 && other.transcript.contains("does not see machine 9"))
            }
        }
    }
}
