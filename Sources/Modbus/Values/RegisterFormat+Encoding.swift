extension RegisterFormat {
    /// The registers that hold `value`. Nothing is clamped: what does not fit is an error.
    ///
    /// With a scaling the nearest raw number is taken; a floating-point format takes the nearest number it has.
    ///
    /// - Parameter current: what the registers hold now. Needed for a bit and for a text that uses only one byte of a
    ///   register, where the rest stays as it is; otherwise ignored.
    /// - Throws: ``RegisterValueError``.
    public func encode(
        _ value: RegisterValue, over current: [UInt16]? = nil
    ) throws(RegisterValueError) -> [UInt16] {
        try checkFormat()
        switch (kind, value) {
        case (.bit(let position), .bit(let isOn)):
            let register = try Self.checked(current, count: 1)[0]
            let mask = UInt16(1) << UInt16(position)
            return [isOn ? register | mask : register & ~mask]
        case (.text(let text), .text(let string)):
            return try text.encode(
                string, over: text.usesBothBytes ? nil : Self.checked(current, count: text.registers))
        case (.bit, _), (.text, _), (_, .bit), (_, .text):
            throw .wrongKind(value)
        default:
            let bits = try bits(of: value)
            guard !sentinels.contains(bits) else { throw .isSentinel(value) }
            return registers(of: bits)
        }
    }

    private static func checked(_ current: [UInt16]?, count: Int) throws(RegisterValueError) -> [UInt16] {
        guard let current else { throw .needsCurrentRegisters }
        guard current.count == count else { throw .wrongRegisterCount(current.count, expected: count) }
        return current
    }

    private func registers(of bits: UInt64) -> [UInt16] {
        switch registerCount {
        case 1: return [UInt16(truncatingIfNeeded: bits)]
        case 2:
            let words = wordOrder.split(UInt32(truncatingIfNeeded: bits))
            return [words.0, words.1]
        default:
            let words = wordOrder.split(bits)
            return [words.0, words.1, words.2, words.3]
        }
    }

    private func bits(of value: RegisterValue) throws(RegisterValueError) -> UInt64 {
        switch kind {
        case .uint16: return UInt64(try integer(value, as: UInt16.self))
        case .uint32: return UInt64(try integer(value, as: UInt32.self))
        case .uint64: return try integer(value, as: UInt64.self)
        case .int16: return UInt64(UInt16(bitPattern: try integer(value, as: Int16.self)))
        case .int32: return UInt64(UInt32(bitPattern: try integer(value, as: Int32.self)))
        case .int64: return UInt64(bitPattern: try integer(value, as: Int64.self))
        #if !(arch(x86_64) && (os(macOS) || targetEnvironment(macCatalyst)))
            case .float16:
                let number = Float16(try raw(value))
                guard number.isFinite else { throw .outOfRange(value) }
                return UInt64(number.bitPattern)
        #endif
        case .float32:
            let number = Float(try raw(value))
            guard number.isFinite else { throw .outOfRange(value) }
            return UInt64(number.bitPattern)
        case .float64: return try raw(value).bitPattern
        case .bcd16: return try bcd(value, digits: 4)
        case .bcd32: return try bcd(value, digits: 8)
        case .bit, .text: throw .wrongKind(value)
        }
    }

    private func bcd(_ value: RegisterValue, digits: Int) throws(RegisterValueError) -> UInt64 {
        guard let bits = BinaryCodedDecimal.encode(try integer(value, as: UInt64.self), digits: digits) else {
            throw .outOfRange(value)
        }
        return bits
    }

    /// An integer goes its way without becoming a floating-point number, so that none of its digits is lost.
    private func integer<Integer: FixedWidthInteger>(
        _ value: RegisterValue, as type: Integer.Type
    ) throws(RegisterValueError) -> Integer {
        let exact: Integer?
        switch value {
        case .signed(let number) where scaling == nil: exact = Integer(exactly: number)
        case .unsigned(let number) where scaling == nil: exact = Integer(exactly: number)
        default:
            let number = try raw(value)
            let rounded = number.rounded()
            guard scaling != nil || rounded == number else { throw .notAnInteger(number) }
            exact = Integer(exactly: rounded)
        }
        guard let exact else { throw .outOfRange(value) }
        return exact
    }

    /// What stands in the registers for `value`, before it is rounded to what they can hold.
    private func raw(_ value: RegisterValue) throws(RegisterValueError) -> Double {
        guard let number = value.double else { throw .wrongKind(value) }
        guard number.isFinite else { throw .notFinite }
        guard let scaling else { return number }
        let raw = (number - scaling.offset) / scaling.factor
        guard raw.isFinite else { throw .outOfRange(value) }
        return raw
    }
}
