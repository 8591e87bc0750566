import ALDCore
import Foundation

/// One status as text: the live table, the line for logs, and the summary.
enum StatusReport {
    /// The table that is redrawn in place on a terminal.
    static func table(_ status: StationStatus, width: Int) -> [String] {
        let (collection, writer) = (status.collection, status.writer)
        let rows: [(String, String)] = [
            (
                "Cycles",
                "\(grouped(collection.cycles)) recorded, \(grouped(collection.missed)) missed\(causes(collection))"
            ),
            ("Interval jitter", percentiles(collection.jitter)),
            ("Cycle time", percentiles(collection.cycleTime)),
            (
                "Records",
                "\(grouped(writer.accepted)) accepted, \(grouped(writer.landed)) landed, "
                    + "\(grouped(status.spooled)) in the spool"
            ),
            ("PLC", "\(status.plc.text) (\(status.plc.place))"),
            ("Database", "\(status.database.text) (\(status.database.place))"),
        ]
        let head =
            "\(status.machine): \(status.parameters) parameters every \(seconds(status.period)), "
            + "for \(DurationText.clock(status.running)) (Ctrl-C stops)"
        let lines =
            [head, ""]
            + (rows
            + status.terminals.filter { $0.terminal != .collection || $0.problem != nil }.map {
                (name(of: $0.terminal), $0.words)
            }).map { "  \(padded($0.0, to: 16)) \($0.1)" }
        return lines.map { String($0.prefix(max(width - 1, 20))) }
    }

    /// The first line for output that is not a terminal.
    static func opening(_ status: StationStatus) -> String {
        "Recording \(status.machine): \(status.parameters) parameters every \(seconds(status.period)) "
            + "from \(status.plc.place) into \(status.database.place)."
    }

    /// One line for output that is not a terminal.
    static func line(_ status: StationStatus) -> String {
        let (collection, writer) = (status.collection, status.writer)
        return "\(DurationText.clock(status.running))  cycles \(collection.cycles)  missed \(collection.missed)  "
            + "jitter p99 \(milliseconds(collection.jitter.percentile(99)))  "
            + "cycle p99 \(milliseconds(collection.cycleTime.percentile(99)))  "
            + "accepted \(writer.accepted)  landed \(writer.landed)  spooled \(status.spooled)  "
            + "plc \(status.plc.text)  database \(status.database.text)"
    }

    /// A process without Terminal 1.
    static func terminals(_ terminals: [TerminalLine], of machine: String) -> [String] {
        terminals.map { "\(machine), \($0.terminal): \($0.words)" }
    }

    /// What a run comes to.
    static func summary(_ status: StationStatus) -> [String] {
        let (collection, writer) = (status.collection, status.writer)
        var rows: [(String, String)] = [
            (
                "Cycles",
                "\(grouped(collection.cycles)) × \(status.parameters) parameters = \(grouped(collection.rows)) rows"
            ),
            ("Missed", "\(grouped(collection.missed)) instants\(causes(collection))"),
            ("Interval jitter", percentiles(collection.jitter)),
            ("Cycle time", percentiles(collection.cycleTime)),
        ]
        if collection.badRows > 0 { rows.append(("Without value", "\(grouped(collection.badRows)) rows")) }
        if writer.carriedOver > 0 {
            rows.append(("Carried over", "\(grouped(writer.carriedOver)) records of earlier runs"))
        }
        rows += [
            ("Accepted", records(writer.accepted, gaps: collection.gapRecords)),
            ("Landed", "\(grouped(writer.landed)) records"),
            ("In the spool", "\(grouped(status.spooled)) records"),
            (
                "Account",
                status.isBalanced
                    ? equation(status)
                        + (status.writer.lost == 0 ? ", nothing lost, nothing doubled" : ", nothing doubled")
                    : "DOES NOT BALANCE: \(equation(status))"
            ),
        ]
        if let counted = status.rowsCounted {
            rows.append(("Database", "has \(grouped(counted)) rows of this run"))
        }
        return ["Recorded \(status.machine) for \(DurationText.clock(status.running)).", ""]
            + rows.map { "  \(padded($0.0, to: 16)) \($0.1)" }
    }

    private static func records(_ accepted: Int, gaps: Int) -> String {
        gaps == 0
            ? "\(grouped(accepted)) records"
            : "\(grouped(accepted)) records, \(grouped(gaps)) of them gap records"
    }

    /// Every place that a record can be in, those that are empty left out but for the two that people look for.
    private static func equation(_ status: StationStatus) -> String {
        let writer = status.writer
        func sum(_ terms: [(count: Int, name: String, isAlways: Bool)]) -> String {
            terms.filter { $0.count > 0 || $0.isAlways }.map { "\(grouped($0.count)) \($0.name)" }.joined(
                separator: " + ")
        }
        let came = sum([
            (writer.accepted, "accepted", true), (writer.carriedOver, "carried over", false),
            (writer.resurrected, "forgotten by the database", false),
        ])
        let went = sum([
            (writer.landed, "landed", true), (writer.deadLettered, "dead letters", false),
            (status.spooled, "spooled", true), (writer.lost, "LOST", false),
        ])
        return "\(came) = \(went)"
    }

    private static func name(of terminal: Terminal) -> String {
        switch terminal {
        case .collection: "Collection"
        case .recipes: "Recipes"
        case .commands: "Commands"
        }
    }

    private static func causes(_ collection: CollectionStatistics) -> String {
        let causes = [
            (collection.missedPLC, "PLC"), (collection.missedLate, "too late"), (collection.missedSpool, "disk"),
        ].filter { $0.0 > 0 }.map { "\(grouped($0.0)) \($0.1)" }
        return causes.isEmpty ? "" : " (\(causes.joined(separator: ", ")))"
    }

    private static func percentiles(_ histogram: DurationHistogram) -> String {
        guard histogram.count > 0 else { return "not measured yet" }
        let columns = [
            ("p50", histogram.percentile(50)), ("p99", histogram.percentile(99)), ("max", histogram.max),
        ].map { "\($0.0) \(padded(milliseconds($0.1), to: 10))" }
        return columns.joined(separator: "  ").trimmingCharacters(in: .whitespaces)
    }

    // MARK: Numbers

    static func milliseconds(_ duration: Duration) -> String {
        let value = duration.inMilliseconds
        return String(format: value < 10 ? "%.2f ms" : value < 100 ? "%.1f ms" : "%.0f ms", value)
    }

    static func seconds(_ duration: Duration) -> String {
        duration.inSeconds < 1 ? milliseconds(duration) : String(format: "%g s", duration.inSeconds)
    }

    private static func padded(_ text: String, to width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// 1234567 as 1,234,567.
    private static func grouped(_ number: Int) -> String {
        let digits = Array(String(number))
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0, digit != "-" { text.append(",") }
            text.append(digit)
        }
        return text
    }
}
