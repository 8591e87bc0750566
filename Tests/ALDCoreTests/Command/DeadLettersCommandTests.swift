import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

extension LetterServerTests {
    /// `ald dead-letters`, as people and scripts run it.
    @Suite("ald dead-letters") struct DeadLettersCommandTests {
        private typealias Fixture = LetterFixture

        private static func ald(
            _ arguments: [String], _ database: PostgresConfiguration
        ) async throws -> ChildResult {
            try await ChildProcess.run(
                try Executables.ald(), ["dead-letters"] + arguments, environment: ["ALD_DATABASE_URL": "\(database)"],
                endsWithin: .seconds(120))
        }

        private static func object(_ result: ChildResult) throws -> [String: Any] {
            try #require(
                try JSONSerialization.jsonObject(with: Data(result.output.joined(separator: "\n").utf8))
                    as? [String: Any])
        }

        private static let three = (1...3).map { number in
            Fixture.letter(Int64(number), Fixture.reading(number == 3 ? 5000 : 5), rule: number < 3 ? "a" : "b")
        }
        private static let ann = ["--operator", "ann", "--reason", "test"]

        @Test("letters are listed, grouped and shown in words that people understand, and as JSON")
        func looking() async throws {
            try await Fixture.with(Self.three) { _, _, database in
                let list = try await Self.ald(["list"], database)
                #expect(list.exitCode == 0 && list.output.count == 5, "\(list.transcript)")
                #expect(list.output[0].hasPrefix("LETTER    REFUSED               TRIES  STATE  RECORD"))
                #expect(
                    list.output[1]
                        == "3/2a/1/0  2024-01-10T01:26:41Z  1      open   Heater.temperature = 5.0 good at "
                        + "2024-01-10T00:26:40.000000Z     23514 new row violates \"a\"")
                #expect(list.output[4] == "3 letters")
                let groups = try await Self.ald(["list", "--group"], database)
                #expect(groups.exitCode == 0 && groups.output.count == 4)
                #expect(groups.output[1].hasPrefix("2        23514/parameter_value_history//a  2024-01-10T01:26:41Z"))
                #expect(groups.output[3] == "2 rules, 3 letters")
                let none = try await Self.ald(["list", "--machine", "4"], database)
                #expect(none.exitCode == 1 && none.output == ["No letter matches."])
                let some = try Self.object(try await Self.ald(["list", "--json", "--limit", "2"], database))
                #expect(some["matching"] as? Int == 3 && (some["letters"] as? [[String: Any]])?.count == 2)

                let shown = try await Self.ald(["show", "3/2a/3/0"], database)
                #expect(shown.exitCode == 0)
                for line in [
                    "letter      3/2a/3/0", "state       open",
                    "record      Heater.temperature = 5000.0 good at 2024-01-10T00:26:40.000000Z",
                    "  code      23514", "  message   new row violates \"b\"", "  detail    Failing row contains (…).",
                    "  table     parameter_value_history_20240110", "  constraint  b",
                    "fingerprint 23514/parameter_value_history//b",
                ] { #expect(shown.output.contains(line), "\(line) in \(shown.transcript)") }
                let json = try Self.object(try await Self.ald(["show", "3/2a/3/0", "--json"], database))
                let record = try #require(json["record"] as? [String: Any])
                #expect(record["value"] as? Double == 5000 && record["parameter"] as? String == "Heater.temperature")
                let absent = try await Self.ald(["show", "3/2a/9/0"], database)
                #expect(absent.exitCode == 1 && absent.transcript.contains("there is no letter 3/2a/9/0"))
                #expect(try await Self.ald(["show", "nonsense"], database).exitCode == 64)
            }
        }

