/// Sizes as people write them: `10MB`, `1.5 GB`, `4096`. A kilobyte is a thousand bytes.
public enum ByteText {
    private static let units: [(name: String, bytes: Double)] = [
        ("gb", 1e9), ("g", 1e9), ("mb", 1e6), ("m", 1e6), ("kb", 1e3), ("k", 1e3), ("b", 1), ("", 1),
    ]

    /// - Returns: `nil` for what is no size, or more than a file can have.
    public static func parse(_ text: String) -> Int64? {
        let lower = text.lowercased()
        guard let unit = units.first(where: { lower.hasSuffix($0.name) }) else { return nil }
        let digits = lower.dropLast(unit.name.count).reversed().drop { $0 == " " }.reversed()
        // Nothing but a plain decimal: no sign, no exponent, no infinity.
        guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }),
            let number = Double(String(digits)), number * unit.bytes < 1e18
        else { return nil }
        return Int64(number * unit.bytes)
    }
}
