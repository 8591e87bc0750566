import ALDCore
import Foundation

/// What `ald verify` prints of one machine.
struct VerificationReport {
    let name: String
    let verification: Verification
    let spool: SpoolKnowledge

    // MARK: As it goes on

    static func heading(_ machine: Int32, _ name: String, _ range: (Timestamp, Timestamp)) -> String {
        "machine \(machine) \"\(name)\", \(range.0) to \(range.1)\n"
            + TextTable.lines([columns]).map { "  \($0)\n" }.joined()
    }

    /// As wide as what stands below them.
    private static let columns = [
        "FROM                ", "       LEDGER", "        FOUND", " WITHOUT LEDGER", "FINDINGS",
    ]

    static func line(_ stretch: Verification.Stretch) -> String {
        let cells = [
            String("\(stretch.from)".prefix(19)) + "Z", TextTable.grouped(stretch.announced),
            TextTable.grouped(stretch.found),
            TextTable.grouped(stretch.unknown),
        ]
        let padded = zip(cells, columns).map { String(repeating: " ", count: max(0, $1.count - $0.count)) + $0 }
        let findings =
            stretch.findings.isEmpty
            ? "none" : Set(stretch.findings.map(\.kind.rawValue)).sorted().joined(separator: ", ")
        return "  " + (padded + [findings]).joined(separator: "  ") + "\n"
    }

    // MARK: At the end

    func text() -> String {
        let v = verification
        var rows: [(String, String)] = [
            ("accepted", "\(TextTable.counted(v.accepted, "record")) = \(equation)"),
            (
                "landed",
                "\(TextTable.counted(v.announced, "reading")), \(TextTable.counted(v.gaps, "gap")), "
                    + TextTable.counted(v.events, "process event")
            ),
            (
                "letters",
                "\(v.openLetters) open, \(v.requeuedLetters) sent again and landed, \(v.discardedLetters) discarded by name"
            ),
            ("spool", spoolText),
        ]
        let compared = v.compared ?? 0
        let counted = TextTable.grouped(max(0, v.announced - compared))
        rows.append(("values", "\(TextTable.grouped(compared)) compared with the spool's, \(counted) only counted"))
        if v.unknown > 0 {
            rows.append(("forgotten", "\(TextTable.counted(v.unknown, "reading")) by pruning, beside these"))
        }
        for (index, doubt) in v.doubts.enumerated() { rows.append((index == 0 ? "not proved" : "", doubt)) }
        rows.append(("verdict", verdict))
        return TextTable.labelled(rows) + findingsText
    }

    private var equation: String {
        let v = verification
        return "\(TextTable.grouped(v.landed)) landed + \(TextTable.grouped(v.openLetters)) dead-lettered + "
            + "\(TextTable.grouped(v.discardedLetters)) discarded by name + "
            + (v.spooled.map { "\(TextTable.grouped($0)) spooled" } ?? "what waits in a spool that nobody looked at")
    }

    private var spoolText: String {
        switch spool {
        case .leftOut: return "left out of it"
        case .missing: return "not here"
        case .found(let inspection):
            guard let remembered = verification.remembered else {
                let process = inspection.status.map { "process \($0.processIdentifier)" } ?? "another process"
                return "in use by \(process): only the number of waiting records is known, of any time"
            }
            return "remembers \(TextTable.counted(remembered, "record")) that are in the ledger, too"
        }
    }

    private var verdict: String {
        switch verification.verdict {
        case .sound: "SOUND: nothing is missing, nothing is doubled"
        case .unsound: "UNSOUND"
        case .unproven: "NOT PROVED: nothing wrong was found, but see above"
        }
    }

    private var findingsText: String {
        guard !verification.findings.isEmpty else { return "" }
        let head = ["WHAT", "FROM", "TO", "EXPECTED", "FOUND", "WHY"]
        let rows = verification.findings.map { finding in
            [
                finding.kind.rawValue, finding.from.map { "\($0)" } ?? "-", finding.to.map { "\($0)" } ?? "-",
                "\(finding.expected)", "\(finding.found)", finding.detail,
            ]
        }
        let all = verification.findingCounts.values.reduce(0, +)
        let more = all > rows.count ? "  … of \(TextTable.grouped(all))\n" : ""
        return TextTable.lines([head] + rows).map { "  \($0)\n" }.joined() + more
    }

    // MARK: JSON

    /// Fields are added, never renamed or removed.
    private struct Report: Encodable {
        struct Finding: Encodable {
            var kind: String
            var from: String?
            var to: String?
            var expected: Int
            var found: Int
            var detail: String
        }
        struct Machine: Encodable {
            var machine_id: Int32
            var name: String
            var from: String
            var to: String
            var verdict: String
            var accepted: Int
            var landed: Int
            var readings_in_ledger: Int
            var readings_found: Int
            var gaps: Int
            var process_events: Int
            var dead_lettered: Int
            var requeued: Int
            var discarded_by_name: Int
            var spooled: Int?
            var spool_remembers: Int?
            var values_compared: Int?
            var forgotten_by_pruning: Int
            var finding_counts: [String: Int]
            var findings: [Finding]
            var not_proved: [String]
        }
        var machines: [Machine]
    }

    static func json(_ reports: [VerificationReport]) throws -> String {
        let machines = reports.map { report in
            let v = report.verification
            return Report.Machine(
                machine_id: v.machine, name: report.name, from: "\(v.from)", to: "\(v.to)", verdict: v.verdict.rawValue,
                accepted: v.accepted, landed: v.landed, readings_in_ledger: v.announced, readings_found: v.found,
                gaps: v.gaps, process_events: v.events, dead_lettered: v.openLetters, requeued: v.requeuedLetters,
                discarded_by_name: v.discardedLetters, spooled: v.spooled, spool_remembers: v.remembered,
                values_compared: v.compared,
                forgotten_by_pruning: v.unknown,
                finding_counts: Dictionary(
                    uniqueKeysWithValues: v.findingCounts.map { ($0.key.rawValue, $0.value) }),
                findings: v.findings.map {
                    .init(
                        kind: $0.kind.rawValue, from: $0.from.map { "\($0)" }, to: $0.to.map { "\($0)" },
                        expected: $0.expected, found: $0.found, detail: $0.detail)
                }, not_proved: v.doubts)
        }
        return try LetterReport.json(Report(machines: machines))
    }
}
