import NIOCore

/// Drives a ``ServerSession`` with one connection's bytes.
///
/// Answers of one read go out in one write. While the peer does not take them, nothing more is read from it: what it
/// can make this server hold is the answers to one read.
final class ServerChannelHandler: ChannelDuplexHandler, ServedConnection {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What a connection keeps for its next answers, in bytes. A larger buffer, left over from a burst, is given back.
    static let keptCapacity = 4096

    private let device: any ModbusDevice
    let registry: ServerRegistry
    var isIdle = false
    private var session = ServerSession()
    private var out = ByteBuffer()
    private var isReadPending = false

    /// The room held for answers, in bytes.
    var capacity: Int {
        out.capacity
    }

    init(device: any ModbusDevice, registry: ServerRegistry) {
        self.device = device
        self.registry = registry
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let requests = session.requests
        let exceptions = session.exceptions
        let verdict = session.received(unwrapInboundIn(data), device: device, out: &out)
        registry.count {
            $0.requests += session.requests - requests
            $0.exceptions += session.exceptions - exceptions
        }
        if case .close = verdict {
            registry.count { $0.malformedHeaders += 1 }
            writeAnswers(context)
            context.close(promise: nil)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        writeAnswers(context)
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            context.read()
        } else {
            isReadPending = true
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if isReadPending, context.channel.isWritable {
            isReadPending = false
            context.read()
        }
        context.fireChannelWritabilityChanged()
    }

    private func writeAnswers(_ context: ChannelHandlerContext) {
        guard out.readableBytes > 0 else { return }
        context.writeAndFlush(wrapOutboundOut(out), promise: nil)
        if out.capacity > Self.keptCapacity { out = ByteBuffer() } else { out.clear() }
    }
}
