import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// How a server's connections are set up and taken down.
enum ServerChannel {
    /// A bootstrap with every socket option of the listener and its connections.
    static func bootstrap(
        _ configuration: ModbusServer.Configuration, eventLoop: any EventLoop, device: any ModbusDevice,
        registry: ServerRegistry, security: ServerSecurity = ServerSecurity(),
        impaired: NIOLoopBoundBox<DeviceDriver>? = nil
    ) -> ServerBootstrap {
        let idleTimeout = configuration.idleTimeout
        let framing = configuration.framing
        let gate = configuration.limitPolicy == .backlog ? configuration.maximumConnections : nil
        let acceptedAtOnce: UInt = gate == nil ? 4 : 1
        let bootstrap = ServerBootstrap(group: eventLoop)
            .serverChannelInitializer { listener in
                listener.eventLoop.makeCompletedFuture { try configure(listener: listener, gate: gate) }
            }
            .serverChannelOption(.maxMessagesPerRead, value: acceptedAtOnce)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try configure(
                        channel, device: device, registry: registry, idleTimeout: idleTimeout, security: security,
                        framing: framing, impaired: impaired)
                }
            }
        return VanishedPeer.options().reduce(bootstrap) { bootstrap, option in
            bootstrap.childChannelOption(option.0, value: option.1)
        }
    }

    /// Puts the handlers into a connection that was just accepted. Runs on the connection's event loop.
    static func configure(
        _ channel: any Channel, device: any ModbusDevice, registry: ServerRegistry, idleTimeout: Duration?,
        security: ServerSecurity = ServerSecurity(), framing: ModbusFraming = .tcp,
        impaired: NIOLoopBoundBox<DeviceDriver>? = nil
    ) throws {
        let admission = registry.admit(channel)
        if case .refuse = admission {
            channel.close(promise: nil)
            return
        }
        // Not when it becomes inactive: a connection may end before it ever was active.
        channel.closeFuture.whenComplete { _ in registry.remove(channel) }
        let pipeline = channel.pipeline.syncOperations
        switch admission {
        case .serve, .refuse: break
        case .replace(let oldest): oldest.close(promise: nil)
        case .closeAtFirstBytes: return try pipeline.addHandler(UnservedHandler(closesAtFirstBytes: true))
        case .hang: return try pipeline.addHandler(UnservedHandler(closesAtFirstBytes: false))
        }
        if let idleTimeout {
            try pipeline.addHandler(IdleStateHandler(readTimeout: TimeAmount(idleTimeout)))
        }
        try security.secure(channel, registry: registry) { role in
            let device = security.guarded(device, role: role)
            if framing == .rtuOverTCP { try pipeline.addHandler(RTUHandler(from: .client)) }
            if let impaired {
                try pipeline.addHandler(
                    DeviceChannelHandler(driver: impaired.value, device: device, registry: registry))
                return
            }
            try pipeline.addHandler(ServerChannelHandler(device: device, registry: registry))
        }
    }

    /// - Parameter gate: how many connections to accept; nil for all.
    private static func configure(listener: any Channel, gate: Int?) throws {
        guard let gate else { return }
        try listener.pipeline.syncOperations.addHandler(AcceptGate(limit: gate))
    }

    /// Closes channels and reports when they all are closed.
    static func close(_ channels: [any Channel], on eventLoop: any EventLoop, _ done: @escaping @Sendable () -> Void) {
        for channel in channels { channel.close(promise: nil) }
        EventLoopFuture.andAllComplete(channels.map(\.closeFuture), on: eventLoop).whenComplete { _ in done() }
    }

    /// What the operating system's refusal to bind means.
    static func bindFailure(_ error: any Error) -> ModbusServerError.Code {
        switch (error as? IOError)?.errnoCode {
        case EADDRINUSE: .addressInUse
        case EACCES, EPERM: .permissionDenied
        default: .bindFailed(reason: ConnectFailure(error).reason)
        }
    }
}
