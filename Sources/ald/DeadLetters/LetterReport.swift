import ALDCore
import Foundation

/// What `ald dead-letters list` and `show` print.
enum LetterReport {
    typealias Names = [Int32: [ParameterID: String]]

    /// The names of all parameters that the letters may speak of, by machine.
    static func names(
        of letters: [StoredDeadLetter], _ queue: DeadLetterQueue, deadline: MonotonicInstant
    ) async throws -> Names {
        var names: Names = [:]
        for machine in Set(letters.map(\.machine)) {
            names[machine] = try await queue.parameterNames(machine: machine, deadline: deadline)
        }
        return names
    }

    // MARK: List

    static func text(_ letters: [StoredDeadLetter], _ names: Names, total: Int) -> String {
        guard !letters.isEmpty else { return "No letter matches.\n" }
        let head = ["LETTER", "REFUSED", "TRIES", "STATE", "RECORD", "REASON"]
        let rows = letters.map { letter in
            [
                "\(letter.name)", seconds(letter.letter.refusedAt), "\(letter.letter.attempts)",
                letter.state.rawValue + (letter.revision > 0 ? ", revision \(letter.revision)" : ""),
                sentence(of: letter, names), reason(letter.letter.evidence),
            ]
        }
        let more = total > letters.count ? ", of \(TextTable.grouped(total)) that match; see --limit" : ""
        return TextTable.lines([head] + rows).map { $0 + "\n" }.joined()
            + "\(TextTable.counted(letters.count, "letter"))\(more)\n"
    }

    static func text(_ groups: [DeadLetterQueue.Group], total: Int) -> String {
        guard !groups.isEmpty else { return "No letter matches.\n" }
        let head = ["LETTERS", "FINGERPRINT", "FIRST REFUSED", "LAST REFUSED", "REASON"]
        let rows = groups.map { group in
            [
                TextTable.grouped(group.letters), group.fingerprint, seconds(group.firstRefusedAt),
                seconds(group.lastRefusedAt), shortened(group.message),
            ]
        }
        return TextTable.lines([head] + rows).map { $0 + "\n" }.joined()
            + "\(TextTable.counted(groups.count, "rule")), \(TextTable.counted(total, "letter"))\n"
    }

    private static func seconds(_ time: Timestamp) -> String { "\(time)".prefix(19) + "Z" }

    private static func reason(_ evidence: FaultEvidence) -> String {
        (evidence.sqlState.map { $0 + " " } ?? "") + shortened(evidence.message)
    }

    /// One line that a terminal shows without a break more often than not; `show` and --json have all of it.
    private static func shortened(_ message: String) -> String {
        let line = message.replacing("\n", with: " ")
        return line.count <= 80 ? line : line.prefix(79) + "…"
    }

    // MARK: Records

    static func sentence(of letter: StoredDeadLetter, _ names: Names) -> String {
        do throws(SpoolError) {
            return sentence(try letter.record(), names[letter.machine] ?? [:])
        } catch {
            return "cannot be read: \(error.message)"
        }
    }

    /// A record on one line.
    static func sentence(_ record: Records, _ names: [ParameterID: String]) -> String {
        switch record {
        case .history(let rows), .unregistered(let rows):
            return rows.map { row in
                let name = names[row.parameter] ?? "parameter \(row.parameter)"
                return "\(name) = \(row.value.map { "\($0)" } ?? "none") \(row.quality) at \(row.time)"
            }.joined(separator: "; ")
        case .gaps(let gaps):
            return gaps.map { gap in
                "gap of \(gap.instants) (\(gap.cause.rawValue)) from \(gap.firstMissedAt) to \(gap.lastMissedAt): "
                    + gap.detail
            }.joined(separator: "; ")
        case .processEvents(let events):
            return events.map { event in
                let place = event.step.map { " in step \($0)" } ?? ""
                let rounds = event.iterations.isEmpty ? "" : " \(event.iterations)"
                let text = [event.text, event.values == "{}" ? "" : event.values].filter { !$0.isEmpty }
                return "event \(event.number) of process \(event.process): \(event.kind.rawValue)\(place)\(rounds) at "
                    + "\(event.time)" + (text.isEmpty ? "" : ": ") + text.joined(separator: " ")
            }.joined(separator: "; ")
        case .deadLetters(let letters): return "\(letters.count) dead letters"
        }
    }

    // MARK: Show

    static func text(_ letter: StoredDeadLetter, _ events: [DeadLetterEvent], _ names: Names) -> String {
        var rows: [(String, String)] = [
            ("letter", "\(letter.name)"), ("state", state(letter)), ("record", sentence(of: letter, names)),
        ]
        if letter.revision > 0 { rows.append(("original", original(letter, names))) }
        rows.append(("refused", "\(letter.letter.refusedAt), attempt \(letter.letter.attempts)"))
        let evidence = letter.letter.evidence
        let fields: [(String, String?)] = [
            ("code", evidence.sqlState), ("message", evidence.message), ("detail", evidence.detail),
            ("hint", evidence.hint), ("context", evidence.context), ("schema", evidence.schema),
            ("table", evidence.table), ("column", evidence.column), ("constraint", evidence.constraint),
        ]
        for case (let field, let value?) in fields {
            for (index, line) in value.split(separator: "\n").enumerated() {
                rows.append((index == 0 ? "  " + field : "", String(line)))
            }
        }
        rows.append(("fingerprint", letter.fingerprint))
        rows.append(("here since", "\(letter.landedAt)"))
        let history = TextTable.lines(events.map { line($0, letter, names) })
        for (index, line) in history.enumerated() { rows.append((index == 0 ? "history" : "", line)) }
        return TextTable.labelled(rows)
    }

    private static func state(_ letter: StoredDeadLetter) -> String {
        var text = letter.state.rawValue
        if letter.revision > 0 { text += ", revision \(letter.revision)" }
        if let closedAt = letter.closedAt, let decision = letter.decision {
            text += " at \(closedAt) by \(decision.operator): \(decision.reason)"
        }
        return text
    }

    private static func original(_ letter: StoredDeadLetter, _ names: Names) -> String {
        var unrevised = letter
        unrevised.revisedPayload = nil
        return sentence(of: unrevised, names)
    }

    private static func line(_ event: DeadLetterEvent, _ letter: StoredDeadLetter, _ names: Names) -> [String] {
        let author = event.decision.map { "\($0.operator): \($0.reason)" } ?? "the writer"
        // What a file says of an earlier database is told as that.
        let login = event.reportedActor.map { ", by the file of \(event.actor) as \($0)" } ?? ", as \(event.actor)"
        let who = event.decision == nil && event.reportedActor == nil ? author : author + login
        let what: String? =
            switch event.kind {
            case .revised:
                event.payload.map { payload in
                    var revised = letter
                    revised.revisedPayload = payload
                    return "revision \(event.revision): " + sentence(of: revised, names)
                }
            case .refused: event.message
            case .requeued, .discarded, .reopened, .imported: nil
            }
        return [seconds(event.time), event.kind.rawValue, who] + (what.map { [shortened($0)] } ?? [])
    }
}
