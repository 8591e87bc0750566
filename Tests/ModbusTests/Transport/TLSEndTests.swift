import ALDTestKit
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import Synchronization
import Testing

@testable import Modbus

/// Stands in front of TLS and lets nothing more in once the handshake is over: a peer that never says goodbye.
private final class Silence: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    var isSilent = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if !isSilent { context.fireChannelRead(data) }
    }
}

/// Stands behind TLS and reports what it brings.
private final class Listener: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let silence: Silence?
    private let secured: EventLoopPromise<Void>
    private let inputClosed: EventLoopPromise<Int>
    private var received = 0

    init(_ silence: Silence?, secured: EventLoopPromise<Void>, inputClosed: EventLoopPromise<Int>) {
        (self.silence, self.secured, self.inputClosed) = (silence, secured, inputClosed)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent {
            silence?.isSilent = true
            secured.succeed()
        }
        if case .inputClosed? = event as? ChannelEvent { inputClosed.succeed(received) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received += unwrapInboundIn(data).readableBytes
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        secured.fail(ChannelError.eof)
        inputClosed.fail(ChannelError.eof)
    }
}

@Suite("How secured connections end", .timeLimit(.minutes(1)))
struct TLSEndTests {
    /// A client of TLS that knows nothing of Modbus, after its handshake.
    ///
    /// - Returns: its channel, and how many bytes it had when its peer closed its side.
    private func connect(port: Int, silent: Bool) async throws -> (any Channel, EventLoopFuture<Int>) {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let context = try TLSContext.make(
            ModbusTLS.Client(trust: TLSFiles.authority, identity: TLSFiles.identity("operator")))
        let (secured, inputClosed) = (loop.makePromise(of: Void.self), loop.makePromise(of: Int.self))
        let channel = try await ClientBootstrap(group: loop)
            .channelOption(.allowRemoteHalfClosure, value: !silent)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let silence = silent ? Silence() : nil
                    let pipeline = channel.pipeline.syncOperations
                    if let silence { try pipeline.addHandler(silence) }
                    try pipeline.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil))
                    try pipeline.addHandler(Listener(silence, secured: secured, inputClosed: inputClosed))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        try await secured.futureResult.get()
        return (channel, inputClosed.futureResult)
    }

    private func server(
        device: any ModbusDevice = MemoryDevice(), behavior: DeviceBehavior = .ideal,
        _ change: (inout ModbusServer.Configuration) -> Void = { _ in }
    ) -> ModbusServer {
        var configuration = ModbusServer.Configuration()
        configuration.tls = ModbusTLS.Server(
            identity: TLSFiles.identity("server"), clients: .mustBeSigned(by: TLSFiles.authority))
        change(&configuration)
        return ModbusServer(configuration: configuration, device: device, behavior: behavior)
    }

    @Test("a silent peer that never says goodbye is closed all the same, and counted once", arguments: [true, false])
    func idle(isIdeal: Bool) async throws {
        let server = server(behavior: isIdeal ? .ideal : DeviceBehavior(faults: FaultInjector())) {
            $0.idleTimeout = .milliseconds(100)
        }
        let (peer, _) = try await connect(port: try await server.start(), silent: true)
        try await peer.closeFuture.get()
        try await eventually("its place is free") { server.statistics.open == 0 }
        #expect(server.statistics.idleClosed == 1)
        await server.stop()
    }

    @Test("a peer that never says goodbye cannot hold up its eviction, nor the end of the server")
    func evicted() async throws {
        let server = server {
            $0.maximumConnections = 1
            $0.limitPolicy = .closeOldest
        }
        let port = try await server.start()
        let (first, _) = try await connect(port: port, silent: true)
        let (second, _) = try await connect(port: port, silent: true)
        try await first.closeFuture.get()
        #expect(server.statistics.evicted == 1 && second.isActive)
        await server.stop()
        try await second.closeFuture.get()
    }

    @Test("a device that resets a secured connection sends a reset and no goodbye")
    func reset() async throws {
        let faults = FaultInjector()
        let server = server(behavior: DeviceBehavior(faults: faults))
        let port = try await server.start()
        for (fault, isReset) in [(ConnectionFault.reset, true), (.finish, false)] {
            try faults.add(FaultRule("end", .connection(fault)))
            let loop = MultiThreadedEventLoopGroup.singleton.next()
            let (asked, wasReset) = (loop.makePromise(of: Void.self), loop.makePromise(of: Bool.self))
            let (peer, _) = try await connect(port: port, silent: false)
            try await peer.eventLoop.submit {
                try peer.pipeline.syncOperations.addHandler(Witness(asked: asked, wasReset: wasReset), position: .first)
            }.get()
            try await peer.writeAndFlush(bytes("00 01 |00 00 |00 06 |01 |04 |00 07 |00 01"))
            if isReset {
                #expect(try await wasReset.futureResult.get())
            } else {
                try await asked.futureResult.get()
                try? await peer.close()
                #expect(try await wasReset.futureResult.get() == false)
            }
            asked.succeed()
        }
        await server.stop()
    }

    @Test("a device that closes its side of a secured connection executes what it is asked, and answers nothing")
    func halfClose() async throws {
        let faults = FaultInjector()
        var rule = FaultRule("half", .connection(.halfClose))
        rule.functions = [.readInputRegisters]
        try faults.add(rule)
        let device = MemoryDevice()
        let server = server(device: device, behavior: DeviceBehavior(faults: faults))
        let (peer, end) = try await connect(port: try await server.start(), silent: false)
        try await peer.writeAndFlush(bytes("00 01 |00 00 |00 06 |01 |04 |00 07 |00 01"))
        #expect(try await end.get() == 0, "nothing but the goodbye")
        try await peer.writeAndFlush(bytes("00 02 |00 00 |00 06 |01 |06 |00 00 |00 01"))
        try await eventually("the write was executed") { device.writes == 1 }
        try? await peer.close()
        await server.stop()
    }
}
