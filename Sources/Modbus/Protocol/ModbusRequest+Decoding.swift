public import NIOCore

extension ModbusRequest {
    /// Decodes a request PDU that fills `pdu` exactly, in the specification's order of checks: function (01), then
    /// length, quantity, byte count and value (03), then addresses (02).
    ///
    /// Functions, sub-functions and types that this library does not know are refused with 01, never decoded as
    /// ``raw(_:)``; see ``ModbusDevice/respond(toRaw:unit:)``.
    ///
    /// - Throws: the exception to answer with.
    public init(decodingPDU pdu: ByteBuffer) throws(ModbusException) {
        var rest = pdu
        guard let byte = rest.readInteger(as: UInt8.self) else { throw .illegalFunction }
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
        case .writeMultipleCoils: self = try Self.multipleCoils(&rest)
        case .writeMultipleRegisters: self = try Self.multipleRegisters(&rest)
        case .readExceptionStatus: self = try Self.bare(.readExceptionStatus, rest)
        case .getCommEventCounter: self = try Self.bare(.getCommEventCounter, rest)
        case .reportServerID: self = try Self.bare(.reportServerID, rest)
        case .diagnostics: self = try Self.diagnostics(&rest)
        case .readFileRecord: self = .readFileRecords(try FileRecordRange.read(&rest))
        case .writeFileRecord: self = .writeFileRecords(try FileRecord.read(&rest))
        case .maskWriteRegister:
            guard let (address, and, or) = rest.readMultipleIntegers(as: (UInt16, UInt16, UInt16).self),
                rest.readableBytes == 0
            else { throw .illegalDataValue }
            self = .maskWriteRegister(address: address, and: and, or: or)
        case .readWriteMultipleRegisters: self = try Self.readWrite(&rest)
        case .readFIFOQueue:
            guard let address = rest.readInteger(as: UInt16.self), rest.readableBytes == 0 else {
                throw .illegalDataValue
            }
            self = .readFIFOQueue(address: address)
        case .encapsulatedInterface: self = try Self.identification(&rest)
        default: throw .illegalFunction
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
        let (start, values) = try startAndRegisters(&rest, atMost: ModbusLimits.maximumWriteRegisters)
        _ = try range(start, UInt16(values.count), atMost: ModbusLimits.maximumWriteRegisters)
        return .writeRegisters(start: start, values: values)
    }

    private static func readWrite(_ rest: inout ByteBuffer) throws(ModbusException) -> ModbusRequest {
        let (first, count) = try addressAndNumber(&rest, isLast: false)
        let (start, values) = try startAndRegisters(&rest, atMost: ModbusLimits.maximumReadWriteRegisters)
        let read = try range(first, count, atMost: ModbusLimits.maximumReadRegisters)
        _ = try range(start, UInt16(values.count), atMost: ModbusLimits.maximumReadWriteRegisters)
        return .readWriteRegisters(read, start: start, values: values)
    }

    /// A sub-function without a known answer does not exist here: 01, before anything else is looked at.
    private static func diagnostics(_ rest: inout ByteBuffer) throws(ModbusException) -> ModbusRequest {
        guard let number = rest.readInteger(as: UInt16.self) else { throw .illegalDataValue }
        let function = DiagnosticFunction(rawValue: number)
        guard function.isAnswered else { throw .illegalFunction }
        guard let data = RegisterPacking.read(rest.readableBytesView, count: rest.readableBytes / 2),
            function.accepts(data)
        else { throw .illegalDataValue }
        return .diagnostics(function, data: data)
    }

    /// Of the types of function 43 only 14 is known; another one is an unknown function.
    private static func identification(_ rest: inout ByteBuffer) throws(ModbusException) -> ModbusRequest {
        guard let type = rest.readInteger(as: UInt8.self) else { throw .illegalDataValue }
        guard type == identificationType else { throw .illegalFunction }
        guard let (code, object) = rest.readMultipleIntegers(as: (UInt8, UInt8).self), rest.readableBytes == 0,
            let access = DeviceIdentification.Access(rawValue: code)
        else { throw .illegalDataValue }
        return .readDeviceIdentification(access, DeviceIdentification.ObjectID(rawValue: object))
    }

    private static func bare(_ request: ModbusRequest, _ rest: ByteBuffer) throws(ModbusException) -> ModbusRequest {
        guard rest.readableBytes == 0 else { throw .illegalDataValue }
        return request
    }

    private static func addressAndNumber(
        _ rest: inout ByteBuffer, isLast: Bool
    ) throws(ModbusException) -> (UInt16, UInt16) {
        guard let pair = rest.readMultipleIntegers(as: (UInt16, UInt16).self),
            !isLast || rest.readableBytes == 0
        else { throw .illegalDataValue }
        return pair
    }

    /// A start address, a quantity, a byte count and as many registers as both say, which end the PDU. The addresses
    /// are not looked at.
    private static func startAndRegisters(
        _ rest: inout ByteBuffer, atMost maximum: Int
    ) throws(ModbusException) -> (UInt16, [UInt16]) {
        let (start, count) = try addressAndNumber(&rest, isLast: false)
        try checkQuantity(count, atMost: maximum)
        guard rest.readInteger(as: UInt8.self).map(Int.init) == rest.readableBytes,
            let values = RegisterPacking.read(rest.readableBytesView, count: Int(count))
        else { throw .illegalDataValue }
        return (start, values)
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
