/// Decimal digits of four bits each, the highest first.
enum BinaryCodedDecimal {
    static func decode(_ bits: UInt64) throws(RegisterValueError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(60), through: 0, by: -4) {
            let digit = bits >> shift & 0xF
            guard digit <= 9 else { throw .invalidDigit(bits) }
            value = 10 * value + digit
        }
        return value
    }

    /// Nil when `value` has more than `digits` digits, at most 16.
    static func encode(_ value: UInt64, digits: Int) -> UInt64? {
        var bits: UInt64 = 0
        var rest = value
        for position in 0..<UInt64(digits) {
            bits |= (rest % 10) << (4 * position)
            rest /= 10
        }
        return rest == 0 ? bits : nil
    }
}
