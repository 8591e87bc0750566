public import NIOCore

extension ModbusResponse {
    /// Decodes the PDU that fills `pdu` exactly as the answer to `request`: function, quantity, byte count, padding
    /// bits and the echo of a write must all be right. An exception to the function is an answer, too.
    ///
    /// - Throws: ``ResponseMismatch`` with what is wrong.
    public init(decodingPDU pdu: ByteBuffer, answering request: ModbusRequest) throws(ResponseMismatch) {
        var rest = pdu
        guard let byte = rest.readInteger(as: UInt8.self) else { throw ResponseMismatch("the answer is empty") }
        let function = request.function
        if byte == function.exceptionByte {
            guard let code = rest.readInteger(as: UInt8.self), rest.readableBytes == 0 else {
                throw ResponseMismatch("an exception response of \(pdu.readableBytes) bytes; it has 2")
            }
            self = .exception(function, ExceptionCode(rawValue: code))
            return
        }
        guard byte == function.rawValue else {
            throw ResponseMismatch("an answer to \(FunctionCode(rawValue: byte)) came for \(function)")
        }
        switch request {
        case .read(let table, let range):
            self = try Self.values(&rest, table, range.count)
        case .readWriteRegisters(let range, _, _):
            self = .readWroteRegisters(try Self.registers(&rest, range.count, .holdingRegisters))
        case .readExceptionStatus:
            guard let status = rest.readInteger(as: UInt8.self), rest.readableBytes == 0 else {
                throw Self.wrongSize(pdu, "2")
            }
            self = .exceptionStatus(status)
        case .getCommEventCounter:
            guard let (status, events) = rest.readMultipleIntegers(as: (UInt16, UInt16).self), rest.readableBytes == 0
            else { throw Self.wrongSize(pdu, "5") }
            self = .commEventCounter(CommEventCounter(status: status, events: events))
        case .reportServerID:
            guard rest.readInteger(as: UInt8.self).map(Int.init) == rest.readableBytes else {
                throw Self.wrongSize(pdu, "as many as its byte count says")
            }
            self = .serverID(Array(rest.readableBytesView))
        case .diagnostics(let asked, _) where asked.returnsWord:
            guard let (number, word) = rest.readMultipleIntegers(as: (UInt16, UInt16).self), rest.readableBytes == 0
            else { throw Self.wrongSize(pdu, "5") }
            self = .diagnostics(DiagnosticFunction(rawValue: number), data: [word])
            if let mismatch = mismatch(with: request) { throw mismatch }
        case .readFileRecords(let ranges):
            self = .fileRecords(try FileRecord.read(&rest, answering: ranges))
        case .readFIFOQueue:
            self = .fifoQueue(try Self.queue(&rest))
        case .readDeviceIdentification(let access, let object):
            self = .deviceIdentification(try DeviceIdentification.Page(&rest, answering: access, object))
        case .raw:
            guard rest.readableBytes <= ModbusLimits.maximumRawData else { throw Self.wrongSize(pdu, "at most 253") }
            self = .raw(function, Array(rest.readableBytesView))
        case .writeCoil, .writeRegister, .writeCoils, .writeRegisters, .maskWriteRegister, .writeFileRecords,
            .diagnostics:
            self = try Self.echo(rest, of: request)
        }
    }

    private static func values(
        _ rest: inout ByteBuffer, _ table: DataTable, _ count: Int
    ) throws(ResponseMismatch) -> ModbusResponse {
        guard table.isBits else { return .registers(table, try registers(&rest, count, table)) }
        try checkByteCount(&rest, ModbusLimits.byteCount(forBits: count), count, table)
        guard let bits = BitPacking.read(rest.readableBytesView, count: count) else {
            throw ResponseMismatch("a padding bit behind the \(count) \(table) is set")
        }
        return .bits(table, bits)
    }

    private static func registers(
        _ rest: inout ByteBuffer, _ count: Int, _ table: DataTable
    ) throws(ResponseMismatch) -> [UInt16] {
        try checkByteCount(&rest, 2 * count, count, table)
        return RegisterPacking.read(rest.readableBytesView, count: count) ?? []
    }

    private static func checkByteCount(
        _ rest: inout ByteBuffer, _ expected: Int, _ count: Int, _ table: DataTable
    ) throws(ResponseMismatch) {
        let declared = rest.readInteger(as: UInt8.self)
        guard declared.map(Int.init) == expected, rest.readableBytes == expected else {
            throw ResponseMismatch(
                "byte count \(declared.map(String.init) ?? "missing") and \(rest.readableBytes) bytes of data for "
                    + "\(count) \(table); \(expected) were expected")
        }
    }

    private static func queue(_ rest: inout ByteBuffer) throws(ResponseMismatch) -> [UInt16] {
        guard let (byteCount, count) = rest.readMultipleIntegers(as: (UInt16, UInt16).self),
            count <= ModbusLimits.maximumFIFOCount, byteCount == 2 + 2 * count,
            let words = RegisterPacking.read(rest.readableBytesView, count: Int(count))
        else {
            throw ResponseMismatch(
                "a FIFO queue whose byte count, count and data do not agree, or with more than 31 words")
        }
        return words
    }

    private static func echo(_ rest: ByteBuffer, of request: ModbusRequest) throws(ResponseMismatch) -> ModbusResponse {
        guard let expected = ModbusResponse(acknowledging: request) else {
            throw ResponseMismatch("the request cannot have been sent")
        }
        var wanted = ByteBuffer()
        expected.writePDU(to: &wanted)
        wanted.moveReaderIndex(forwardBy: 1)
        guard rest == wanted else {
            throw ResponseMismatch("the echo \(hex(rest)) where \(hex(wanted)) was expected")
        }
        return expected
    }

    private static func wrongSize(_ pdu: ByteBuffer, _ wanted: String) -> ResponseMismatch {
        ResponseMismatch("an answer of \(pdu.readableBytes) bytes; it has \(wanted)")
    }

    private static func hex(_ bytes: ByteBuffer) -> String {
        bytes.readableBytesView.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }
}