        @Test("a record is corrected by flags or from a file, and sent again; doing it twice says so")
        func correcting() async throws {
            try await Fixture.with(Self.three) { queue, connection, database in
                let refused = try await Self.ald(["requeue", "3/2a/3/0"] + Self.ann, database)
                #expect(refused.exitCode == 1 && refused.output[0].contains("refused again, stays open: new row"))
                for arguments in [
                    [], ["--value", "x"], ["--quality", "fine"], ["--time", "soon"],
                    ["--value", "1", "--from-file", "f"],
                ] {
                    let wrong = try await Self.ald(["edit", "3/2a/3/0"] + arguments + Self.ann, database)
                    #expect(wrong.exitCode == 64, "\(arguments): \(wrong.transcript)")
                }
                let noReason = try await Self.ald(["edit", "3/2a/3/0", "--value", "1", "--operator", "ann"], database)
                #expect(noReason.exitCode == 64)
                let unknown = try await Self.ald(["edit", "3/2a/3/0", "--parameter", "7"] + Self.ann, database)
                #expect(unknown.exitCode == 78 && unknown.transcript.contains("no parameter 7"))
                let senseless = try await Self.ald(["edit", "3/2a/3/0", "--quality", "bad"] + Self.ann, database)
                #expect(senseless.exitCode == 78 && senseless.transcript.contains("a bad reading has no value"))

                let edit = ["edit", "3/2a/3/0", "--value", "50", "--time", "2024-01-10T01:00:00Z"] + Self.ann
                let rehearsed = try await Self.ald(edit + ["--dry-run"], database)
                #expect(
                    rehearsed.output == [
                        "3/2a/3/0  would be revised", "1 letter: 1 would be revised; nothing was changed",
                    ])
                let edited = try await Self.ald(edit, database)
                #expect(edited.exitCode == 0 && edited.output == ["3/2a/3/0  revised", "1 letter: 1 revised"])
                let again = try await Self.ald(edit, database)
                #expect(again.exitCode == 0 && again.output[1] == "1 letter: 0 revised, 1 already so")

                try await withTemporaryDirectory { directory in
                    let file = directory + "/record.json"
                    let document = RecordDocument(Fixture.reading(60, second: 7))
                    try #require(document).json.write(toFile: file, atomically: true, encoding: .utf8)
                    let result = try await Self.ald(["edit", "3/2a/3/0", "--from-file", file] + Self.ann, database)
                    #expect(result.exitCode == 0, "\(result.transcript)")
                    try "{}".write(toFile: file, atomically: true, encoding: .utf8)
                    let empty = try await Self.ald(["edit", "3/2a/3/0", "--from-file", file] + Self.ann, database)
                    #expect(empty.exitCode == 78 && empty.transcript.contains("\"kind\" is missing"))
                }
                let landed = try await Self.ald(["requeue", "3/2a/3/0", "3/2a/9/0"] + Self.ann, database)
                #expect(landed.exitCode == 1 && landed.output.last == "2 letters: 1 requeued, 1 not")
                #expect(
                    try await connection.rows("SELECT sampled_at, value FROM ald.parameter_value_history")
                        == ["2024-01-10T00:26:47+00:00|60"])
                let shown = try await Self.ald(["show", "3/2a/3/0"], database)
                #expect(shown.output.contains { $0.hasPrefix("original    Heater.temperature = 5000.0 good") })
                let history = try await queue.history(of: Fixture.name(3), deadline: .patience).map(\.kind)
                #expect(history == [.refused, .refused, .revised, .revised, .requeued])
            }
        }

        @Test("many letters are dealt with at once, if there are as many as the operator expects")
        func bulk() async throws {
            try await Fixture.with(Self.three) { queue, _, database in
                let rule = ["--fingerprint", "23514/parameter_value_history//a"]
                let unsure = try await Self.ald(["requeue"] + rule + Self.ann, database)
                #expect(unsure.exitCode == 64 && unsure.transcript.contains("--all-matching"))
                let wrong = try await Self.ald(["requeue"] + rule + ["--all-matching", "3"] + Self.ann, database)
                #expect(wrong.exitCode == 1 && wrong.transcript.contains("2 letters match, 3 were expected"))
                let all = ["requeue", "--all-matching", "3", "--operator", "ann"]
                let rehearsed = try await Self.ald(all + ["--dry-run"], database)
                #expect(
                    rehearsed.exitCode == 1
                        && rehearsed.output.last == "3 letters: 2 would be requeued, 1 not; nothing was changed")
                let open = try await queue.count(.init(), deadline: .patience)
                #expect(open == 3)
                let done = try await Self.ald(["requeue"] + rule + ["--all-matching", "2"] + Self.ann, database)
                #expect(done.exitCode == 0 && done.output.last == "2 letters: 2 requeued")
                let discard = ["discard", "3/2a/3/0", "--json"] + Self.ann
                let discarded = try Self.object(try await Self.ald(discard, database))
                let letters = try #require(discarded["letters"] as? [[String: Any]])
                #expect(letters.count == 1 && letters[0]["outcome"] as? String == "discarded")
                let nobody = try await Self.ald(["discard", "3/2a/3/0", "--operator", "ann"], database)
                #expect(nobody.exitCode == 64 && nobody.transcript.contains("--reason says why"))
                let reopened = try await Self.ald(["reopen", "3/2a/3/0"] + Self.ann, database)
                #expect(reopened.exitCode == 0 && reopened.output[0] == "3/2a/3/0  reopened")
            }
        }

        @Test("letters leave for a file and come back, once; damaged lines are refused by number")
        func files() async throws {
            try await Fixture.with(Self.three) { queue, connection, database in
                try await withTemporaryDirectory { directory in
                    let file = directory + "/letters.jsonl"
                    let first = try await queue.revise(
                        Fixture.name(3), to: Fixture.reading(6), from: 0, by: Fixture.ann, deadline: .patience)
                    let second = try await queue.requeue(
                        Fixture.name(3), revision: 1, by: Fixture.ann, deadline: .patience)
                    let third = try await queue.discard(Fixture.name(2), by: Fixture.ann, deadline: .patience)
                    #expect([first, second, third] == [.done, .done, .done])
                    let dump = """
                        SELECT (to_jsonb(d) - 'landed_at')::text FROM ald_history.dead_letters d ORDER BY batch_number
                        """
                    let events = """
                        SELECT (to_jsonb(e) - 'actor' - 'reported_actor')::text FROM ald.dead_letter_events e
                        WHERE event <> 'imported' ORDER BY 1
                        """
                    let before = try await connection.rows(dump) + connection.rows(events)
                    let exported = try await Self.ald(["export", "--output", file], database)
                    #expect(
                        exported.exitCode == 0 && exported.errors == ["3 letters written"], "\(exported.transcript)")
                    #expect(try await Self.ald(["export", "--output", file], database).exitCode == 78)
                    let toOutput = try await Self.ald(["export"], database)
                    let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").map(
                        String.init)
                    #expect(toOutput.output == lines && lines.count == 3)

                    let known = try await Self.ald(["import", file] + Self.ann, database)
                    #expect(known.exitCode == 0 && known.output.last == "3 letters: 0 imported, 3 already so")
                    // A database that has lost all letters, and the row that had been sent again.
                    try await connection.accept(
                        """
                        SET session_replication_role = replica;
                        DELETE FROM ald_history.dead_letter_events; DELETE FROM ald_history.dead_letters;
                        SET session_replication_role = origin;
                        """)
                    try
                        (lines[0] + "\n" + lines[1].replacing("discarded", with: "forgotten") + "\n\n"
                        + lines[2].dropLast())
                        .write(toFile: file, atomically: true, encoding: .utf8)
                    let damaged = try await Self.ald(["import", file] + Self.ann, database)
                    #expect(damaged.exitCode == 78)
                    #expect(damaged.transcript.contains("line 2: its checksum is wrong, it was changed"))
                    #expect(damaged.transcript.contains("line 4: its checksum is wrong, it was changed"))
                    #expect(try await connection.rows(dump) == [], "nothing of a damaged file is imported")
                    try lines.joined(separator: "\n").write(toFile: file, atomically: true, encoding: .utf8)
                    let rehearsed = try await Self.ald(["import", file, "--dry-run"] + Self.ann, database)
                    #expect(rehearsed.output.last == "3 letters: 3 would be imported; nothing was changed")
                    let imported = try await Self.ald(["import", file] + Self.ann, database)
                    #expect(imported.exitCode == 0 && imported.output.last == "3 letters: 3 imported")
                    // The ledger still has the claim, so the letter of the record that has landed is closed.
                    let after = try await connection.rows(dump) + connection.rows(events)
                    #expect(after.count == before.count)
                    #expect(after.map(Self.withoutClosing) == before.map(Self.withoutClosing))
                    let audited =
                        "SELECT count(*) FROM ald.audit_log WHERE action = 'INSERT' AND table_name = 'dead_letters'"
                    #expect(try await connection.rows(audited) == ["3"])

                    try await connection.accept(
                        """
                        SET session_replication_role = replica;
                        DELETE FROM ald_history.dead_letter_events; DELETE FROM ald_history.dead_letters;
                        DELETE FROM ald_history.ingest_batches WHERE first_at IS NOT NULL;
                        DELETE FROM ald_history.parameter_value_history;
                        SET session_replication_role = origin;
                        """)
                    _ = try await Self.ald(["import", file] + Self.ann, database)
                    let states = "SELECT state FROM ald.dead_letters ORDER BY batch_number"
                    #expect(try await connection.rows(states) == ["open", "discarded", "open"])
                }
            }
        }

        @Test(
            "a record that cannot be read is replaced as a whole; what it was stays, and no other kind takes its place")
        func unreadable() async throws {
            var broken = Fixture.letter(1, Fixture.reading(5))
            broken.payload.removeLast()
            var unknown = Fixture.letter(2, Fixture.reading(5))
            unknown.format = 99
            try await Fixture.with([broken, unknown]) { _, connection, database in
                let flags = try await Self.ald(["edit", "3/2a/1/0", "--value", "1"] + Self.ann, database)
                #expect(
                    flags.exitCode == 78
                        && flags.transcript.contains("cannot be read; replace it as a whole with --from-file"))
                try await withTemporaryDirectory { directory in
                    func edit(_ letter: String, _ record: Records) async throws -> ChildResult {
                        let file = directory + "/record.json"
                        try #require(RecordDocument(record)).json.write(toFile: file, atomically: true, encoding: .utf8)
                        return try await Self.ald(["edit", letter, "--from-file", file] + Self.ann, database)
                    }
                    let gap = CollectionGap(
                        firstMissedAt: Fixture.day, lastMissedAt: Fixture.day, instants: 1, cause: .plc, detail: "")
                    let other = try await edit("3/2a/1/0", .gaps([gap]))
                    #expect(other.exitCode == 78 && other.transcript.contains("is a reading, the file has a gap"))
                    let later = try await edit("3/2a/2/0", Fixture.reading(7))
                    #expect(later.exitCode == 78 && later.transcript.contains("format 99, which this version does not"))
                    let done = try await edit("3/2a/1/0", Fixture.reading(7))
                    #expect(done.exitCode == 0 && done.output[0] == "3/2a/1/0  revised", "\(done.transcript)")
                }
                let shown = try await Self.ald(["show", "3/2a/1/0"], database)
                #expect(shown.output.contains { $0.hasPrefix("original    cannot be read: ") })
                let landed = try await Self.ald(["requeue", "3/2a/1/0"] + Self.ann, database)
                #expect(landed.exitCode == 0)
                #expect(try await connection.rows("SELECT value FROM ald.parameter_value_history") == ["7"])
                let kept = "SELECT octet_length(payload), octet_length(revised_payload) FROM ald.dead_letters"
                #expect(try await connection.rows(kept + " WHERE batch_number = 1") == ["21|22"])
            }
        }

        @Test("an import that is cut off says what is in and that it may be repeated, and then brings the rest")
        func cutOff() async throws {
            try await Fixture.with(Self.three) { _, connection, database in
                let exported = try await Self.ald(["export"], database)
                try await connection.accept(
                    """
                    SET session_replication_role = replica; DELETE FROM ald_history.dead_letters;
                    SET session_replication_role = origin;
                    CREATE FUNCTION public.stop() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full'; END $$;
                    CREATE TRIGGER stop BEFORE INSERT ON ald_history.dead_letters FOR EACH ROW
                    WHEN (NEW.batch_number = 2) EXECUTE FUNCTION public.stop();
                    """)
                try await withTemporaryDirectory { directory in
                    let file = directory + "/letters.jsonl"
                    try exported.output.joined(separator: "\n").write(toFile: file, atomically: true, encoding: .utf8)
                    let cut = try await Self.ald(["import", file] + Self.ann, database)
                    #expect(cut.exitCode == 69 && cut.output.first == "3/2a/1/0  imported", "\(cut.transcript)")
                    for words in [
                        "letter 3/2a/2/0 was not imported, and none behind it was tried", "the disk is full",
                        "What is listed above is done and stays so. Repeating the command is safe.",
                    ] { #expect(cut.transcript.contains(words), "\(words) in \(cut.transcript)") }
                    #expect(try await connection.rows("SELECT batch_number FROM ald.dead_letters") == ["1"])
                    try await connection.accept("DROP TRIGGER stop ON ald_history.dead_letters")
                    let again = try await Self.ald(["import", file] + Self.ann, database)
                    #expect(again.exitCode == 0 && again.output.last == "3 letters: 2 imported, 1 already so")
                }
            }
        }

        /// When a letter was closed is what the ledger says after an import.
        private static func withoutClosing(_ row: String) -> String {
            row.replacing(/"closed_at": "[^"]*"/, with: "")
        }
    }
}
