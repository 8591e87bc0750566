/// What a read brought back, in address order: exactly as many values as were asked for.
public enum ReadData: Hashable, Sendable {
    /// From holding or input registers, 16 bits each.
    case registers([UInt16])
    /// From coils or discrete inputs.
    case bits([Bool])

    /// The registers; empty when bits were read.
    public var registers: [UInt16] {
        if case .registers(let values) = self { values } else { [] }
    }

    /// The bits; empty when registers were read.
    public var bits: [Bool] {
        if case .bits(let values) = self { values } else { [] }
    }

    /// How many addresses were read.
    public var count: Int {
        switch self {
        case .registers(let values): values.count
        case .bits(let values): values.count
        }
    }

    /// Some of the values.
    ///
    /// - Returns: nil when `offsets` reaches outside of what was read.
    public func slice(_ offsets: Range<Int>) -> ReadData? {
        guard offsets.lowerBound >= 0, offsets.upperBound <= count else { return nil }
        switch self {
        case .registers(let values): return .registers(Array(values[offsets]))
        case .bits(let values): return .bits(Array(values[offsets]))
        }
    }
}
