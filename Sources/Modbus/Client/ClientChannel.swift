import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// How a client's TCP connection is made.
enum ClientChannel {
    /// A bootstrap with every socket option, so that each connection has them, the tenth as well as the first.
    static func bootstrap(
        _ configuration: ModbusClient.Configuration, on eventLoop: any EventLoop, driver: ClientDriver
    ) -> ClientBootstrap {
        let driver = NIOLoopBound(driver, eventLoop: eventLoop)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(configuration.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ClientChannelHandler(driver: driver.value))
                }
            }
        return linuxOptions(configuration).reduce(bootstrap) { bootstrap, option in
            bootstrap.channelOption(option.0, value: option.1)
        }
    }

    /// Keep-alive probes after 10 s of silence, and no waiting for acknowledgements beyond the progress timeout: the
    /// second line of defence against a peer that vanished without a word.
    private static func linuxOptions(
        _ configuration: ModbusClient.Configuration
    ) -> [(ChannelOptions.Types.SocketOption, SocketOptionValue)] {
        #if os(Linux)
            let milliseconds = TimeAmount(configuration.progressTimeout).nanoseconds / 1_000_000
            return [
                (.tcpOption(NIOBSDSocket.Option(rawValue: TCP_KEEPIDLE)), 10),
                (.tcpOption(NIOBSDSocket.Option(rawValue: TCP_KEEPINTVL)), 5),
                (.tcpOption(NIOBSDSocket.Option(rawValue: TCP_KEEPCNT)), 3),
                (
                    .tcpOption(NIOBSDSocket.Option(rawValue: TCP_USER_TIMEOUT)),
                    SocketOptionValue(clamping: milliseconds)
                ),
            ]
        #else
            return []
        #endif
    }
}

/// Hands a connection's events to the driver.
final class ClientChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let driver: ClientDriver
    private var failure: String?

    init(driver: ClientDriver) {
        self.driver = driver
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        driver.received(unwrapInboundIn(data), on: context.channel)
    }

    func channelInactive(context: ChannelHandlerContext) {
        driver.ended(context.channel, reason: failure ?? "the peer closed the connection")
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = "\(error)"
        context.close(promise: nil)
    }
}
