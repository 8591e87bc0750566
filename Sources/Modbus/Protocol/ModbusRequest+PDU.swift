public import NIOCore

extension ModbusRequest {
    /// What function 05 sends for "on" (§6.5); "off" is 0000 and nothing else is legal.
    static let coilOn: UInt16 = 0xFF00
    /// The type of function 43 that reads the device identification (§6.21).
    static let identificationType: UInt8 = 0x0E
    /// What every sub-request for file records says: 06 (§6.14).
    static let fileReferenceType: UInt8 = 6
    /// Bytes of one sub-request that reads file records, and of the head of one that writes them.
    static let fileReadSize = 7

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
            Self.write(range, to: &buffer)
        case .writeCoil(let address, let value):
            buffer.writeMultipleIntegers(address, value ? Self.coilOn : 0)
        case .writeRegister(let address, let value):
            buffer.writeMultipleIntegers(address, value)
        case .writeCoils(let start, let values):
            buffer.writeMultipleIntegers(start, UInt16(truncatingIfNeeded: values.count))
            buffer.writeInteger(UInt8(truncatingIfNeeded: ModbusLimits.byteCount(forBits: values.count)))
            BitPacking.write(values, to: &buffer)
        case .writeRegisters(let start, let values):
            Self.write(start, values, to: &buffer)
        case .readExceptionStatus, .getCommEventCounter, .reportServerID:
            break
        case .diagnostics(let function, let data):
            buffer.writeInteger(function.rawValue)
            RegisterPacking.write(data, to: &buffer)
        case .readFileRecords(let ranges):
            FileRecordRange.write(ranges, to: &buffer)
        case .writeFileRecords(let records):
            FileRecord.write(records, to: &buffer)
        case .maskWriteRegister(let address, let and, let or):
            buffer.writeMultipleIntegers(address, and, or)
        case .readWriteRegisters(let range, let start, let values):
            Self.write(range, to: &buffer)
            Self.write(start, values, to: &buffer)
        case .readFIFOQueue(let address):
            buffer.writeInteger(address)
        case .readDeviceIdentification(let access, let object):
            buffer.writeMultipleIntegers(Self.identificationType, access.rawValue, object.rawValue)
        case .raw(let request):
            buffer.writeBytes(request.data)
        }
    }

    private static func write(_ range: AddressRange, to buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(range.start, UInt16(truncatingIfNeeded: range.count))
    }

    private static func write(_ start: UInt16, _ values: [UInt16], to buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(start, UInt16(truncatingIfNeeded: values.count))
        buffer.writeInteger(UInt8(truncatingIfNeeded: 2 * values.count))
        RegisterPacking.write(values, to: &buffer)
    }
}
