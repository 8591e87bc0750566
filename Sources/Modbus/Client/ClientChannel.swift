import Dispatch
import NIOCore
import NIOPosix
import NIOSSL

/// How a client's TCP connection is made.
enum ClientChannel {
    /// Opens one connection for a driver, on the driver's event loop.
    typealias Dial = @Sendable (ClientDriver) -> EventLoopFuture<any Channel>

    /// Opens a connection with this TLS context, or a plain one.
    private typealias Connect = @Sendable (ClientDriver, NIOSSLContext?) -> EventLoopFuture<any Channel>

    /// Dials the configured host: an address at once, a name after it was looked up. With TLS the handshake belongs
    /// to it: nothing may count as sent before the device has been verified.
    static func dial(
        _ configuration: ModbusClient.Configuration, on eventLoop: any EventLoop,
        resolve: @escaping HostLookup.Resolve = HostLookup.system
    ) -> Dial {
        let connect = connect(configuration, on: eventLoop, resolve: resolve)
        guard let tls = configuration.tls else { return { connect($0, nil) } }
        let queue = DispatchQueue(label: "modbus.tls-files")
        return { driver in
            let context = eventLoop.makePromise(of: NIOSSLContext.self)
            queue.async {
                context.completeWith(Result { () throws(TLSProblem) in try TLSContext.make(tls) }.mapError { $0 })
            }
            let driver = NIOLoopBound(driver, eventLoop: eventLoop)
            return context.futureResult.flatMap { connect(driver.value, $0) }.flatMap { channel in
                ClientTLS.handshake(of: channel).map { channel }
            }
        }
    }

    private static func connect(
        _ configuration: ModbusClient.Configuration, on eventLoop: any EventLoop,
        resolve: @escaping HostLookup.Resolve
    ) -> Connect {
        if let address = try? SocketAddress(ipAddress: configuration.host, port: configuration.port) {
            return { bootstrap(configuration, on: eventLoop, driver: $0, tls: $1).connect(to: address) }
        }
        // Not an address, so a name.
        let lookup = HostLookup(eventLoop: eventLoop, resolve: resolve)
        return { driver, tls in
            bootstrap(configuration, on: eventLoop, driver: driver, tls: tls).resolver(lookup)
                .connect(host: configuration.host, port: configuration.port)
        }
    }

    /// A bootstrap with every socket option, so that each connection has them, the tenth as well as the first.
    static func bootstrap(
        _ configuration: ModbusClient.Configuration, on eventLoop: any EventLoop, driver: ClientDriver,
        tls: NIOSSLContext? = nil
    ) -> ClientBootstrap {
        let limit = NIODeadline.now() + TimeAmount(configuration.connectTimeout)
        let driver = NIOLoopBound(driver, eventLoop: eventLoop)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(configuration.connectTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.maxMessagesPerRead, value: 1)
            // Else a peer that closes gets an ordinary close back, see ``ConnectionEnd/close(_:reset:)``.
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try ClientTLS.add(tls, configuration, to: channel, limit: limit) }
                    if configuration.framing == .rtuOverTCP {
                        try channel.pipeline.syncOperations.addHandler(RTUHandler(from: .server))
                    }
                    try channel.pipeline.syncOperations.addHandler(ClientChannelHandler(driver: driver.value))
                }
            }
        return VanishedPeer.options(sendTimeout: TimeAmount(configuration.progressTimeout)).reduce(bootstrap) {
            bootstrap, option in bootstrap.channelOption(option.0, value: option.1)
        }
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

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { driver.finished(context.channel) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        driver.ended(context.channel, reason: failure ?? "the peer closed the connection")
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = TLSFailure.reason(error)
        // What was not answered must not be sent again after what comes next.
        ConnectionEnd.close(context.channel, reset: true)
    }
}
