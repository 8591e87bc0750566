import NIOCore

/// Sits in a listener and accepts no further connection while `limit` of them are open, so that those who come wait in
/// the operating system's backlog.
final class AcceptGate: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias OutboundIn = Never

    private let limit: Int
    private var open = 0
    private var isReadPending = false

    init(limit: Int) {
        self.limit = limit
    }

    func read(context: ChannelHandlerContext) {
        if open < limit { context.read() } else { isReadPending = true }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        open += 1
        let gate = NIOLoopBound(self, eventLoop: context.eventLoop)
        let context = NIOLoopBound(context, eventLoop: context.eventLoop)
        unwrapInboundIn(data).closeFuture.hop(to: context.eventLoop).whenComplete { _ in
            gate.value.connectionClosed(context.value)
        }
        context.value.fireChannelRead(data)
    }

    private func connectionClosed(_ context: ChannelHandlerContext) {
        open -= 1
        guard isReadPending, open < limit else { return }
        isReadPending = false
        context.read()
    }
}
