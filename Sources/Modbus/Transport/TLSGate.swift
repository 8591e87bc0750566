import NIOCore
import NIOSSL
import NIOTLS

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Stands behind the TLS handler of a connection until the handshake is over: it says how that ended and closes a
/// connection whose handshake failed or took too long.
final class TLSGate: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// How the handshake ended, for whoever waits for it.
    let outcome: EventLoopFuture<Void>?
    private let limit: NIODeadline
    private let onEnd: (ChannelHandlerContext, Result<Void, TLSProblem>) throws -> Void
    private var alarm: Scheduled<Void>?
    private var isOver = false

    /// - Parameters:
    ///   - limit: when the handshake must be over.
    ///   - outcome: kept for whoever waits for it.
    ///   - onEnd: called once on the event loop. What it throws closes the connection.
    init(
        limit: NIODeadline, outcome: EventLoopFuture<Void>? = nil,
        onEnd: @escaping (ChannelHandlerContext, Result<Void, TLSProblem>) throws -> Void
    ) {
        self.limit = limit
        self.outcome = outcome
        self.onEnd = onEnd
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = NIOLoopBound(context, eventLoop: context.eventLoop)
        let gate = NIOLoopBound(self, eventLoop: context.eventLoop)
        alarm = context.eventLoop.scheduleTask(deadline: limit) {
            gate.value.fail(channel.value, TLSProblem("the peer did not finish the TLS handshake in time"))
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end(context, .failure(TLSProblem("the connection ended during the TLS handshake")))
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted = event as? TLSUserEvent { end(context, .success(())) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(context, .failure(TLSProblem("the peer closed the connection during the TLS handshake")))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !isOver else {
            context.fireErrorCaught(error)
            return
        }
        let peer = try? context.pipeline.syncOperations.nioSSL_peerCertificate()
        let certificate = peer.map {
            TLSFailure.Certificate(validFrom: Int($0.notValidBefore), validUntil: Int($0.notValidAfter))
        }
        fail(context, TLSProblem(TLSFailure.reason(error, peer: certificate, now: time(nil))))
    }

    private func fail(_ context: ChannelHandlerContext, _ problem: TLSProblem) {
        end(context, .failure(problem))
        TLSGate.closeAtOnce(context.channel)
    }

    private func end(_ context: ChannelHandlerContext, _ result: Result<Void, TLSProblem>) {
        guard !isOver else { return }
        isOver = true
        alarm?.cancel()
        alarm = nil
        do {
            try onEnd(context, result)
        } catch {
            TLSGate.closeAtOnce(context.channel)
        }
    }

    /// Closes the socket without the goodbye of TLS, for which the TLS handler would wait.
    static func closeAtOnce(_ channel: any Channel) {
        if let tls = try? channel.pipeline.syncOperations.context(handlerType: NIOSSLHandler.self) {
            tls.close(promise: nil)
        } else {
            channel.close(promise: nil)
        }
    }
}
