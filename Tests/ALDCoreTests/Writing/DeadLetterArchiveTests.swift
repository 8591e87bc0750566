import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// The forms in which records and letters leave the database.
@Suite("Dead letters in files") struct DeadLetterArchiveTests {
    private static let line = DeadLetterArchive.line(
        letter: #"{"format": 1, "origin": -9223372036854775808, "machine_id": 3, "row_number": 4, "batch_number": 17}"#,
        events: "[]", record: RecordDocument(LetterFixture.reading(1.5)))

    @Test("a line says what it is, and is read as what was written")
    func golden() throws {
        let content =
            #"{"letter":{"format": 1, "origin": -9223372036854775808, "machine_id": 3, "row_number": 4, "#
            + #""batch_number": 17},"events":[],"record":{"kind":"reading","parameter_id":1,"quality":"good","#
            + #""time":"2024-01-10T00:26:40.000000Z","value":1.5}}"#
        let digest = "3dadb1147df43b0ead80202c7102b39a9862ed6688610a8d49f5181b39a5d6da"
        #expect(Self.line == #"{"format":"ald dead letter","version":1,"sha256":"\#(digest)","content":\#(content)}"#)
        let item = try DeadLetterArchive.read(Self.line)
        #expect(item.name == DeadLetterName("3/8000000000000000/17/4"))
        #expect(item.content == content)
        #expect(try JSONSerialization.jsonObject(with: Data(Self.line.utf8)) is [String: Any])
    }

    @Test("a line with any byte changed, or cut anywhere, is refused")
    func damaged() throws {
        let bytes = Array(Self.line.utf8)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            #expect(throws: DeadLetterArchive.Damaged.self, "byte \(index)") {
                try DeadLetterArchive.read(String(decoding: changed, as: UTF8.self))
            }
            #expect(throws: DeadLetterArchive.Damaged.self, "cut at \(index)") {
                try DeadLetterArchive.read(String(decoding: bytes[..<index], as: UTF8.self))
            }
        }
        #expect(throws: DeadLetterArchive.Damaged(description: "it is of a version that this program does not know")) {
            try DeadLetterArchive.read(Self.line.replacing(#""version":1"#, with: #""version":2"#))
        }
    }

    @Test(
        "a name is written as it is read", arguments: ["1/5d0f2a/17/4", "2147483647/ffffffffffffffff/-1/2147483647"])
    func names(text: String) { #expect(DeadLetterName(text)?.description == text) }

    @Test("what is no name is none", arguments: ["", "1/2/3", "1/2/3/-4", "1/g/3/4", "x/2/3/4", "1/2/3/4/5", "1//3/4"])
    func noNames(text: String) { #expect(DeadLetterName(text) == nil) }

    @Test("records survive being written as JSON and read again")
    func documents() throws {
        let gap = CollectionGap(
            firstMissedAt: LetterFixture.day, lastMissedAt: LetterFixture.day.advanced(by: .seconds(1)), instants: 2,
            cause: .spool, detail: "a \"quoted\" /text/")
        let records: [Records] = [
            LetterFixture.reading(1.5), LetterFixture.reading(nil), LetterFixture.reading(-Double.infinity),
            LetterFixture.reading(Double.leastNonzeroMagnitude, .uncertain), .gaps([gap]),
            .processEvents([
                ProcessEvent(
                    process: 7, number: 2, time: LetterFixture.day, kind: .pulse, step: 3, iterations: [1, 2],
                    text: "a \"b\"", values: ["opened": 0.1, "x": "\u{1F321}/"])
            ]),
            .processEvents([ProcessEvent(process: 7, number: 2, time: LetterFixture.day, kind: .note)]),
        ]
        for record in records {
            let document = try #require(RecordDocument(record))
            #expect(try RecordDocument(json: Data(document.json.utf8)).record() == record, "\(document.json)")
        }
    }

    @Test(
        "a document that is no record says which field",
        arguments: [
            (#"{"kind":"reading","time":"2024-01-10","value":1,"quality":"good"}"#, "parameter_id"),
            (#"{"kind":"reading","parameter_id":1,"time":"soon","value":1,"quality":"good"}"#, "time"),
            (#"{"kind":"reading","parameter_id":1,"time":"2024-01-10","value":1,"quality":"fine"}"#, "quality"),
            (#"{"kind":"reading","parameter_id":1,"time":"2024-01-10","value":1,"quality":"bad"}"#, "has no value"),
            (#"{"kind":"reading","parameter_id":1,"time":"2024-01-10","quality":"good"}"#, "without a value"),
            (#"{"kind":"reading","parameter_id":"one"}"#, "parameter_id"), (#"{"parameter_id":1}"#, "kind"),
            (#"{"kind":"gap","first_missed_at":"2024-01-10"}"#, "last_missed_at"),
            (#"{"kind":"event","number":1,"time":"2024-01-10","event":"note"}"#, "process_id"),
            (#"{"kind":"event","process_id":1,"number":1,"time":"2024-01-10","event":"party"}"#, "event"),
            ("{", "no record"),
        ])
    func problems(json: String, word: String) throws {
        do throws(RecordDocument.Problem) {
            _ = try RecordDocument(json: Data(json.utf8)).record()
            Issue.record("accepted")
        } catch {
            #expect(error.description.contains(word), "\(error)")
        }
    }
}
