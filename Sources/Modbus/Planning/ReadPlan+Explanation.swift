extension ReadPlan {
    /// The plan in words: a line for all of it, then one per request.
    ///
    /// ```text
    /// 2 requests, 170 registers (120 filler), 29 % wanted, 325.6 ms
    ///   1  04 read input registers  2002×82   64 filler  158.0 ms
    ///   2  04 read input registers  2110×88   56 filler  167.6 ms
    /// ```
    ///
    /// - Parameter cost: what the requests are believed to cost, when anything is; without it no time is shown.
    public func explain(cost: ReadCost? = nil) -> String {
        var summary = [
            Self.counted(requests.count, "request"),
            Self.counted(registerCount, "register") + Self.filler(count(bits: false, \.filler)),
            Self.counted(bitCount, "bit") + Self.filler(count(bits: true, \.filler)),
        ]
        let read = registerCount + bitCount
        let wanted = read - requests.reduce(0) { $0 + $1.filler }
        if read > wanted { summary.append("\(100 * wanted / read) % wanted") }
        if let cost { summary.append(Self.milliseconds(cost.time(of: self))) }
        var columns = [
            requests.indices.map { "\($0 + 1)" }.alignedRight(),
            requests.map { "\($0.table.readFunction)" }.alignedLeft(),
            requests.map { "\($0.range)" }.alignedLeft(),
        ]
        if read > wanted {
            columns.append(requests.map { $0.filler == 0 ? "" : "\($0.filler) filler" }.alignedRight())
        }
        if let cost { columns.append(requests.map { Self.milliseconds(cost.time(of: $0)) }.alignedRight()) }
        let lines = requests.indices.map { index in
            var line = "  " + columns.map { $0[index] }.joined(separator: "  ")
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
        return ([summary.joined(separator: ", ")] + lines).joined(separator: "\n")
    }

    private static func counted(_ count: Int, _ noun: String) -> String {
        "\(count) \(noun)\(count == 1 ? "" : "s")"
    }

    private static func filler(_ count: Int) -> String {
        count == 0 ? "" : " (\(count) filler)"
    }

    /// With one decimal.
    private static func milliseconds(_ time: Duration) -> String {
        let tenths = Int((time / .microseconds(100)).rounded())
        return "\(tenths / 10).\(tenths % 10) ms"
    }
}

extension [String] {
    fileprivate func alignedLeft() -> [String] {
        let width = map(\.count).max() ?? 0
        return map { $0 + String(repeating: " ", count: width - $0.count) }
    }

    fileprivate func alignedRight() -> [String] {
        let width = map(\.count).max() ?? 0
        return map { String(repeating: " ", count: width - $0.count) + $0 }
    }
}
