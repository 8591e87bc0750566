/// Why registers are not a value of a ``RegisterFormat``, or a value does not go into its registers.
public enum RegisterValueError: Error, Hashable, Sendable {
    /// The format itself makes no sense. Carries what is wrong.
    case invalidFormat(String)
    /// There are too few or too many registers.
    case wrongRegisterCount(Int, expected: Int)
    /// A digit of a BCD value is above 9. Carries the bits.
    case invalidDigit(UInt64)
    /// The bytes of a text are no UTF-8.
    case invalidText
    /// A text was given for a number, a number for a bit, or the like.
    case wrongKind(RegisterValue)
    /// An infinite value or NaN cannot be written.
    case notFinite
    /// The value is outside of what the registers can hold.
    case outOfRange(RegisterValue)
    /// A fraction was given for an integer format without scaling.
    case notAnInteger(Double)
    /// The text has more bytes than there is room for.
    case textTooLong(bytes: Int, room: Int)
    /// The text would be read back as another one: it holds a NUL or ends with a space.
    case textNotReadable
    /// The value would be read back as "no value".
    case isSentinel(RegisterValue)
    /// The format fills only a part of its registers; to write it, what they hold now must be known.
    case needsCurrentRegisters
}

extension RegisterValueError: CustomStringConvertible {
    /// What is wrong, in words.
    public var description: String {
        switch self {
        case .invalidFormat(let reason): "the register format cannot be used: \(reason)"
        case .wrongRegisterCount(let count, let expected): "\(count) registers where the format has \(expected)"
        case .invalidDigit(let bits): "0x\(String(bits, radix: 16, uppercase: true)) is not BCD: a digit is above 9"
        case .invalidText: "the registers hold bytes that are no UTF-8 text"
        case .wrongKind(let value): "\(value) is not the kind of value that the format has"
        case .notFinite: "an infinite value or NaN cannot be written"
        case .outOfRange(let value): "\(value) is outside of what the registers can hold"
        case .notAnInteger(let value): "\(value) is no integer, and the format has no scaling"
        case .textTooLong(let bytes, let room): "a text of \(bytes) bytes; the registers have room for \(room)"
        case .textNotReadable: "a text with a NUL or a trailing space would be read back as another one"
        case .isSentinel(let value): "\(value) would be read back as no value"
        case .needsCurrentRegisters: "the format fills only a part of its registers; read them first"
        }
    }
}
