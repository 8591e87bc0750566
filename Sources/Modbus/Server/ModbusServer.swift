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
    private let authorization: ModbusAuthorization?
    private let group: any EventLoopGroup
    private let registry: ServerRegistry
    private let lifecycle = Mutex(ServerLifecycle<any Channel, CheckedContinuation<Void, Never>>())

    /// Makes a server. Nothing is bound yet.
    ///
    /// - Parameters:
    ///   - group: where listener and connections run. Defaults to the process-wide group.
    ///   - authorization: who may have what executed. Defaults to nil: every client that may connect, everything.
    public init(
        configuration: Configuration = Configuration(),
        device: any ModbusDevice,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger = Logger(label: "modbus.server"),
        authorization: ModbusAuthorization? = nil
    ) {
        self.configuration = configuration
        self.device = device
        self.authorization = authorization
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
        lifecycle.withLock { $0.listener }?.localAddress?.port
    }

    /// Binds the port and begins to accept connections. A stopped server may be started again.
    ///
    /// - Returns: the port, chosen by the system when the configuration says 0.
    /// - Throws: ``ModbusServerError``, naming host and port; ``ModbusServerError/Code/stopped`` when ``stop()`` was
    ///   called before the port was bound.
    @discardableResult
    public func start() async throws(ModbusServerError) -> Int {
        let problems = configuration.validate()
        guard problems.isEmpty else { throw failure(.invalidConfiguration(problems)) }
        let security: ServerSecurity
        do throws(TLSProblem) {
            security = try ServerSecurity(configuration.tls, authorization)
        } catch {
            throw failure(.tls(reason: error.description))
        }
        guard lifecycle.withLock({ $0.start() }) else { throw failure(.alreadyRunning) }
        registry.begin()
        let channel: any Channel
        do {
            channel = try await ServerChannel.bootstrap(
                configuration, group: group, device: device, registry: registry, security: security
            ).bind(host: configuration.host, port: configuration.port).get()
        } catch {
            _ = registry.end()
            for waiter in lifecycle.withLock({ $0.bindFailed() }) { waiter.resume() }
            throw failure(ServerChannel.bindFailure(error))
        }
        switch lifecycle.withLock({ $0.bound(channel) }) {
        case .serve:
            return channel.localAddress?.port ?? configuration.port
        case .close:
            await withCheckedContinuation { (waiter: CheckedContinuation<Void, Never>) in
                _ = lifecycle.withLock { $0.stop(waiter) }
                close(channel)
            }
            throw failure(.stopped)
        }
    }

    /// Closes the listener and all connections, and returns when they are closed. Does nothing when stopped. A start
    /// that is under way fails, and a stop that is under way is waited for.
    public func stop() async {
        await withCheckedContinuation { (waiter: CheckedContinuation<Void, Never>) in
            switch lifecycle.withLock({ $0.stop(waiter) }) {
            case .resume: waiter.resume()
            case .wait: break
            case .close(let channel): close(channel)
            }
        }
    }

    /// Closes the listener, then the connections, then lets those go on who wait for it.
    private func close(_ listener: any Channel) {
        let eventLoop = listener.eventLoop
        ServerChannel.close([listener], on: eventLoop) {
            ServerChannel.close(self.registry.end(), on: eventLoop) {
                for waiter in self.lifecycle.withLock({ $0.closed() }) { waiter.resume() }
            }
        }
    }

    private func failure(_ code: ModbusServerError.Code) -> ModbusServerError {
        ModbusServerError(code, host: configuration.host, port: configuration.port)
    }
}
