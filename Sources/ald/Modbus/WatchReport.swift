import ALDCore
import Modbus

/// What a watch shows: a table on a terminal, lines elsewhere, JSON for programs.
enum WatchReport {
    /// - Parameters:
    ///   - place: the device, for the head.
    ///   - height: lines of the terminal; what does not fit is left out and counted.
    static func table(_ watch: Watch, place: String, every interval: Duration, width: Int, height: Int) -> [String] {
        let rows = watch.rows.map { row in
            [
                "\(row.address)", row.raw, row.value?.description ?? "", row.lowest?.description ?? "",
                row.highest?.description ?? "", row.changes == 0 ? "" : "\(row.changes)",
            ]
        }
        let head = [
            "address", watch.table.table.isBits ? "bit" : "hex", watch.type.rawValue, "lowest", "highest", "changes",
        ]
        let shown = min(rows.count, max(height - 6, 1))
        let widths = head.indices.map { column in
            ([head] + rows.prefix(shown)).map { $0[column].count }.max() ?? 0
        }
        func line(_ mark: String, _ fields: [String]) -> String {
            let padded = zip(fields, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            // The last column needs no padding.
            return mark + (padded.dropLast() + fields.suffix(1)).joined(separator: "  ")
        }
        var lines = ["\(watch.table.rawValue) of \(place) every \(StatusReport.seconds(interval)) (Ctrl-C ends)"]
        lines.append(status(watch))
        lines += ["", line("  ", head)]
        lines += zip(watch.rows, rows).prefix(shown).map { row, fields in line(row.isNew ? "* " : "  ", fields) }
        if shown < rows.count { lines.append("  … and \(rows.count - shown) more") }
        return lines.map { String($0.prefix(max(width - 1, 20))) }
    }

    private static func status(_ watch: Watch) -> String {
        let state = watch.fault.map { "error \($0), values are old" } ?? StatusReport.milliseconds(watch.roundTrip)
        return "\(watch.readings) readings, \(watch.errors) errors, \(watch.changes) changes; last: \(state)"
    }

    static func line(_ change: Watch.Change, of watch: Watch) -> String {
        let name = "\(watch.table.rawValue) \(change.address)"
        let isPlain = watch.table.table.isBits
        guard let previous = change.previous else {
            return "\(name): \(change.value)" + (isPlain ? "" : " (\(change.raw))")
        }
        return "\(name): \(previous.value) -> \(change.value)" + (isPlain ? "" : " (\(previous.raw) -> \(change.raw))")
    }

    static func summary(_ watch: Watch) -> String {
        let times = watch.roundTrips
        let latency =
            times.count == 0
            ? ""
            : "; round trip p50 \(StatusReport.milliseconds(times.percentile(50))), "
                + "max \(StatusReport.milliseconds(times.max))"
        return "\(watch.readings) readings, \(watch.errors) errors, \(watch.changes) changes\(latency)"
    }

    // MARK: JSON; fields are added, never renamed or removed

    struct ValueJSON: Encodable {
        var event = "value"
        var table: String
        var address: UInt16
        var raw: String
        var value: Value
        var previous: Value?

        init(_ change: Watch.Change, of watch: Watch) {
            table = watch.table.rawValue
            address = change.address
            raw = change.raw
            value = change.value
            previous = change.previous?.value
        }
    }

    struct ErrorJSON: Encodable {
        var event = "error"
        var error: String
        var message: String
    }

    struct SummaryJSON: Encodable {
        var event = "summary"
        var readings: Int
        var errors: Int
        var changes: Int
        var round_trip_seconds: JSONStatus.Distribution

        init(_ watch: Watch) {
            readings = watch.readings
            errors = watch.errors
            changes = watch.changes
            round_trip_seconds = JSONStatus.Distribution(watch.roundTrips)
        }
    }
}
