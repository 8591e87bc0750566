/// What registers hold, once their ``RegisterFormat`` is known.
public enum RegisterValue: Hashable, Sendable {
    /// From a signed format.
    case signed(Int64)
    /// From an unsigned or a BCD format.
    case unsigned(UInt64)
    /// From a floating-point format, and from any format with a scaling.
    case number(Double)
    /// From a bit of a register.
    case bit(Bool)
    /// From a text.
    case text(String)

    /// The value as a floating-point number, a bit as 0 or 1; nil for a text. Integers beyond ±2⁵³ are rounded.
    public var double: Double? {
        switch self {
        case .signed(let value): Double(value)
        case .unsigned(let value): Double(value)
        case .number(let value): value
        case .bit(let value): value ? 1 : 0
        case .text: nil
        }
    }
}
