import NIOCore

/// Cuts what a connection sends into requests, as strictly or as loosely as the device does it.
enum RequestCutter: Sendable {
    /// By the header's length field.
    case byLength(FrameDecoder)
    /// By what the function says, whatever the length field says. Holds the bytes not yet cut.
    case byFunction(ByteBuffer)

    init(_ quirks: DeviceQuirks) {
        self = quirks.ignoresLength ? .byFunction(ByteBuffer()) : .byLength(FrameDecoder())
    }

    mutating func append(_ bytes: ByteBuffer) {
        switch self {
        case .byLength(var decoder):
            decoder.append(bytes)
            self = .byLength(decoder)
        case .byFunction(var buffer):
            // What is left stays below one frame, unless the device does not read on.
            var joined = ByteBuffer()
            joined.writeBuffer(&buffer)
            joined.writeImmutableBuffer(bytes)
            self = .byFunction(joined)
        }
    }

    mutating func next() -> FrameDecoder.Step {
        switch self {
        case .byLength(var decoder):
            let step = decoder.next()
            self = .byLength(decoder)
            return step
        case .byFunction(var buffer):
            guard let frame = Self.frame(&buffer) else { return .needMoreBytes }
            self = .byFunction(buffer)
            return .frame(frame)
        }
    }

    private static func frame(_ buffer: inout ByteBuffer) -> ModbusFrame? {
        let start = buffer.readerIndex
        guard let transaction = buffer.getInteger(at: start, as: UInt16.self),
            let length = buffer.getInteger(at: start + 4, as: UInt16.self),
            let unit = buffer.getInteger(at: start + 6, as: UInt8.self),
            let function = buffer.getInteger(at: start + 7, as: UInt8.self),
            let size = pduSize(function, declared: Int(length) - 1, buffer),
            buffer.readableBytes >= ModbusLimits.headerSize + size,
            let header = MBAPHeader(transaction: transaction, unit: UnitID(unit), pduSize: size)
        else { return nil }
        buffer.moveReaderIndex(forwardBy: ModbusLimits.headerSize)
        return buffer.readSlice(length: size).map { ModbusFrame(header: header, pdu: $0) }
    }

    /// The size of a function's request, nil while the byte that says it has not come.
    private static func pduSize(_ function: UInt8, declared: Int, _ buffer: ByteBuffer) -> Int? {
        func counted(at offset: Int) -> Int? {
            let index = buffer.readerIndex + ModbusLimits.headerSize + offset
            let count = buffer.getInteger(at: index, as: UInt8.self)
            return count.map { min(offset + 1 + Int($0), ModbusLimits.maximumPDUSize) }
        }
        switch function {
        case 1...6: return 5
        case 7, 17: return 1
        case 15, 16: return counted(at: 5)
        case 22: return 7
        case 23: return counted(at: 9)
        default: return min(max(declared, 1), ModbusLimits.maximumPDUSize)
        }
    }
}

extension RequestCutter {
    /// Forgets the bytes behind the requests taken so far; those of a first request that is not complete are kept.
    mutating func dropWhatFollows(_ quirks: DeviceQuirks) {
        if case .frame = next() { self = RequestCutter(quirks) }
    }
}
