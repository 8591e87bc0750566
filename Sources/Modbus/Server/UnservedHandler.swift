import NIOCore

/// A connection beyond a server's limit that is kept without being served: what it sends is read and forgotten.
final class UnservedHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let closesAtFirstBytes: Bool

    init(closesAtFirstBytes: Bool) {
        self.closesAtFirstBytes = closesAtFirstBytes
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if closesAtFirstBytes { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
