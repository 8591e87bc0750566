public import NIOCore

/// Why bytes are not the answer to a request.
public struct ResponseMismatch: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was expected and what came, in words.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}

extension ModbusResponse {
    /// Appends function code and data.
    func writePDU(to buffer: inout ByteBuffer) {
        if case .exception(let function, let code) = self {
            buffer.writeInteger(function.exceptionByte)
            buffer.writeInteger(code.rawValue)
            return
        }
        buffer.writeInteger(function.rawValue)
        switch self {
        case .exception:
            break
        case .bits(_, let bits):
            buffer.writeInteger(UInt8(truncatingIfNeeded: ModbusLimits.byteCount(forBits: bits.count)))
            BitPacking.write(bits, to: &buffer)
        case .registers(_, let registers):
            buffer.writeInteger(UInt8(truncatingIfNeeded: 2 * registers.count))
            RegisterPacking.write(registers, to: &buffer)
        case .wroteCoil(let address, let value):
            buffer.writeInteger(address)
            buffer.writeInteger(value ? ModbusRequest.coilOn : 0)
        case .wroteRegister(let address, let value):
            buffer.writeInteger(address)
            buffer.writeInteger(value)
        case .wroteCoils(let range), .wroteRegisters(let range):
            buffer.writeInteger(range.start)
            buffer.writeInteger(UInt16(truncatingIfNeeded: range.count))
        }
    }

    /// Appends function code and data of the answer to `request`.
    ///
    /// - Throws: ``ResponseMismatch`` when this is not an answer to `request`; nothing is appended.
    public func encodePDU(into buffer: inout ByteBuffer, answering request: ModbusRequest) throws(ResponseMismatch) {
        if let mismatch = mismatch(with: request) { throw mismatch }
        writePDU(to: &buffer)
    }

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
        case .writeCoil, .writeRegister, .writeCoils, .writeRegisters:
            self = try Self.echo(rest, of: request)
        }
    }

    private static func values(
        _ rest: inout ByteBuffer, _ table: DataTable, _ count: Int
    ) throws(ResponseMismatch) -> ModbusResponse {
        let expected = table.isBits ? ModbusLimits.byteCount(forBits: count) : 2 * count
        let declared = rest.readInteger(as: UInt8.self)
        guard declared.map(Int.init) == expected, rest.readableBytes == expected else {
            throw ResponseMismatch(
                "byte count \(declared.map(String.init) ?? "missing") and \(rest.readableBytes) bytes of data for "
                    + "\(count) \(table); \(expected) were expected")
        }
        if table.isBits {
            guard let bits = BitPacking.read(rest.readableBytesView, count: count) else {
                throw ResponseMismatch("a padding bit behind the \(count) \(table) is set")
            }
            return .bits(table, bits)
        }
        return .registers(table, RegisterPacking.read(rest.readableBytesView, count: count) ?? [])
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

    private static func hex(_ bytes: ByteBuffer) -> String {
        bytes.readableBytesView.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }
}
