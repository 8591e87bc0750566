extension PostgresNumeric: LosslessStringConvertible, ExpressibleByIntegerLiteral {
    public init(integerLiteral value: Int64) {
        self.init(value)
    }

    /// From what PostgreSQL prints and accepts: `-12.50`, `.5`, `1e-7`, `NaN`, `Infinity`, `-Infinity`.
    ///
    /// - Returns: `nil` for anything else and for what exceeds the limits of the type.
    public init?(_ text: String) {
        switch text.lowercased() {
        case "nan": self = .nan
        case "infinity", "inf", "+infinity", "+inf": self = .infinity
        case "-infinity", "-inf": self = .negativeInfinity
        default:
            guard let number = Self.parse(text) else { return nil }
            self = number
        }
    }

    private static func parse(_ text: String) -> PostgresNumeric? {
        var rest = text.utf8[...]
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        let integer = digits(&rest)
        var fraction: [UInt8] = []
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            fraction = digits(&rest)
        }
        guard !integer.isEmpty || !fraction.isEmpty else { return nil }
        var exponent = 0
        if let letter = rest.first {
            guard letter | 0x20 == UInt8(ascii: "e"), let value = Int(String(decoding: rest.dropFirst(), as: UTF8.self))
            else { return nil }
            // Beyond that, no number but zero could be represented.
            guard abs(value) <= 2 * maximumIntegerDigits else { return nil }
            exponent = value
        }
        let decimals = integer + fraction
        let scale = max(0, fraction.count - exponent)
        guard scale <= maximumScale else { return nil }
        return PostgresNumeric(
            isNegative: isNegative, decimals: decimals, point: integer.count + exponent, scale: UInt16(scale))
    }

    private static func digits(_ rest: inout Substring.UTF8View.SubSequence) -> [UInt8] {
        let run = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        rest = rest[run.endIndex...]
        return run.map { $0 - UInt8(ascii: "0") }
    }

    /// - Parameter point: how many of the decimals stand before the point; may be negative or more than there are.
    private init?(isNegative: Bool, decimals: [UInt8], point: Int, scale: UInt16) {
        let leading = decimals.prefix { $0 == 0 }.count
        let significant = Array(decimals.dropFirst(leading))
        guard !significant.isEmpty else {
            self.init(kind: .positive, digits: [], weight: 0, scale: scale)
            return
        }
        let point = point - leading
        guard point <= Self.maximumIntegerDigits else { return nil }
        // Groups of four are counted from the point, so the first one may be short.
        let width = Self.decimalsPerDigit
        // Rounded towards zero, the quotient of a small number may be one too high: a group of zeros, dropped at the end.
        let weight = (point + width - 1) / width - 1
        let padding = (weight + 1) * width - point
        var padded = [UInt8](repeating: 0, count: padding) + significant
        padded += [UInt8](repeating: 0, count: (width - padded.count % width) % width)
        let digits = stride(from: 0, to: padded.count, by: width).map { start in
            padded[start..<start + width].reduce(0 as Int16) { $0 * 10 + Int16($1) }
        }
        self.init(kind: isNegative ? .negative : .positive, digits: digits, weight: weight, scale: scale)
    }

    /// As PostgreSQL prints it, without exponent.
    public var description: String {
        switch kind {
        case .nan: return "NaN"
        case .infinity: return "Infinity"
        case .negativeInfinity: return "-Infinity"
        case .positive, .negative: break
        }
        func group(_ power: Int) -> String {
            let index = Int(weight) - power
            let text = String(digits.indices.contains(index) ? digits[index] : 0)
            return String(repeating: "0", count: Self.decimalsPerDigit - text.count) + text
        }
        let integer = (0...max(0, Int(weight))).reversed().map(group).joined().drop { $0 == "0" }
        let groups = (Int(scale) + Self.decimalsPerDigit - 1) / Self.decimalsPerDigit
        let fraction = (0..<groups).map { group(-1 - $0) }.joined().prefix(Int(scale))
        let sign = kind == .negative ? "-" : ""
        return sign + (integer.isEmpty ? "0" : integer) + (fraction.isEmpty ? "" : "." + fraction)
    }
}
