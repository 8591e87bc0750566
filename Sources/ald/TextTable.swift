import ALDCore

/// Cells that line up in columns.
enum TextTable {
    /// One line per row, without trailing spaces. Short rows end early.
    static func lines(_ rows: [[String]]) -> [String] {
        var widths: [Int] = []
        for row in rows {
            for (index, cell) in row.enumerated() {
                if index == widths.count { widths.append(0) }
                widths[index] = max(widths[index], cell.count)
            }
        }
        return rows.map { row in
            let line = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }.joined(
                separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
    }

    /// Labels in a column of twelve, as `ald database status` has them; further lines of one label are indented.
    static func labelled(_ rows: [(String, String)]) -> String {
        rows.map { label, text in
            let isShort = label.count < 12
            return label + (isShort ? String(repeating: " ", count: 12 - label.count) : "  ") + text + "\n"
        }.joined()
    }

    /// 1234567 as 1,234,567.
    static func grouped(_ number: some BinaryInteger) -> String {
        let digits = Array(String(number))
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0, digits[index - 1] != "-" { text.append(",") }
            text.append(digit)
        }
        return text
    }

    /// "1 letter", "2 letters".
    static func counted(_ number: some BinaryInteger, _ noun: String, plural: String? = nil) -> String {
        "\(grouped(number)) \(number == 1 ? noun : plural ?? noun + "s")"
    }

    /// How long something took or is ago, for people.
    static func span(_ duration: Duration) -> String {
        let seconds = duration.inSeconds
        if seconds < 0 { return "in the future" }
        if seconds < 120 { return "\(Int(seconds)) s" }
        if seconds < 7200 { return "\(Int(seconds / 60)) min" }
        if seconds < 172_800 { return "\(Int(seconds / 3600)) h" }
        return "\(Int(seconds / 86_400)) days"
    }
}
