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
    let eventLoop: any EventLoop
    let registry: ServerRegistry
    private let behavior: DeviceBehavior
    /// Stands between the connections and the device; nil when the behaviour is ideal and nobody looks at the frames.
    let impaired: NIOLoopBoundBox<DeviceDriver>?
    /// Where to listen again after a restart.
    let rebootPort = Atomic(0)
    let lifecycle = Mutex(ServerLifecycle<any Channel, CheckedContinuation<Void, Never>>())

    /// Makes a server. Nothing is bound yet.
    ///
    /// - Parameters:
    ///   - behavior: how slow, limited and faulty the device is. Defaults to ideal.
    ///   - group: one of its event loops, the next, serves the listener and all connections: requests for one device
    ///     come one after the other anyway. Defaults to the process-wide group.
    ///   - authorization: who may have what executed. Defaults to nil: every client that may connect, everything.
    ///   - onFrame: called on the event loop for every frame received and for every piece sent, see ``FrameLog``.
    ///     Return quickly. Defaults to nothing.
    public init(
        configuration: Configuration = Configuration(),
        device: any ModbusDevice,
        behavior: DeviceBehavior = .ideal,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger = Logger(label: "modbus.server"),
        authorization: ModbusAuthorization? = nil,
        onFrame: (@Sendable (FrameRecord) -> Void)? = nil
    ) {
        self.configuration = configuration
        self.device = device
        self.behavior = behavior
        self.authorization = authorization
        let registry = ServerRegistry(
            limit: configuration.maximumConnections, policy: configuration.limitPolicy, logger: logger)
        self.registry = registry
        eventLoop = group.next()
        guard !behavior.isIdeal || onFrame != nil else {
            impaired = nil
            return
        }
        let driver = DeviceDriver(behavior, eventLoop: eventLoop, registry: registry, onFrame: onFrame)
        impaired = NIOLoopBoundBox.makeBoxSendingValue(driver, eventLoop: eventLoop)
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
        var problems = configuration.validate() + behavior.validate()
        if configuration.framing != .tcp, !behavior.isIdeal {
            // Its faults are faults of the TCP framing.
            problems.append("framing is not .tcp, and only a server with that framing can have a behavior")
        }
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
            try await impaired?.eventLoop.submit { [impaired] in
                impaired?.value.begin { [weak self] in self?.setListening($0, security) }
            }.get()
            channel = try await bind(port: configuration.port, security).get()
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

    func bind(port: Int, _ security: ServerSecurity) -> EventLoopFuture<any Channel> {
        ServerChannel.bootstrap(
            configuration, eventLoop: eventLoop, device: device, registry: registry, security: security,
            impaired: impaired
        ).bind(host: configuration.host, port: port)
    }

    /// Closes the listener, then the connections, then lets those go on who wait for it.
    func close(_ listener: (any Channel)?) {
        if let impaired { impaired.eventLoop.execute { impaired.value.stop() } }
        ServerChannel.close(listener.map { [$0] } ?? [], on: eventLoop) { [eventLoop] in
            ServerChannel.close(self.registry.end(), on: eventLoop) {
                for waiter in self.lifecycle.withLock({ $0.closed() }) { waiter.resume() }
            }
        }
    }

    private func failure(_ code: ModbusServerError.Code) -> ModbusServerError {
        ModbusServerError(code, host: configuration.host, port: configuration.port)
    }
}
