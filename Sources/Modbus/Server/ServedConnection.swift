import NIOCore

/// How a served connection ends by itself, the same for every handler that may stand at the end of its pipeline: when
/// its peer has been silent for too long, and when something went wrong on it.
protocol ServedConnection: ChannelInboundHandler {
    var registry: ServerRegistry { get }
    /// Whether it is being closed because its peer was silent: waiting for the goodbye of TLS it goes on to be silent.
    var isIdle: Bool { get set }
}

extension ServedConnection {
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is IdleStateHandler.IdleStateEvent else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        guard !isIdle else { return }
        isIdle = true
        registry.count { $0.idleClosed += 1 }
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
