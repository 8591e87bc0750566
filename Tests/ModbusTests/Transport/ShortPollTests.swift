import ALDTestKit
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Modbus

@Suite("Looking for an answer before the event loop sleeps", .timeLimit(.minutes(1)))
struct ShortPollTests {
    @Test("a quick device is looked for every time, a slow one hardly ever, and one that becomes quick is noticed")
    func score() {
        var score = PollScore()
        for _ in 0..<100 {
            let looks = score.shouldPoll()
            #expect(looks)
            score.hit()
            score.loopHadItsTurn()
        }
        #expect(score.value == PollScore.maximum)
        score.miss()
        #expect(score.value == PollScore.maximum - 2)

        var looks = 0
        for _ in 0..<(100 * PollScore.trialInterval) where score.shouldPoll() {
            looks += 1
            score.miss()
        }
        #expect(score.value == 0 && (100...108).contains(looks), "\(looks)")

        for _ in 0..<PollScore.trialInterval where score.shouldPoll() { score.hit() }
        #expect(score.value > 0)
    }

    @Test("after 64 answers in a row the loop must bring one, then looking goes on")
    func turns() {
        var score = PollScore()
        func looks() -> Int {
            var looks = 0
            while looks < 1000, score.shouldPoll() {
                looks += 1
                score.hit()
            }
            return looks
        }
        #expect([looks(), looks()] == [64, 0])
        score.loopHadItsTurn()
        #expect(looks() == 64)
    }

    @Test("a missed look costs twice what one that hit brings: half and half is too little")
    func half() {
        var score = PollScore()
        for _ in 0..<20 {
            score.hit()
            score.miss()
        }
        #expect(score.value == 0)
    }

    @Test("bytes are taken from the socket; its end is left to the event loop")
    func reading() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let accepted = loop.makePromise(of: (any Channel).self)
        let listener = try await ServerBootstrap(group: loop)
            .childChannelInitializer { channel in
                accepted.succeed(channel)
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        // Nothing but the poll reads.
        let near = try await ClientBootstrap(group: loop).channelOption(.autoRead, value: false)
            .connect(host: "127.0.0.1", port: port).get()
        let far = try await accepted.futureResult.get()
        let poll = try await loop.submit { NIOLoopBoundBox(try #require(ShortPoll(near)), eventLoop: loop) }.get()
        func look() async throws -> ByteBuffer? {
            try await loop.submit { poll.value.read() }.get()
        }
        #expect(try await look() == nil)
        try await far.writeAndFlush(bytes("01 02 03"))
        var taken = ByteBuffer()
        try await eventually("the bytes have come") {
            if let bytes = try await look() { taken.writeImmutableBuffer(bytes) }
            return taken.readableBytes == 3
        }
        #expect(taken == bytes("01 02 03"))
        try await far.close()
        for _ in 0..<10 { #expect(try await look() == nil) }
        near.read()
        try await near.closeFuture.get()
        try await listener.close()
    }

    @Test(
        "a caller on the event loop gets its answers there, one after the other and side by side", arguments: [1, 16])
    func onTheLoop(window: Int) async throws {
        let server = ModbusServer(device: MemoryDevice())
        var configuration = ModbusClient.Configuration(host: "127.0.0.1", port: try await server.start())
        configuration.window = window
        let client = try ModbusClient(configuration: configuration)
        await withTaskGroup(of: Void.self, isolation: nil) { group in
            for caller in UInt16(0)..<8 {
                group.addTask(executorPreference: client.executor) {
                    for address in (caller * 100)..<(caller * 100 + 100) {
                        #expect(client.eventLoop.inEventLoop)
                        let data = try? await client.read(
                            .inputRegisters, AddressRange(address), deadline: .now() + .seconds(60))
                        #expect(data == .registers([address]))
                    }
                }
            }
        }
        #expect(client.statistics.succeeded == 800)
        await client.close()
        await server.stop()
    }

    @Test("a device that always answers in time does not keep others off the event loop")
    func sharedLoop() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let device = try AnsweringSocket()
        var hooks = ModbusClient.Hooks()
        // The answer lies in the socket before anybody looks for it.
        hooks.onFrame = { if $0.direction == .sent { device.answer($0.bytes) } }
        let client = try ModbusClient(
            configuration: .init(host: "127.0.0.1", port: device.port), group: group, hooks: hooks)
        let other = try AnsweringSocket()
        let heard = Mutex(false)
        let neighbour = try await ClientBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Ear { heard.withLock { $0 = true } })
                }
            }
            .connect(host: "127.0.0.1", port: other.port).get()
        other.accept()
        let reads = await withTaskExecutorPreference(client.executor) {
            for address in UInt16(0)..<1000 {
                if address == 10 { other.send(bytes("00")) }
                let data = try? await client.read(.holdingRegisters, AddressRange(address), deadline: .distantFuture)
                #expect(data == .registers([address]))
                if heard.withLock({ $0 }) { return Int(address) }
            }
            return 1000
        }
        #expect((10...(10 + 2 * PollScore.burst)).contains(reads), "\(reads)")
        await client.close()
        try await neighbour.close()
        try await group.shutdownGracefully()
    }

    @Test("nobody looks past TLS or RTU frames: a caller on the loop is served by the loop", arguments: [true, false])
    func notPlain(secure: Bool) async throws {
        var own = ModbusServer.Configuration()
        var configuration = ModbusClient.Configuration(host: "127.0.0.1")
        if secure {
            own.tls = ModbusTLS.Server(identity: TLSFiles.identity("server"), clients: .insecurelyNotAsked)
            configuration.tls = ModbusTLS.Client(trust: TLSFiles.authority)
            configuration.connectTimeout = .seconds(30)
        } else {
            own.framing = .rtuOverTCP
            configuration.framing = .rtuOverTCP
        }
        let server = ModbusServer(configuration: own, device: MemoryDevice())
        configuration.port = try await server.start()
        let client = try ModbusClient(configuration: configuration)
        await withTaskExecutorPreference(client.executor) {
            for address in UInt16(0)..<200 {
                let data = try? await client.read(
                    .inputRegisters, AddressRange(address), deadline: .now() + .seconds(60))
                #expect(data == .registers([address]))
            }
        }
        let statistics = client.statistics
        #expect(statistics.connects == 1 && statistics.poisonedStreams == 0 && statistics.lateReplies == 0)
        await client.close()
        await server.stop()
    }
}

private final class Ear: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let heard: () -> Void

    init(_ heard: @escaping () -> Void) {
        self.heard = heard
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        heard()
    }
}
