/// A `numeric` value without loss: up to 131 072 digits before and 16 383 after the decimal point, NaN and ±Infinity.
///
/// `Foundation.Decimal` holds 38 digits and would round silently. This type carries what PostgreSQL sent, including the
/// number of digits shown after the point (`1.50`); equality is that of numbers: `1.5 == 1.50`, and `NaN == NaN` as in
/// PostgreSQL. Arithmetic is left to the database.
public struct PostgresNumeric: Sendable {
    enum Kind: UInt16, Sendable {
        case positive = 0x0000
        case negative = 0x4000
        case nan = 0xC000
        case infinity = 0xD000
        case negativeInfinity = 0xF000
    }

    /// Digits that the binary format can show after the point.
    static let maximumScale = 16_383
    /// Decimal digits that PostgreSQL stores before the point.
    static let maximumIntegerDigits = 131_072
    /// Every element of ``digits`` stands for four decimal digits.
    static let base: Int16 = 10_000
    static let decimalsPerDigit = 4

    let kind: Kind
    /// Digits to the base 10 000, without zeros at either end. Empty for zero and for what is no number.
    let digits: [Int16]
    /// The power of 10 000 of the first digit.
    let weight: Int16
    /// Decimal digits shown after the point.
    let scale: UInt16

    public static let nan = PostgresNumeric(kind: .nan)
    public static let infinity = PostgresNumeric(kind: .infinity)
    public static let negativeInfinity = PostgresNumeric(kind: .negativeInfinity)

    public var isNaN: Bool { kind == .nan }
    public var isFinite: Bool { kind == .positive || kind == .negative }

    private init(kind: Kind) {
        self.kind = kind
        digits = []
        weight = 0
        scale = 0
    }

    /// Removes the zeros at both ends; zero has no sign.
    init?(kind: Kind, digits: [Int16], weight: Int, scale: UInt16) {
        let leading = digits.prefix { $0 == 0 }.count
        let trailing = digits.dropFirst(leading).reversed().prefix { $0 == 0 }.count
        let kept = Array(digits.dropFirst(leading).dropLast(trailing))
        guard let weight = Int16(exactly: kept.isEmpty ? 0 : weight - leading) else { return nil }
        self.kind = kept.isEmpty && kind == .negative ? .positive : kind
        self.digits = kept
        self.weight = weight
        self.scale = scale
    }

    public init(_ integer: some BinaryInteger) {
        // Every integer up to Int64's range and far beyond is within the limits of the type.
        self = PostgresNumeric(String(integer)) ?? .nan
    }

    /// The number as a double, rounded; out of its range ±infinity.
    public var double: Double {
        switch kind {
        case .nan: .nan
        case .infinity: .infinity
        case .negativeInfinity: -.infinity
        case .positive, .negative: Double(description) ?? .nan
        }
    }
}

extension PostgresNumeric: Hashable {
    public static func == (left: PostgresNumeric, right: PostgresNumeric) -> Bool {
        left.kind == right.kind && left.weight == right.weight && left.digits == right.digits
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        hasher.combine(weight)
        hasher.combine(digits)
    }
}
