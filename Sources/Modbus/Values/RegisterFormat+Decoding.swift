extension RegisterFormat {
    /// The value of `registers`, which must be as many as ``registerCount`` says.
    ///
    /// - Returns: nil for a sentinel or NaN: the device has no value. With a scaling, a ``RegisterValue/number(_:)``.
    /// - Throws: ``RegisterValueError``.
    public func decode(_ registers: ArraySlice<UInt16>) throws(RegisterValueError) -> RegisterValue? {
        try checkFormat()
        guard registers.count == registerCount else {
            throw .wrongRegisterCount(registers.count, expected: registerCount)
        }
        switch kind {
        case .bit(let position): return .bit(registers[registers.startIndex] >> UInt16(position) & 1 == 1)
        case .text(let text): return .text(try text.decode(registers))
        default: break
        }
        let bits = bits(of: registers)
        guard !sentinels.contains(bits), let raw = try number(bits) else { return nil }
        guard let scaling, let unscaled = raw.double else { return raw }
        let value = unscaled * scaling.factor + scaling.offset
        // An infinity that the device sent stays one; the scaling must not make another.
        guard value.isFinite || !unscaled.isFinite else { throw .outOfRange(raw) }
        return .number(value)
    }

    /// The value of `registers`; see ``decode(_:)-(ArraySlice<UInt16>)``.
    public func decode(_ registers: [UInt16]) throws(RegisterValueError) -> RegisterValue? {
        try decode(registers[...])
    }

    func checkFormat() throws(RegisterValueError) {
        let problems = validate()
        guard problems.isEmpty else { throw .invalidFormat(problems.joined(separator: "; ")) }
    }

    private func bits(of registers: ArraySlice<UInt16>) -> UInt64 {
        let first = registers.startIndex
        switch registers.count {
        case 1: return UInt64(registers[first])
        case 2: return UInt64(wordOrder.combine(registers[first], registers[first + 1]))
        default:
            return wordOrder.combine(
                registers[first], registers[first + 1], registers[first + 2], registers[first + 3])
        }
    }

    private func number(_ bits: UInt64) throws(RegisterValueError) -> RegisterValue? {
        switch kind {
        case .uint16, .uint32, .uint64, .bit, .text: return .unsigned(bits)
        case .int16: return .signed(Int64(Int16(truncatingIfNeeded: bits)))
        case .int32: return .signed(Int64(Int32(truncatingIfNeeded: bits)))
        case .int64: return .signed(Int64(bitPattern: bits))
        #if !(arch(x86_64) && (os(macOS) || targetEnvironment(macCatalyst)))
            case .float16: return Self.number(Double(Float16(bitPattern: UInt16(truncatingIfNeeded: bits))))
        #endif
        case .float32: return Self.number(Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits))))
        case .float64: return Self.number(Double(bitPattern: bits))
        case .bcd16, .bcd32: return .unsigned(try BinaryCodedDecimal.decode(bits))
        }
    }

    private static func number(_ value: Double) -> RegisterValue? {
        value.isNaN ? nil : .number(value)
    }
}
