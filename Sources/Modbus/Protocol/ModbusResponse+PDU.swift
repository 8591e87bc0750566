public import NIOCore

extension ModbusResponse {
    /// Appends function code and data of a response that was checked.
    func writePDU(to buffer: inout ByteBuffer) {
        if case .exception(let function, let code) = self {
            buffer.writeMultipleIntegers(function.exceptionByte, code.rawValue)
            return
        }
        buffer.writeInteger(function.rawValue)
        switch self {
        case .exception:
            break
        case .bits(_, let bits):
            buffer.writeInteger(UInt8(truncatingIfNeeded: ModbusLimits.byteCount(forBits: bits.count)))
            BitPacking.write(bits, to: &buffer)
        case .registers(_, let registers), .readWroteRegisters(let registers):
            buffer.writeInteger(UInt8(truncatingIfNeeded: 2 * registers.count))
            RegisterPacking.write(registers, to: &buffer)
        case .wroteCoil(let address, let value):
            buffer.writeMultipleIntegers(address, value ? ModbusRequest.coilOn : 0)
        case .wroteRegister(let address, let value):
            buffer.writeMultipleIntegers(address, value)
        case .wroteCoils(let range), .wroteRegisters(let range):
            buffer.writeMultipleIntegers(range.start, UInt16(truncatingIfNeeded: range.count))
        case .exceptionStatus(let status):
            buffer.writeInteger(status)
        case .diagnostics(let function, let data):
            buffer.writeInteger(function.rawValue)
            RegisterPacking.write(data, to: &buffer)
        case .commEventCounter(let counter):
            buffer.writeMultipleIntegers(counter.status, counter.events)
        case .serverID(let bytes):
            buffer.writeInteger(UInt8(truncatingIfNeeded: bytes.count))
            buffer.writeBytes(bytes)
        case .fileRecords(let groups):
            FileRecord.write(groups, to: &buffer)
        case .wroteFileRecords(let records):
            FileRecord.write(records, to: &buffer)
        case .maskedRegister(let address, let and, let or):
            buffer.writeMultipleIntegers(address, and, or)
        case .fifoQueue(let words):
            buffer.writeInteger(UInt16(truncatingIfNeeded: 2 + 2 * words.count))
            buffer.writeInteger(UInt16(truncatingIfNeeded: words.count))
            RegisterPacking.write(words, to: &buffer)
        case .deviceIdentification(let page):
            page.write(to: &buffer)
        case .raw(_, let data):
            buffer.writeBytes(data)
        }
    }

    /// Appends function code and data of the answer to `request`.
    ///
    /// - Throws: ``ResponseMismatch`` when this is not an answer to `request`; nothing is appended.
    public func encodePDU(into buffer: inout ByteBuffer, answering request: ModbusRequest) throws(ResponseMismatch) {
        if let mismatch = mismatch(with: request) { throw mismatch }
        writePDU(to: &buffer)
    }
}
