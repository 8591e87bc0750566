import ALDTestKit
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@testable import Modbus

/// Counts what reaches the socket.
private final class OutboundCounter: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private let writes: Mutex<[Int]>.Reference

    init(_ writes: Mutex<[Int]>.Reference) {
        self.writes = writes
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let size = unwrapOutboundIn(data).readableBytes
        writes.value.withLock { $0.append(size) }
        context.write(data, promise: promise)
    }
}

extension Mutex where Value == [Int] {
    /// A mutex that a handler and its test share.
    fileprivate final class Reference: Sendable {
        let value = Mutex<[Int]>([])
    }
}

/// The options of one connection, as its socket has them.
private struct Options: Hashable {
    var noDelay: SocketOptionValue
    var keepAlive: SocketOptionValue
    var idle: SocketOptionValue
    var userTimeout: SocketOptionValue

    static func of(_ channel: any Channel) -> EventLoopFuture<Options> {
        func tcp(_ name: CInt) -> EventLoopFuture<SocketOptionValue> {
            channel.getOption(.tcpOption(NIOBSDSocket.Option(rawValue: name)))
        }
        #if os(Linux)
            let all = [
                tcp(TCP_NODELAY), channel.getOption(.socketOption(.so_keepalive)), tcp(TCP_KEEPIDLE),
                tcp(TCP_USER_TIMEOUT),
            ]
        #else
            let all = [tcp(TCP_NODELAY), channel.getOption(.socketOption(.so_keepalive))]
        #endif
        return EventLoopFuture.whenAllSucceed(all, on: channel.eventLoop).map { values in
            Options(
                noDelay: values[0], keepAlive: values[1], idle: values.count > 2 ? values[2] : 10,
                userTimeout: values.count > 3 ? values[3] : 3_600_000)
        }
    }
}

@Suite("What every connection has, plain and with TLS", .timeLimit(.minutes(1)))
struct ConnectionTests {
    static let securities: [ModbusTLS.Client?] = [
        nil, ModbusTLS.Client(trust: TLSFiles.authority, identity: TLSFiles.identity("operator")),
    ]

    private func start(secure: Bool) async throws -> (ModbusServer, Int) {
        var configuration = ModbusServer.Configuration()
        if secure {
            configuration.tls = ModbusTLS.Server(
                identity: TLSFiles.identity("server"), clients: .mustBeSigned(by: TLSFiles.authority))
        }
        let server = ModbusServer(configuration: configuration, device: MemoryDevice())
        return (server, try await server.start())
    }

    private func isAnswered(_ outcome: ClientOutcome) -> Bool {
        if case .single(.success) = outcome { true } else { false }
    }

    @Test("the second connection has every socket option of the first", arguments: securities)
    func options(tls: ModbusTLS.Client?) async throws {
        let (server, port) = try await start(secure: tls != nil)
        let seen = Mutex<[Options]>([])
        let channels = Mutex<[any Channel]>([])
        let rig = DriverRig(port: port) { configuration, loop in
            var configuration = configuration
            configuration.tls = tls
            configuration.connectTimeout = .seconds(30)
            let dial = ClientChannel.dial(configuration, on: loop)
            return { driver in
                dial(driver).flatMap { channel in
                    Options.of(channel).map { options in
                        seen.withLock { $0.append(options) }
                        channels.withLock { $0.append(channel) }
                        return channel
                    }
                }
            }
        }
        #expect(isAnswered(await rig.read()))
        let first = try #require(channels.withLock { $0.first })
        // Whether the goodbye of TLS is answered in time is another story.
        try? await first.close()
        #expect(isAnswered(await rig.read()))
        let expected = Options(noDelay: 1, keepAlive: 1, idle: 10, userTimeout: 3_600_000)
        #expect(seen.withLock { $0 } == [expected, expected])
        await rig.close()
        await server.stop()
    }

    @Test("a request goes to the socket in one piece", arguments: securities)
    func onePiece(tls: ModbusTLS.Client?) async throws {
        let (server, port) = try await start(secure: tls != nil)
        let writes = Mutex<[Int]>.Reference()
        let rig = DriverRig(port: port) { configuration, loop in
            var configuration = configuration
            configuration.tls = tls
            configuration.connectTimeout = .seconds(30)
            let dial = ClientChannel.dial(configuration, on: loop)
            return { driver in
                dial(driver).flatMap { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(OutboundCounter(writes), position: .first)
                        return channel
                    }
                }
            }
        }
        for _ in 0..<3 { #expect(isAnswered(await rig.read())) }
        #expect(writes.value.withLock { $0.count } == 3)
        #expect(writes.value.withLock { $0.allSatisfy { size in tls == nil ? size == 12 : size > 12 } })
        await rig.close()
        await server.stop()
    }

    @Test(
        "a connection given up with a write unanswered is reset, so that the write cannot be sent again: no goodbye of TLS",
        arguments: securities)
    func reset(tls: ModbusTLS.Client?) async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let (asked, wasReset) = (loop.makePromise(of: Void.self), loop.makePromise(of: Bool.self))
        let context = try TLSContext.make(
            ModbusTLS.Server(identity: TLSFiles.identity("server"), clients: .insecurelyNotAsked))
        let silent = try await ServerBootstrap(group: loop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if tls != nil { try pipeline.addHandler(NIOSSLServerHandler(context: context)) }
                    try pipeline.addHandler(Witness(asked: asked, wasReset: wasReset))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        var configuration = ModbusClient.Configuration(
            host: "127.0.0.1", port: try #require(silent.localAddress?.port))
        configuration.tls = tls
        configuration.connectTimeout = .seconds(30)
        let client = try ModbusClient(configuration: configuration)
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                let error = await #expect(throws: ModbusError.self) {
                    try await client.write(coil: 0, true, deadline: .now() + .seconds(30))
                }
                #expect(error?.code == .unknownOutcome(.cancelled))
            }
            try? await asked.futureResult.get()
            group.cancelAll()
        }
        await client.close()
        #expect(try await wasReset.futureResult.get())
        try await silent.close()
    }

    @Test("a secured device that stops answering is given up after the progress timeout")
    func progress() async throws {
        let context = try TLSContext.make(
            ModbusTLS.Server(identity: TLSFiles.identity("server"), clients: .insecurelyNotAsked))
        let silent = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        var configuration = ModbusClient.Configuration(
            host: "127.0.0.1", port: try #require(silent.localAddress?.port))
        configuration.tls = ModbusTLS.Client(trust: TLSFiles.authority)
        configuration.connectTimeout = .seconds(30)
        configuration.progressTimeout = .milliseconds(30)
        let client = try ModbusClient(configuration: configuration)
        let error = await #expect(throws: ModbusError.self) {
            try await client.write(coil: 0, true, deadline: .now() + .seconds(60))
        }
        #expect(error?.code == .unknownOutcome(.connectionLost))
        #expect(client.statistics.progressTimeouts == 1)
        await client.close()
        try await silent.close()
    }
}
