import NIOCore

/// Brings one connection's events to the ``DeviceDriver`` and holds back reading when it says so.
final class DeviceChannelHandler: ChannelDuplexHandler, ServedConnection {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let driver: DeviceDriver
    private let device: any ModbusDevice
    let registry: ServerRegistry
    var isIdle = false
    /// Under which the driver knows the connection; nil before it is active.
    var number: Int?
    private var context: ChannelHandlerContext?
    private var isReading = true
    private var isReadPending = false

    init(driver: DeviceDriver, device: any ModbusDevice, registry: ServerRegistry) {
        self.driver = driver
        self.device = device
        self.registry = registry
    }

    // MARK: From the driver

    func send(_ bytes: ByteBuffer) {
        context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    func close(_ closing: DeviceMachine.Closing) {
        guard let context else { return }
        switch closing {
        case .finish: context.close(promise: nil)
        case .output: context.close(mode: .output, promise: nil)
        case .reset: ConnectionEnd.close(context.channel, reset: true)
        }
    }

    func setReading(_ isReading: Bool) {
        self.isReading = isReading
        readIfPossible()
    }

    // MARK: From the channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { begin() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        begin()
        context.fireChannelActive()
    }

    private func begin() {
        guard number == nil else { return }
        driver.connected(self, to: device)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let number else { return }
        driver.received(unwrapInboundIn(data), from: number)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if let number { driver.disconnected(number) }
        context.fireChannelInactive()
    }

    func read(context: ChannelHandlerContext) {
        isReadPending = true
        readIfPossible()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        readIfPossible()
        context.fireChannelWritabilityChanged()
    }

    private func readIfPossible() {
        guard let context, isReadPending, isReading, context.channel.isWritable else { return }
        isReadPending = false
        context.read()
    }
}
