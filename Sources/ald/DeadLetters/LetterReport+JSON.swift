import ALDCore
import Foundation

/// For programs. Fields are added, never renamed or removed.
extension LetterReport {
    private struct Reason: Encodable {
        var sqlstate: String?
        var message: String
        var detail: String?
        var hint: String?
        var context: String?
        var schema: String?
        var table: String?
        var column: String?
        var constraint: String?

        init(_ evidence: FaultEvidence) {
            sqlstate = evidence.sqlState
            message = evidence.message
            detail = evidence.detail
            hint = evidence.hint
            context = evidence.context
            schema = evidence.schema
            table = evidence.table
            column = evidence.column
            constraint = evidence.constraint
        }
    }

    private struct Letter: Encodable {
        var letter: String
        var machine_id: Int32
        var state: String
        var revision: Int32
        var record: RecordDocument?
        var original: RecordDocument?
        var payload: String
        var recorded_at: String
        var refused_at: String
        var landed_at: String
        var closed_at: String?
        var attempts: Int32
        var reason: Reason
        var fingerprint: String
        var decided_by: String?
        var decided_because: String?

        init(_ letter: StoredDeadLetter, _ names: Names) {
            let names = names[letter.machine] ?? [:]
            self.letter = "\(letter.name)"
            machine_id = letter.machine
            state = letter.state.rawValue
            revision = letter.revision
            record = RecordDocument(letter, names: names)
            if letter.revision > 0 {
                var unrevised = letter
                unrevised.revisedPayload = nil
                original = RecordDocument(unrevised, names: names)
            }
            payload = LetterReport.hex(letter.letter.payload)
            recorded_at = "\(letter.letter.recordedAt)"
            refused_at = "\(letter.letter.refusedAt)"
            landed_at = "\(letter.landedAt)"
            closed_at = letter.closedAt.map { "\($0)" }
            attempts = letter.letter.attempts
            reason = Reason(letter.letter.evidence)
            fingerprint = letter.fingerprint
            decided_by = letter.decision?.operator
            decided_because = letter.decision?.reason
        }
    }

    private struct Event: Encodable {
        var event: String
        var at: String
        var by: String?
        var because: String?
        var login: String
        var login_by_file: String?
        var revision: Int32
        var payload: String?
        var message: String?
    }

    private static func hex(_ bytes: [UInt8]) -> String {
        bytes.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
    }

    static func json(_ letters: [StoredDeadLetter], _ names: Names, total: Int) throws -> String {
        struct Report: Encodable {
            var matching: Int
            var letters: [Letter]
        }
        return try json(Report(matching: total, letters: letters.map { Letter($0, names) }))
    }

    static func json(_ groups: [DeadLetterQueue.Group], total: Int) throws -> String {
        struct Group: Encodable {
            var fingerprint: String
            var letters: Int
            var first_refused_at: String
            var last_refused_at: String
            var message: String
        }
        struct Report: Encodable {
            var matching: Int
            var groups: [Group]
        }
        let found = groups.map { group in
            Group(
                fingerprint: group.fingerprint, letters: group.letters, first_refused_at: "\(group.firstRefusedAt)",
                last_refused_at: "\(group.lastRefusedAt)", message: group.message)
        }
        return try json(Report(matching: total, groups: found))
    }

    static func json(_ letter: StoredDeadLetter, _ events: [DeadLetterEvent], _ names: Names) throws -> String {
        struct Report: Encodable {
            var letter: Letter
            var record: RecordDocument?
            var history: [Event]
        }
        let history = events.map { event in
            Event(
                event: event.kind.rawValue, at: "\(event.time)", by: event.decision?.operator,
                because: event.decision?.reason, login: event.actor,
                login_by_file: event.reportedActor, revision: event.revision,
                payload: event.payload.map(hex), message: event.message)
        }
        let shown = Letter(letter, names)
        return try json(Report(letter: shown, record: shown.record, history: history))
    }
}
