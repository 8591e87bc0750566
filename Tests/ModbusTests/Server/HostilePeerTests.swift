import ALDTestKit
import NIOCore
import NIOEmbedded
import Testing

@testable import Modbus

/// Counts the reads that reach the socket.
private final class ReadCounter: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private(set) var count = 0

    func read(context: ChannelHandlerContext) {
        count += 1
        context.read()
    }
}

@Suite("Peers that want to harm a server", .timeLimit(.minutes(2)))
struct HostilePeerTests {
    /// Ideal, and with a device in between.
    static let behaviors = [DeviceBehavior.ideal, DeviceBehavior(faults: FaultInjector())]
    private let question = "00 01 |00 00 |00 06 |01 |04 |00 07 |00 01"
    private let answer = "00 01 00 00 00 05 01 04 02 00 07"

    private func withServer(
        _ behavior: DeviceBehavior, _ change: (inout ModbusServer.Configuration) -> Void = { _ in },
        _ body: (ModbusServer, Int) async throws -> Void
    ) async throws {
        var configuration = ModbusServer.Configuration()
        change(&configuration)
        let server = ModbusServer(configuration: configuration, device: MemoryDevice(), behavior: behavior)
        let port = try await server.start()
        do { try await body(server, port) } catch { Issue.record(error) }
        await server.stop()
        #expect(server.statistics.open == 0)
    }

    @Test("10 000 requests in one piece are all answered, in order", arguments: behaviors.indices)
    func pipelined(_ index: Int) async throws {
        try await withServer(Self.behaviors[index]) { server, port in
            var frames = ByteBuffer()
            for transaction in 0..<UInt16(10_000) {
                try frames.writeModbusRequest(
                    .read(.inputRegisters, AddressRange(transaction % 1000)), transaction: transaction, unit: 1)
            }
            let peer = try await RawPeer(port: port)
            try await peer.send(frames)
            try await eventually("all answers") { peer.received.readableBytes == 110_000 }
            var answers = peer.received
            for transaction in 0..<UInt16(10_000) {
                let head = answers.readInteger(as: UInt16.self)
                answers.moveReaderIndex(forwardBy: 7)
                let value = answers.readInteger(as: UInt16.self)
                guard head == transaction, value == transaction % 1000 else {
                    Issue.record("\(String(describing: head)) with \(String(describing: value)) for \(transaction)")
                    return
                }
            }
            #expect(server.statistics.requests == 10_000)
            await peer.close()
        }
    }

    @Test("a device with an input queue reads nothing more from a peer that does not take its answers")
    func backPressure() throws {
        let loop = EmbeddedEventLoop()
        let registry = ServerRegistry(limit: 1, policy: .refuseNewest)
        let driver = DeviceDriver(DeviceBehavior(faults: FaultInjector()), eventLoop: loop, registry: registry)
        let reads = ReadCounter()
        let handler = DeviceChannelHandler(driver: driver, device: MemoryDevice(), registry: registry)
        let channel = EmbeddedChannel(handlers: [reads, handler], loop: loop)
        channel.pipeline.read()
        #expect(reads.count == 1)
        channel.isWritable = false
        channel.pipeline.fireChannelWritabilityChanged()
        channel.pipeline.read()
        channel.pipeline.read()
        #expect(reads.count == 1)
        handler.setReading(false)
        channel.isWritable = true
        channel.pipeline.fireChannelWritabilityChanged()
        #expect(reads.count == 1, "the device does not want to, either")
        handler.setReading(true)
        #expect(reads.count == 2, "once, however often it was asked")
        _ = try channel.finish()
    }

    @Test("a peer that says nothing is closed after the idle timeout, and counted", arguments: behaviors.indices)
    func idle(_ index: Int) async throws {
        try await withServer(Self.behaviors[index], { $0.idleTimeout = .milliseconds(20) }) { server, port in
            let peer = try await RawPeer(port: port)
            try await eventually("it is closed") { peer.isOver && server.statistics.open == 0 }
            #expect(server.statistics.idleClosed == 1 && server.statistics.closed == 1)
            await peer.close()
        }
    }

    @Test("a request that comes byte by byte is answered like any other", arguments: behaviors.indices)
    func trickle(_ index: Int) async throws {
        try await withServer(Self.behaviors[index]) { server, port in
            let peer = try await RawPeer(port: port)
            for byte in bytes(question).readableBytesView { try await peer.send(ByteBuffer(bytes: [byte])) }
            #expect(try await peer.take(11) == answer)
            await peer.close()
        }
    }

    @Test(
        "a flood of connections leaves a server that serves, whatever it does with those beyond its limit",
        arguments: [
            ModbusServer.Configuration.LimitPolicy.refuseNewest, .closeOldest, .acceptThenClose, .hang, .backlog,
        ])
    func flood(_ policy: ModbusServer.Configuration.LimitPolicy) async throws {
        func limit(_ configuration: inout ModbusServer.Configuration) {
            configuration.maximumConnections = 3
            configuration.limitPolicy = policy
        }
        for behavior in Self.behaviors {
            try await withServer(behavior, limit) { server, port in
                // One that is closed at once may be gone before it is connected.
                var peers: [RawPeer] = []
                for _ in 0..<30 { if let peer = try? await RawPeer(port: port) { peers.append(peer) } }
                #expect(server.statistics.open <= 3)
                for peer in peers { await peer.close() }
                // Who comes while the server still holds the others may be left hanging.
                try await eventually("the places are free") { server.statistics.open == 0 }
                try await eventually("somebody is served") {
                    guard let peer = try? await RawPeer(port: port) else { return false }
                    try? await peer.send(question)
                    try await eventually("an answer or the end") {
                        peer.received.readableBytes == 11 || peer.isOver
                    }
                    let isServed = peer.received.readableBytes == 11
                    await peer.close()
                    return isServed
                }
            }
        }
    }

    @Test("of several connections the oldest makes room, and the others stay")
    func oldest() async throws {
        try await withServer(.ideal) {
            $0.maximumConnections = 2
            $0.limitPolicy = .closeOldest
        } _: { server, port in
            var peers: [RawPeer] = []
            for _ in 0..<3 {
                let peer = try await RawPeer(port: port)
                try await peer.send(question)
                #expect(try await peer.take(11) == answer)
                peers.append(peer)
            }
            try await eventually("the first is closed") { peers[0].isOver }
            #expect(!peers[1].isOver && !peers[2].isOver && server.statistics.evicted == 1)
            for peer in peers { await peer.close() }
        }
    }

    @Test("connections that are held without being served have a bound of their own")
    func heldConnections() {
        let registry = ServerRegistry(limit: 1, policy: .hang)
        registry.begin()
        let most = ModbusServer.Configuration.maximumHeldConnections
        let channels = (0..<(most + 2)).map { _ in EmbeddedChannel() }
        for channel in channels { _ = registry.admit(channel) }
        #expect(registry.statistics.held == most && registry.statistics.refused == 1)
        registry.remove(channels[1])
        _ = registry.admit(EmbeddedChannel())
        #expect(registry.statistics.held == most + 1 && registry.statistics.refused == 1)
    }
}
