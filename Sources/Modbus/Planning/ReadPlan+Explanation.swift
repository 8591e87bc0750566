extension ReadPlan {
    /// The plan in words: a line for all of it, then one per request.
    ///
    /// ```text
    /// 4 requests, 170 registers (120 filler), 41 bits (15 filler)
    ///   1  04 read input registers  2002×82 (64 filler)
    /// ```
    public func explain() -> String {
        var lines = [
            [
                Self.counted(requests.count, "request"),
                Self.counted(registerCount, "register") + Self.filler(count(bits: false, \.filler)),
                Self.counted(bitCount, "bit") + Self.filler(count(bits: true, \.filler)),
            ].joined(separator: ", ")
        ]
        for (index, read) in requests.enumerated() {
            lines.append("  \(index + 1)  \(read.table.readFunction)  \(read.range)" + Self.filler(read.filler))
        }
        return lines.joined(separator: "\n")
    }

    private static func counted(_ count: Int, _ noun: String) -> String {
        "\(count) \(noun)\(count == 1 ? "" : "s")"
    }

    private static func filler(_ count: Int) -> String {
        count == 0 ? "" : " (\(count) filler)"
    }
}
