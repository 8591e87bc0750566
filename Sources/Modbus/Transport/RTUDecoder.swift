import NIOCore

/// Cuts a byte stream into RTU frames, whatever pieces it arrives in. The counterpart of ``FrameDecoder``.
///
/// It holds at most one incomplete frame (less than 256 bytes) beyond what was appended last.
struct RTUDecoder: Sendable {
    /// Who sent the stream.
    enum Sender: Sendable {
        case client
        case server
    }

    struct Frame: Hashable, Sendable {
        let unit: UInt8
        let pdu: ByteBuffer
    }

    /// What the bytes received so far begin with.
    enum Step: Hashable {
        /// Nothing complete; append more.
        case needMoreBytes
        /// The next frame, now consumed.
        case frame(Frame)
        /// From here on the stream cannot be followed. The decoder stays in this state.
        case poisoned(RTUFault)
    }

    private static let checksumSize = 2

    let sender: Sender
    /// How long the answer to function 08 is.
    var diagnosticsSize = 5
    private var buffer = ByteBuffer()
    private var fault: RTUFault?

    init(from sender: Sender) {
        self.sender = sender
    }

    var hasPartialFrame: Bool {
        buffer.readableBytes > 0
    }

    /// Adds bytes as they were received. Call ``next()`` until it asks for more before appending again.
    mutating func append(_ bytes: ByteBuffer) {
        guard fault == nil else { return }
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            buffer.writeImmutableBuffer(bytes)
            buffer.discardReadBytes()
        }
    }

    /// Takes the next frame out of the stream.
    mutating func next() -> Step {
        if let fault { return .poisoned(fault) }
        var rest = buffer
        guard let unit = rest.readInteger(as: UInt8.self) else { return .needMoreBytes }
        switch sender == .client ? RTULength.request(rest) : .response(rest, diagnostics: diagnosticsSize) {
        case .incomplete:
            return .needMoreBytes
        case .unknown:
            return poison(.function(rest.getInteger(at: rest.readerIndex) ?? 0))
        case .known(let size):
            guard size <= ModbusLimits.maximumPDUSize else { return poison(.length(size)) }
            guard rest.readableBytes >= size + Self.checksumSize else { return .needMoreBytes }
            return take(unit: unit, size: size)
        }
    }

    private mutating func take(unit: UInt8, size: Int) -> Step {
        let expected = RTUChecksum.of(buffer.readableBytesView.prefix(1 + size))
        buffer.moveReaderIndex(forwardBy: 1)
        guard let pdu = buffer.readSlice(length: size),
            let found = buffer.readInteger(endianness: .little, as: UInt16.self)
        else { return .needMoreBytes }
        guard found == expected else { return poison(.checksum(found, expected: expected)) }
        return .frame(Frame(unit: unit, pdu: pdu))
    }

    private mutating func poison(_ fault: RTUFault) -> Step {
        self.fault = fault
        buffer = ByteBuffer()
        return .poisoned(fault)
    }
}

extension ByteBuffer {
    /// Appends one RTU frame.
    mutating func writeRTUFrame(unit: UInt8, pdu: ByteBuffer) {
        let start = writerIndex
        writeInteger(unit)
        writeImmutableBuffer(pdu)
        let checksum = RTUChecksum.of(
            viewBytes(at: start, length: 1 + pdu.readableBytes) ?? ByteBuffer().readableBytesView)
        writeInteger(checksum, endianness: .little)
    }

    /// Appends one Modbus TCP frame of bytes that were judged already.
    mutating func writeModbusFrame(transaction: UInt16, unit: UInt8, pdu: ByteBuffer) {
        writeInteger(transaction)
        writeInteger(0, as: UInt16.self)
        writeInteger(UInt16(truncatingIfNeeded: 1 + pdu.readableBytes))
        writeInteger(unit)
        writeImmutableBuffer(pdu)
    }
}
