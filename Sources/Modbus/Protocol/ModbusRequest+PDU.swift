public import NIOCore

extension ModbusRequest {
    /// What function 05 sends for "on" (§6.5); "off" is 0000 and nothing else is legal.
    static let coilOn: UInt16 = 0xFF00

    /// Appends function code and data.
    ///
    /// - Throws: ``ModbusError/Code/invalidRequest(_:)`` when no frame can carry the request; nothing is appended.
    public func encodePDU(into buffer: inout ByteBuffer) throws(ModbusError) {
        try checked()
        writePDU(to: &buffer)
    }

    /// Appends function code and data of a request that was checked.
    func writePDU(to buffer: inout ByteBuffer) {
        buffer.writeInteger(function.rawValue)
        switch self {
        case .read(_, let range):
            buffer.writeInteger(range.start)
            buffer.writeInteger(UInt16(truncatingIfNeeded: range.count))
        case .writeCoil(let address, let value):
            buffer.writeInteger(address)
            buffer.writeInteger(value ? Self.coilOn : 0)
        case .writeRegister(let address, let value):
            buffer.writeInteger(address)
            buffer.writeInteger(value)
        case .writeCoils(let start, let values):
            buffer.writeInteger(start)
            buffer.writeInteger(UInt16(truncatingIfNeeded: values.count))
            buffer.writeInteger(UInt8(truncatingIfNeeded: ModbusLimits.byteCount(forBits: values.count)))
            BitPacking.write(values, to: &buffer)
        case .writeRegisters(let start, let values):
            buffer.writeInteger(start)
            buffer.writeInteger(UInt16(truncatingIfNeeded: values.count))
            buffer.writeInteger(UInt8(truncatingIfNeeded: 2 * values.count))
            RegisterPacking.write(values, to: &buffer)
        }
    }

    /// Decodes a request PDU that fills `pdu` exactly, in the specification's order of checks: function (01), then
    /// length, quantity, byte count and value (03), then addresses (02).
    ///
    /// - Throws: the exception to answer with.
    public init(decodingPDU pdu: ByteBuffer) throws(ModbusException) {
        var rest = pdu
        guard let byte = rest.readInteger(as: UInt8.self) else { throw ModbusException(.illegalFunction) }
        let function = FunctionCode(rawValue: byte)
        if let table = DataTable(readBy: function) {
            let (start, count) = try Self.addressAndNumber(&rest, isLast: true)
            self = .read(table, try Self.range(start, count, atMost: table.maximumReadCount))
            return
        }
        switch function {
        case .writeSingleCoil:
            let (address, value) = try Self.addressAndNumber(&rest, isLast: true)
            guard value == 0 || value == Self.coilOn else { throw .illegalDataValue }
            self = .writeCoil(address: address, value: value == Self.coilOn)
        case .writeSingleRegister:
            let (address, value) = try Self.addressAndNumber(&rest, isLast: true)
            self = .writeRegister(address: address, value: value)
        case .writeMultipleCoils:
            self = try Self.multipleCoils(&rest)
        case .writeMultipleRegisters:
            self = try Self.multipleRegisters(&rest)
        default:
            throw ModbusException(.illegalFunction)
        }
    }

    private static func multipleCoils(_ rest: inout ByteBuffer) throws(ModbusException) -> ModbusRequest {
        let (start, count) = try addressAndNumber(&rest, isLast: false)
        try checkQuantity(count, atMost: ModbusLimits.maximumWriteCoils)
        guard rest.readInteger(as: UInt8.self).map(Int.init) == rest.readableBytes,
            let values = BitPacking.read(rest.readableBytesView, count: Int(count))
        else { throw .illegalDataValue }
        _ = try range(start, count, atMost: ModbusLimits.maximumWriteCoils)
        return .writeCoils(start: start, values: values)
    }

    private static func multipleRegisters(_ rest: inout ByteBuffer) throws(ModbusException) -> ModbusRequest {
        let (start, count) = try addressAndNumber(&rest, isLast: false)
        try checkQuantity(count, atMost: ModbusLimits.maximumWriteRegisters)
        guard rest.readInteger(as: UInt8.self).map(Int.init) == rest.readableBytes,
            let values = RegisterPacking.read(rest.readableBytesView, count: Int(count))
        else { throw .illegalDataValue }
        _ = try range(start, count, atMost: ModbusLimits.maximumWriteRegisters)
        return .writeRegisters(start: start, values: values)
    }

    private static func addressAndNumber(
        _ rest: inout ByteBuffer, isLast: Bool
    ) throws(ModbusException) -> (UInt16, UInt16) {
        guard let pair = rest.readMultipleIntegers(as: (UInt16, UInt16).self),
            !isLast || rest.readableBytes == 0
        else { throw .illegalDataValue }
        return pair
    }

    private static func checkQuantity(_ count: UInt16, atMost maximum: Int) throws(ModbusException) {
        guard count >= 1, Int(count) <= maximum else { throw .illegalDataValue }
    }

    private static func range(
        _ start: UInt16, _ count: UInt16, atMost maximum: Int
    ) throws(ModbusException) -> AddressRange {
        try checkQuantity(count, atMost: maximum)
        guard let range = AddressRange(start: start, count: Int(count)) else { throw .illegalDataAddress }
        return range
    }
}
