import ALDCore
import Foundation

/// Commands as text and as JSON.
enum CommandReport {
    /// The exit status of who waited for a command; `nil` when it has succeeded.
    static func exitStatus(of trace: CommandTrace) -> Failure.Status? {
        switch trace.status {
        case "succeeded": nil
        case "unknown": .unknownOutcome
        default: .mismatch
        }
    }

    static func line(_ trace: CommandTrace) -> String {
        var text = "command \(trace.id): \(trace.parameter) = \(number(trace.target)), \(trace.status)"
        if let actual = trace.actual { text += ", reads back as \(number(actual))" }
        if let total = trace.total { text += ", \(milliseconds(total))" }
        if let error = trace.error { text += ": \(error)" }
        // Nobody but a person can tell what became of it.
        if exitStatus(of: trace) == .unknownOutcome { text += "; look at the machine" }
        return text + "\n"
    }

    static func table(_ traces: [CommandTrace], now: Timestamp) -> String {
        guard !traces.isEmpty else { return "no commands\n" }
        let rows = traces.map { trace in
            [
                "\(trace.id)", trace.parameter, number(trace.target), trace.status,
                trace.actual.map(number) ?? "", trace.total.map(milliseconds) ?? "",
                TextTable.span(.microseconds(now.microseconds - trace.insertedAt.microseconds)), trace.requestedBy,
                trace.error ?? "",
            ]
        }
        let head = ["command", "parameter", "value", "status", "read back", "took", "ago", "by", ""]
        return TextTable.lines([head] + rows).map { $0 + "\n" }.joined()
    }

    static func breakdown(_ trace: CommandTrace) -> String {
        let names = ["T1 detected", "T2 validated", "T3 written", "T4 confirmed", "T5 finalised"]
        let longest = trace.stages.compactMap(\.self).max() ?? 0
        let rows = zip(names, trace.stages).map { name, stage -> (String, String) in
            guard let stage else { return (name, "not known") }
            let bar = longest > 0 ? Int((stage / longest * 30).rounded()) : 0
            let text = milliseconds(stage)
            return (
                name,
                String(repeating: " ", count: max(0, 11 - text.count)) + text + "  "
                    + String(repeating: "#", count: bar)
            )
        }
        let head: [(String, String)] = [
            ("command", "\(trace.id), trace \(trace.trace.uuidString.lowercased())"),
            ("asked", "\(trace.parameter) = \(number(trace.target)), \(trace.insertedAt) by \(trace.requestedBy)"),
            (
                "became",
                trace.status + (trace.actual.map { ", reads back as \(number($0))" } ?? "")
                    + (trace.error.map { ": \($0)" } ?? "")
            ),
        ]
        let total = trace.total.map { [("total", milliseconds($0))] } ?? []
        return TextTable.labelled(head + rows.map { ($0.0 + " ", $0.1) } + total)
    }

    private static func milliseconds(_ value: Double) -> String { String(format: "%.3f ms", value) }

    static func number(_ value: Double) -> String { String(format: "%.7g", value) }

    // MARK: JSON

    private struct Record: Encodable {
        var command: Int64
        var trace: String
        var parameter: String
        var target: Double
        var actual: Double?
        var status: String
        var error: String?
        var requested_by: String
        var inserted_at: String
        var t1_detection_ms: Double?
        var t2_validation_ms: Double?
        var t3_write_ms: Double?
        var t4_confirmation_ms: Double?
        var t5_finalisation_ms: Double?
        var total_ms: Double?

        init(_ trace: CommandTrace) {
            command = trace.id
            self.trace = trace.trace.uuidString.lowercased()
            parameter = trace.parameter
            target = trace.target
            actual = trace.actual
            status = trace.status
            error = trace.error
            requested_by = trace.requestedBy
            inserted_at = "\(trace.insertedAt)"
            t1_detection_ms = trace.stages[0]
            t2_validation_ms = trace.stages[1]
            t3_write_ms = trace.stages[2]
            t4_confirmation_ms = trace.stages[3]
            t5_finalisation_ms = trace.stages[4]
            total_ms = trace.total
        }
    }

    static func json(_ trace: CommandTrace) throws -> String { try LineOutput.line(json: Record(trace)) }
    static func json(_ traces: [CommandTrace]) throws -> String {
        try LineOutput.line(json: traces.map(Record.init))
    }
}
