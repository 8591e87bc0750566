public import Logging
public import NIOCore
public import NIOPosix
import Synchronization

/// A Modbus TCP server for one ``ModbusDevice``.
///
/// Each connection's requests are executed and answered in order. A malformed request is answered with an
/// exception; a malformed header ends its connection, because nothing after it can be trusted.
public final class ModbusServer: Sendable {
    /// The configuration the server was made with.
    public let configuration: Configuration

    private let device: any ModbusDevice
    private let group: any EventLoopGroup
    private let registry: ServerRegistry
    private let listener = Mutex(Listener.stopped)

    private enum Listener {
        /// Nothing is bound. Can transition to: `starting`.
        case stopped
        /// The port is being bound. Can transition to: `running`, `stopped`.
        case starting
        /// Connections are accepted. Can transition to: `stopping`.
        case running(any Channel)
        /// Connections are being closed. Can transition to: `stopped`.
        case stopping
    }

    /// Makes a server. Nothing is bound yet.
    ///
    /// - Parameter group: where listener and connections run. Defaults to the process-wide group.
    public init(
        configuration: Configuration = Configuration(),
        device: any ModbusDevice,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger = Logger(label: "modbus.server")
    ) {
        self.configuration = configuration
        self.device = device
        self.group = group
        self.registry = ServerRegistry(
            limit: configuration.maximumConnections, policy: configuration.limitPolicy, logger: logger)
    }

    /// What the server has done so far.
    public var statistics: ServerStatistics {
        registry.statistics
    }

    /// The port the server listens on; nil while it is stopped.
    public var port: Int? {
        listener.withLock { if case .running(let channel) = $0 { channel.localAddress?.port } else { nil } }
    }

    /// Binds the port and begins to accept connections. A stopped server may be started again.
    ///
    /// - Returns: the port, chosen by the system when the configuration says 0.
    /// - Throws: ``ModbusServerError``, naming host and port.
    @discardableResult
    public func start() async throws(ModbusServerError) -> Int {
        let problems = configuration.validate()
        guard problems.isEmpty else { throw failure(.invalidConfiguration(problems)) }
        try claim()
        do {
            registry.begin()
            let channel = try await bootstrap().bind(host: configuration.host, port: configuration.port).get()
            listener.withLock { $0 = .running(channel) }
            return channel.localAddress?.port ?? configuration.port
        } catch {
            listener.withLock { $0 = .stopped }
            throw failure(ServerChannel.bindFailure(error))
        }
    }

    /// Closes the listener and all connections, and returns when they are closed. Does nothing when stopped.
    public func stop() async {
        let channel: (any Channel)? = listener.withLock { state in
            guard case .running(let channel) = state else { return nil }
            state = .stopping
            return channel
        }
        guard let channel else { return }
        await ServerChannel.close(channel)
        for connection in registry.end() {
            await ServerChannel.close(connection)
        }
        listener.withLock { $0 = .stopped }
    }

    private func claim() throws(ModbusServerError) {
        let claimed = listener.withLock { state in
            guard case .stopped = state else { return false }
            state = .starting
            return true
        }
        guard claimed else { throw failure(.alreadyRunning) }
    }

    private func failure(_ code: ModbusServerError.Code) -> ModbusServerError {
        ModbusServerError(code, host: configuration.host, port: configuration.port)
    }

    private func bootstrap() -> ServerBootstrap {
        let device = self.device
        let registry = self.registry
        let idleTimeout = configuration.idleTimeout
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try ServerChannel.configure(
                        channel, device: device, registry: registry, idleTimeout: idleTimeout)
                }
            }
    }
}
