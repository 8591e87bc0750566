/// What is written for a number: values of single precision whose two halves, which lie in two registers, both tell the
/// number. A value put together from the halves of two is known as such.
enum NumberedValue {
    /// So many numbers in a row can be told apart; then their values come again. What is read is taken for the newest
    /// number that it may be, so an older value passes only if it is older by exactly so many writes: minutes.
    static let capacity = 0x4000
    /// All of them lie in it.
    static let range = 0.0...4.0

    /// The upper half of the smallest number that is written in full.
    private static let first: UInt32 = 0x0080

    enum Problem: Error, Hashable, CustomStringConvertible {
        case unknown(Double)
        /// Halves of two, by their numbers below ``capacity``.
        case torn(upper: Int, lower: Int)

        var description: String {
            switch self {
            case .unknown(let value): "\(value) was read, which nobody has written"
            case .torn(let upper, let lower): "half of \(upper) and half of \(lower) were read as one value"
            }
        }
    }

    static func bits(of number: Int) -> UInt32 {
        let place = UInt32(number % capacity)
        return (first + place) << 16 | place
    }

    static func value(of number: Int) -> Double { Double(Float(bitPattern: bits(of: number))) }

    /// The last number up to `last` for which this value was written. For one that has never been, it is the first that
    /// would be.
    static func number(of value: Double, upTo last: Int) throws(Problem) -> Int {
        let single = Float(value)
        let (upper, lower) = (Int(single.bitPattern >> 16) - Int(first), Int(single.bitPattern & 0xFFFF))
        guard Double(single) == value, (0..<capacity).contains(upper), (0..<capacity).contains(lower) else {
            throw .unknown(value)
        }
        guard upper == lower else { throw .torn(upper: upper, lower: lower) }
        let (round, rest) = last.quotientAndRemainder(dividingBy: capacity)
        return upper <= rest || round == 0 ? round * capacity + upper : (round - 1) * capacity + upper
    }
}
