import ALDCore
import Foundation

/// What a scan found. Fields are added, never renamed or removed.
struct ScanFindings: Encodable, Sendable {
    struct Unit: Encodable, Sendable {
        var unit: UInt8
        /// `data`, or the exception it answered with.
        var answer: String
    }

    /// One object of the identification (function 43/14), or what function 17 tells.
    struct Fact: Encodable, Sendable {
        var name: String
        var text: String
    }

    struct Table: Encodable, Sendable {
        var table: String
        var first: UInt16
        var last: UInt16
        /// The most addresses one read may have.
        var largest_block: Int
        /// Why one more was refused; `nil` when the specification or the table's end is the limit.
        var beyond: String?
    }

    struct Connections: Encodable, Sendable {
        /// How many answered at the same time.
        var accepted: Int
        /// How many were tried: when all were accepted, the device may take more.
        var tried: Int
        /// What became of the first that was not accepted.
        var beyond: String?
    }

    var host: String
    var port: Int
    var units: [Unit] = []
    /// The unit that was examined.
    var unit: UInt8?
    var identification: [Fact] = []
    var tables: [Table] = []
    var connections: Connections?
    var round_trip_seconds: JSONStatus.Distribution?
    /// Why nothing was found, where that is so.
    var error: String?
    /// Whether the scan came to its end in time.
    var is_complete = true

    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    var lines: [String] {
        var lines = ["\(host):\(port)", ""]
        func add(_ name: String, _ text: String) {
            lines.append("  " + name + String(repeating: " ", count: max(1, 16 - name.count)) + text)
        }
        if units.isEmpty { add("Units", "none answered" + (error.map { " (\($0))" } ?? "")) }
        if !units.isEmpty {
            add(
                "Units",
                units.map { $0.answer == "data" ? "\($0.unit)" : "\($0.unit) (\($0.answer))" }.joined(separator: ", "))
        }
        for fact in identification { add(fact.name.prefix(1).uppercased() + fact.name.dropFirst(), fact.text) }
        if let times = round_trip_seconds {
            add(
                "Round trip",
                "p50 \(StatusReport.milliseconds(.seconds(times.p50))), max \(StatusReport.milliseconds(.seconds(times.max)))"
            )
        }
        if let connections {
            let beyond = connections.beyond.map { "; one more: \($0)" } ?? " or more"
            add("Connections", "\(connections.accepted)\(beyond)")
        }
        for table in tables {
            let beyond = table.beyond.map { " (one more: \($0))" } ?? ""
            add(
                table.table.capitalized,
                "\(table.first) to \(table.last), at most \(table.largest_block) in one read\(beyond)")
        }
        if let unit, tables.isEmpty {
            add("Tables", "unit \(unit) has nothing at the usual addresses; name one with --address")
        }
        if !is_complete { lines += ["", "  The time was up before everything had been tried; see --within."] }
        return lines
    }
}
