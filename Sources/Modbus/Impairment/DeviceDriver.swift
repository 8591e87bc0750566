import NIOCore

/// Performs what a ``DeviceMachine`` decides, for all connections of a server. Lives on one event loop and is only
/// touched there.
final class DeviceDriver {
    private let eventLoop: any EventLoop
    private let registry: ServerRegistry
    private let deviceDidReboot: (@Sendable () -> Void)?
    private let onFrame: (@Sendable (FrameRecord) -> Void)?
    /// Opens (true) or closes (false) the listener.
    private var setListening: (@Sendable (Bool) -> Void)?

    private var machine: DeviceMachine
    private var handlers: [Int: DeviceChannelHandler] = [:]
    private var isPerforming = false
    private var timer: Scheduled<Void>?
    private var timerAt = NIODeadline.distantFuture

    init(
        _ behavior: DeviceBehavior, eventLoop: any EventLoop, registry: ServerRegistry,
        onFrame: (@Sendable (FrameRecord) -> Void)? = nil
    ) {
        self.eventLoop = eventLoop
        self.registry = registry
        self.onFrame = onFrame
        deviceDidReboot = behavior.deviceDidReboot
        machine = DeviceMachine(behavior, logsFrames: onFrame != nil, now: eventLoop.now)
    }

    /// The server begins to listen.
    ///
    /// - Parameter setListening: how the listener is closed and opened again when the device restarts.
    func begin(setListening: @escaping @Sendable (Bool) -> Void) {
        self.setListening = setListening
    }

    var statistics: DeviceStatistics {
        machine.statistics
    }

    /// A connection was made.
    ///
    /// - Parameter device: what executes its requests.
    func connected(_ handler: DeviceChannelHandler, to device: any ModbusDevice) {
        let number = machine.connected(to: device, now: eventLoop.now)
        handlers[number] = handler
        // First, since a fault may end the connection at once, and it then reports its end under this number.
        handler.number = number
        perform()
    }

    /// How many connections are known here.
    var connectionCount: Int {
        handlers.count
    }

    func received(_ bytes: ByteBuffer, from number: Int) {
        machine.received(bytes, from: number, now: eventLoop.now)
        perform()
    }

    func disconnected(_ number: Int) {
        handlers[number] = nil
        machine.disconnected(number, now: eventLoop.now)
        perform()
    }

    func strike(_ fault: ConnectionFault) {
        machine.strike(fault, now: eventLoop.now)
        perform()
    }

    /// The server ends: nothing is due any more.
    func stop() {
        timer?.cancel()
        timer = nil
        timerAt = .distantFuture
        machine.stop()
    }

    private func perform() {
        // An action may end a connection, which reports it at once.
        guard !isPerforming else { return }
        isPerforming = true
        while let action = machine.nextAction() { perform(action) }
        isPerforming = false
        armTimer()
    }

    private func perform(_ action: DeviceMachine.Action) {
        switch action {
        case .logReceived(let number, let bytes):
            log(.received, number, bytes)
        case .send(let number, let bytes):
            log(.sent, number, bytes)
            handlers[number]?.send(bytes)
        case .close(let number, let closing):
            handlers[number]?.close(closing)
        case .setReading(let number, let isReading):
            handlers[number]?.setReading(isReading)
        case .countMalformedHeader:
            registry.count { $0.malformedHeaders += 1 }
        case .countAnswer(let isException):
            registry.count {
                $0.requests += 1
                if isException { $0.exceptions += 1 }
            }
        case .closeListener:
            setListening?(false)
        case .openListener:
            deviceDidReboot?()
            setListening?(true)
        }
    }

    private func log(_ direction: FrameRecord.Direction, _ number: Int, _ bytes: ByteBuffer) {
        onFrame?(FrameRecord(time: eventLoop.now, connection: number, direction: direction, bytes: bytes))
    }

    /// One timer for everything; what is due when it fires is handled at its own time.
    private func armTimer() {
        guard let next = machine.nextEvent, next < timerAt else { return }
        timer?.cancel()
        timerAt = next
        timer = eventLoop.assumeIsolated().scheduleTask(deadline: next) {
            self.timerAt = .distantFuture
            self.machine.advance(to: self.eventLoop.now)
            self.perform()
        }
    }
}
