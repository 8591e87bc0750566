import Modbus

extension DataType {
    /// The number that `registers` hold. `registers` has exactly as many elements as this type takes.
    func decode(_ registers: ArraySlice<UInt16>, order: WordOrder) -> Double? {
        switch (self, registers.count) {
        case (.float32, 2):
            Double(
                Float(bitPattern: order.combine(registers[registers.startIndex], registers[registers.startIndex + 1])))
        case (.int32, 2):
            Double(
                Int32(bitPattern: order.combine(registers[registers.startIndex], registers[registers.startIndex + 1])))
        case (.int16, 1): Double(Int16(bitPattern: registers[registers.startIndex]))
        case (.binary, 1): registers[registers.startIndex] == 0 ? 0 : 1
        case (.float32, _), (.int32, _), (.int16, _), (.binary, _): nil
        }
    }

    /// The registers that hold `value`; `nil` when this type cannot represent it.
    ///
    /// Integers are rounded to the nearest; a binary is on above one half.
    func encode(_ value: Double, order: WordOrder) -> [UInt16]? {
        encodeWords(value, order: order).map { addressCount(in: .holdingRegisters) == 2 ? [$0.0, $0.1] : [$0.0] }
    }

    /// As ``encode(_:order:)``, without an array: the registers that hold `value`, the second one 0 for a type that
    /// takes only one.
    func encodeWords(_ value: Double, order: WordOrder) -> (UInt16, UInt16)? {
        switch self {
        case .float32:
            let single = Float(value)
            guard single.isFinite == value.isFinite else { return nil }
            return order.split(single.bitPattern)
        case .int32:
            guard let integer = Int32(exactly: value.rounded()) else { return nil }
            return order.split(UInt32(bitPattern: integer))
        case .int16:
            guard let integer = Int16(exactly: value.rounded()) else { return nil }
            return (UInt16(bitPattern: integer), 0)
        case .binary:
            return (value > 0.5 ? 1 : 0, 0)
        }
    }
}
