import NIOCore

/// Stands between a stream of RTU frames and a side that speaks Modbus TCP: gives frames their transaction, and takes
/// it away again. So everything else is the same for both framings.
struct RTUTranslator: Sendable {
    private struct Question {
        let transaction: UInt16
        let unit: UInt8
        let function: UInt8
    }

    private var decoder: RTUDecoder
    /// Cuts what goes out into frames.
    private var outgoing = FrameDecoder()
    /// A client's request that was not answered yet.
    private var question: Question?
    /// A server's next transaction.
    private var transaction: UInt16 = 0

    /// - Parameter sender: who is at the other end.
    init(from sender: RTUDecoder.Sender) {
        decoder = RTUDecoder(from: sender)
    }

    /// Bytes of the other end.
    ///
    /// - Returns: the frames that they complete, as Modbus TCP.
    mutating func received(_ bytes: ByteBuffer) throws(RTUFault) -> ByteBuffer {
        decoder.append(bytes)
        var frames = ByteBuffer()
        while true {
            switch decoder.next() {
            case .needMoreBytes:
                return frames
            case .poisoned(let fault):
                throw fault
            case .frame(let frame):
                frames.writeModbusFrame(transaction: try transaction(of: frame), unit: frame.unit, pdu: frame.pdu)
            }
        }
    }

    /// Complete Modbus TCP frames of this side.
    ///
    /// - Returns: the same as RTU frames.
    mutating func sent(_ bytes: ByteBuffer) throws(RTUFault) -> ByteBuffer {
        outgoing.append(bytes)
        var frames = ByteBuffer()
        while case .frame(let frame) = outgoing.next() {
            let unit = frame.header.unit.rawValue
            switch decoder.sender {
            case .server:
                guard question == nil else { throw .busy }
                // Those bytes came before the request: taken for the beginning of its answer, they could complete the
                // copy of an older one.
                guard !decoder.hasPartialFrame else { throw .unexpected }
                guard case .known = RTULength.request(frame.pdu) else { throw .function(frame.functionByte) }
                question = Question(
                    transaction: frame.header.transaction, unit: unit, function: frame.functionByte)
                decoder.diagnosticsSize = frame.pdu.readableBytes
            case .client:
                // Nobody answers a broadcast (MODBUS over Serial Line V1.02 §2.1).
                if unit == 0 { continue }
            }
            frames.writeRTUFrame(unit: unit, pdu: frame.pdu)
        }
        return frames
    }

    private mutating func transaction(of frame: RTUDecoder.Frame) throws(RTUFault) -> UInt16 {
        switch decoder.sender {
        case .client:
            transaction &+= 1
            return transaction
        case .server:
            guard let question else { throw .unexpected }
            let function: UInt8 = frame.pdu.getInteger(at: frame.pdu.readerIndex) ?? 0
            guard frame.unit == question.unit, function & ~FunctionCode.exceptionBit == question.function else {
                throw .mismatch(unit: frame.unit, function: function)
            }
            self.question = nil
            return question.transaction
        }
    }
}

/// An ``RTUTranslator`` in a channel's pipeline, in front of the side that speaks Modbus TCP.
final class RTUHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var translator: RTUTranslator

    init(from sender: RTUDecoder.Sender) {
        translator = RTUTranslator(from: sender)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        do throws(RTUFault) {
            let frames = try translator.received(unwrapInboundIn(data))
            if frames.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(frames)) }
        } catch {
            context.fireErrorCaught(error)
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        do throws(RTUFault) {
            let frames = try translator.sent(unwrapOutboundIn(data))
            context.write(wrapOutboundOut(frames), promise: promise)
        } catch {
            promise?.fail(error)
            context.fireErrorCaught(error)
        }
    }
}
