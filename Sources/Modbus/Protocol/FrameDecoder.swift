public import NIOCore

/// Cuts a byte stream into frames, whatever pieces it arrives in.
///
/// It holds at most one incomplete frame (less than 260 bytes) beyond what was appended last, and copies only that.
public struct FrameDecoder: Sendable {
    /// What the bytes received so far begin with.
    public enum Step: Hashable, Sendable {
        /// Nothing complete; append more.
        case needMoreBytes
        /// The next frame, now consumed.
        case frame(ModbusFrame)
        /// The stream is no Modbus stream from here on. The decoder stays in this state.
        case poisoned(MBAPHeader.Fault)
    }

    private var buffer = ByteBuffer()
    private var fault: MBAPHeader.Fault?

    public init() {}

    /// Whether an incomplete frame is waiting for the rest of its bytes.
    public var hasPartialFrame: Bool {
        buffer.readableBytes > 0
    }

    /// Adds bytes as they were received. Call ``next()`` until it asks for more before appending again; otherwise
    /// memory grows with what is appended.
    public mutating func append(_ bytes: ByteBuffer) {
        guard fault == nil else { return }
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            // The partial frame moves to a buffer of its own: the received one may be large and reused.
            var joined = ByteBuffer()
            joined.reserveCapacity(buffer.readableBytes + bytes.readableBytes)
            joined.writeImmutableBuffer(buffer)
            joined.writeImmutableBuffer(bytes)
            buffer = joined
        }
    }

    /// Takes the next frame out of the stream.
    public mutating func next() -> Step {
        if let fault { return .poisoned(fault) }
        switch MBAPHeader.judge(buffer) {
        case .incomplete:
            // An empty rest still shares memory with the receive buffer, which its owner wants to use again.
            if buffer.readableBytes == 0 { buffer = ByteBuffer() }
            return .needMoreBytes
        case .faulty(let fault):
            self.fault = fault
            buffer = ByteBuffer()
            return .poisoned(fault)
        case .complete(let header):
            buffer.moveReaderIndex(forwardBy: ModbusLimits.headerSize)
            guard let pdu = buffer.readSlice(length: header.pduSize) else { return .needMoreBytes }
            return .frame(ModbusFrame(header: header, pdu: pdu))
        }
    }
}
