import ALDTestKit
import Dispatch
import NIOCore
import NIOPosix
import Testing

@testable import Modbus

@Suite("A server's limits and life")
struct ServerLimitTests {
    private func client(_ port: Int) throws -> ModbusClient {
        try ModbusClient(configuration: .init(host: "127.0.0.1", port: port))
    }

    private func patience() -> NIODeadline {
        .now() + .seconds(60)
    }

    @Test("beyond the limit the newest is refused: it is closed at once, the old one goes on")
    func refuseNewest() async throws {
        var configuration = ModbusServer.Configuration()
        configuration.maximumConnections = 1
        let server = ModbusServer(configuration: configuration, device: MemoryDevice())
        let port = try await server.start()
        let (first, second) = (try client(port), try client(port))
        _ = try await first.read(.coils, AddressRange(0), deadline: patience())
        let error = await #expect(throws: ModbusError.self) {
            try await second.read(.coils, AddressRange(0), deadline: patience())
        }
        #expect(error?.code == .connectionClosed(mayHaveExecuted: true))
        _ = try await first.read(.coils, AddressRange(0), deadline: patience())
        #expect(server.statistics.accepted == 1 && server.statistics.refused >= 2)
        await first.close()
        await second.close()
        await server.stop()
    }

    @Test("or the oldest makes room")
    func closeOldest() async throws {
        var configuration = ModbusServer.Configuration()
        configuration.maximumConnections = 1
        configuration.limitPolicy = .closeOldest
        let server = ModbusServer(configuration: configuration, device: MemoryDevice())
        let port = try await server.start()
        let (first, second) = (try client(port), try client(port))
        _ = try await first.read(.coils, AddressRange(0), deadline: patience())
        _ = try await second.read(.coils, AddressRange(0), deadline: patience())
        #expect(server.statistics.evicted == 1 && server.statistics.open == 1)
        _ = try await first.read(.coils, AddressRange(0), deadline: patience())
        #expect(server.statistics.evicted == 2 && first.statistics.connects == 2)
        let statistics = server.statistics
        #expect(statistics.accepted == statistics.open + statistics.closed)
        await first.close()
        await second.close()
        await server.stop()
        #expect(server.statistics.open == 0)
    }

    private func server(
        limit: Int, _ policy: ModbusServer.Configuration.LimitPolicy
    ) async throws -> (ModbusServer, Int) {
        var configuration = ModbusServer.Configuration()
        configuration.maximumConnections = limit
        configuration.limitPolicy = policy
        let server = ModbusServer(configuration: configuration, device: MemoryDevice())
        return (server, try await server.start())
    }

    private let question = "00 01 |00 00 |00 06 |01 |04 |00 07 |00 01"
    private let answer = "00 01 00 00 00 05 01 04 02 00 07"

    @Test("or the newest is accepted, and closed without an answer as soon as it asks")
    func acceptThenClose() async throws {
        let (server, port) = try await server(limit: 1, .acceptThenClose)
        let first = try await RawPeer(port: port)
        try await first.send(question)
        #expect(try await first.take(11) == answer)
        let second = try await RawPeer(port: port)
        try await eventually("the second is held") { server.statistics.held == 1 }
        #expect(!second.isOver)
        try await second.send(question)
        try await eventually("the second is closed") { second.isOver }
        #expect(second.received.readableBytes == 0)
        try await first.send(question)
        #expect(try await first.take(11) == answer)
        #expect(server.statistics.accepted == 1 && server.statistics.requests == 2)
        await first.close()
        await second.close()
        await server.stop()
    }

    @Test("or the newest hangs: accepted, never answered, and no place is lost by it")
    func hang() async throws {
        let (server, port) = try await server(limit: 1, .hang)
        let first = try await RawPeer(port: port)
        try await first.send(question)
        #expect(try await first.take(11) == answer)
        let second = try await RawPeer(port: port)
        try await second.send(question)
        try await eventually("the second is held") { server.statistics.held == 1 }
        try await first.send(question)
        #expect(try await first.take(11) == answer)
        #expect(!second.isOver && second.received.readableBytes == 0)
        await first.close()
        try await eventually("the place is free") { server.statistics.open == 0 }
        let third = try await RawPeer(port: port)
        try await third.send(question)
        #expect(try await third.take(11) == answer)
        #expect(!second.isOver && second.received.readableBytes == 0)
        #expect(server.statistics.held == 1)
        await server.stop()
        try await eventually("a stop ends those that hang, too") { second.isOver }
        await second.close()
        await third.close()
    }

    @Test("or the newest waits in the backlog, with what it asked, until a place is free")
    func backlog() async throws {
        let (server, port) = try await server(limit: 2, .backlog)
        let first = try await RawPeer(port: port)
        let second = try await RawPeer(port: port)
        for peer in [first, second] {
            try await peer.send(question)
            #expect(try await peer.take(11) == answer)
        }
        let third = try await RawPeer(port: port)
        try await third.send(question)
        for _ in 0..<20 {
            try await first.send(question)
            #expect(try await first.take(11) == answer)
        }
        #expect(server.statistics.accepted == 2 && third.received.readableBytes == 0)
        await second.close()
        #expect(try await third.take(11) == answer)
        #expect(server.statistics.accepted == 3 && server.statistics.refused == 0)
        await first.close()
        await third.close()
        await server.stop()
    }

    @Test("500 connections at once, each with its own answers")
    func manyConnections() async throws {
        let (server, port) = try await server(limit: 500, .refuseNewest)
        var peers: [RawPeer] = []
        for _ in 0..<500 { peers.append(try await RawPeer(port: port)) }
        for (index, peer) in peers.enumerated() {
            var frame = bytes(question)
            frame.setInteger(UInt16(index), at: 8)
            try await peer.send(frame)
        }
        for (index, peer) in peers.enumerated() {
            let register = hex(ByteBuffer(integer: UInt16(index)))
            #expect(try await peer.take(11) == "00 01 00 00 00 05 01 04 02 \(register)")
        }
        #expect(server.statistics.open == 500 && server.statistics.requests == 500)
        for peer in peers { await peer.close() }
        try await eventually("all are gone") { server.statistics.open == 0 }
        await server.stop()
    }

    @Test("an address that is taken is named, with what to do")
    func addressInUse() async throws {
        let server = ModbusServer(device: MemoryDevice())
        let port = try await server.start()
        let other = ModbusServer(configuration: .init(port: port), device: MemoryDevice())
        let error = await #expect(throws: ModbusServerError.self) { try await other.start() }
        #expect(error?.code == .addressInUse)
        #expect(error?.description.contains("127.0.0.1:\(port)") == true)
        let again = await #expect(throws: ModbusServerError.self) { try await server.start() }
        #expect(again?.code == .alreadyRunning)
        await server.stop()
        #expect(try await other.start() == port, "free again, also for the server that failed")
        await other.stop()
        await other.stop()
    }

    @Test(
        "an address of another machine, or none, is told in the system's words",
        arguments: [
            ("203.0.113.1", "Cannot assign requested address"),
            ("no-such-host.invalid", "no address for no-such-host.invalid: "),
        ])
    func foreignAddress(_ host: String, _ reason: String) async {
        let server = ModbusServer(configuration: .init(host: host, port: 0), device: MemoryDevice())
        let error = await #expect(throws: ModbusServerError.self) { try await server.start() }
        #expect(error?.description.hasPrefix("cannot listen on \(host):0: \(reason)") == true, "\(error as Any)")
    }

    @Test("a wrong configuration is an error, not a crash")
    func invalid() async {
        let server = ModbusServer(configuration: .init(host: "", port: -1), device: MemoryDevice())
        let error = await #expect(throws: ModbusServerError.self) { try await server.start() }
        guard case .invalidConfiguration(let problems) = error?.code else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(problems.count == 2)
    }

    @Test("of several that wait in the backlog at the same time, no more are accepted than there are places")
    func backlogAtOnce() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var configuration = ModbusServer.Configuration()
        configuration.maximumConnections = 1
        configuration.limitPolicy = .backlog
        let server = ModbusServer(configuration: configuration, device: MemoryDevice(), group: group)
        let port = try await server.start()
        // While the server's only thread is held up, the operating system completes the handshakes of all four.
        let gate = DispatchSemaphore(value: 0)
        let held = group.next().submit { gate.wait() }
        var peers: [RawPeer] = []
        for _ in 0..<4 { peers.append(try await RawPeer(port: port)) }
        gate.signal()
        try await held.get()
        for (index, peer) in peers.enumerated() {
            try await peer.send(question)
            #expect(try await peer.take(11) == answer)
            #expect(server.statistics.accepted == index + 1 && server.statistics.open == 1)
            await peer.close()
        }
        await server.stop()
        try await group.shutdownGracefully()
    }
}
