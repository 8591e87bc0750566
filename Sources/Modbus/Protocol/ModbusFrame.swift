public import NIOCore

/// One complete application data unit: its header and the bytes of its PDU.
public struct ModbusFrame: Hashable, Sendable {
    /// The header.
    public let header: MBAPHeader
    /// Function code and data, exactly as many bytes as the header says. Shares memory with what was received.
    public let pdu: ByteBuffer

    /// The first byte of the PDU, exception bit included.
    public var functionByte: UInt8 {
        pdu.getInteger(at: pdu.readerIndex) ?? 0
    }

    /// The frame as it was on the wire: a sound header has only one form.
    var bytes: ByteBuffer {
        var whole = ByteBuffer()
        whole.reserveCapacity(ModbusLimits.headerSize + pdu.readableBytes)
        header.write(to: &whole)
        whole.writeImmutableBuffer(pdu)
        return whole
    }
}

extension ByteBuffer {
    /// Appends one complete request frame in one piece.
    ///
    /// - Throws: ``ModbusError/Code/invalidRequest(_:)`` when no frame can carry the request; nothing is appended.
    public mutating func writeModbusRequest(
        _ request: ModbusRequest, transaction: UInt16, unit: UnitID
    ) throws(ModbusError) {
        try request.checked()
        writeModbusFrame(transaction: transaction, unit: unit) { request.writePDU(to: &$0) }
    }

    /// Appends one complete response frame in one piece. The response must have been checked against its request,
    /// see ``ModbusResponse/mismatch(with:)``.
    mutating func writeModbusResponse(_ response: ModbusResponse, transaction: UInt16, unit: UnitID) {
        writeModbusFrame(transaction: transaction, unit: unit) { response.writePDU(to: &$0) }
    }

    /// Writes the header with a length of 0, the PDU, and then the length.
    private mutating func writeModbusFrame(
        transaction: UInt16, unit: UnitID, pdu: (inout ByteBuffer) -> Void
    ) {
        writeInteger(transaction)
        writeInteger(0, as: UInt16.self)
        let lengthIndex = writerIndex
        writeInteger(0, as: UInt16.self)
        writeInteger(unit.rawValue)
        pdu(&self)
        let length = UInt16(truncatingIfNeeded: writerIndex - lengthIndex - 2)
        setInteger(length, at: lengthIndex)
    }
}
