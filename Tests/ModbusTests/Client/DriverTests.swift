import ALDTestKit
import Dispatch
import Logging
import NIOCore
import NIOPosix
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

/// A driver on a loop of the process-wide group, with real sockets.
struct DriverRig {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let status = ClientStatus(observer: nil)
    private let driver: NIOLoopBoundBox<ClientDriver>

    init(
        port: Int, window: Int? = nil, hooks: ModbusClient.Hooks = .init(),
        dial: (ModbusClient.Configuration, any EventLoop) -> ClientChannel.Dial
    ) {
        var configuration = ModbusClient.Configuration(host: "127.0.0.1", port: port)
        configuration.progressTimeout = .seconds(3600)
        configuration.window = window
        let dial = dial(configuration, loop)
        driver = NIOLoopBoundBox.makeBoxSendingValue(
            ClientDriver(
                configuration: configuration, eventLoop: loop, logger: Logger(label: "test"), status: status,
                hooks: hooks, dial: dial), eventLoop: loop)
    }

    func read(_ address: UInt16 = 0, polls: Bool = false) async -> ClientOutcome {
        await withCheckedContinuation { continuation in
            onLoop {
                $0.submit(
                    .single(.read(.coils, AddressRange(address))), unit: 1, deadline: .now() + .seconds(30),
                    call: status.makeCall(), polls: polls, continuation: continuation)
            }
        }
    }

    /// So many calls in one turn of the loop, each for another address.
    func readAtOnce(_ count: UInt16) async -> [ClientOutcome] {
        let turn = Turn()
        return await withTaskGroup(of: ClientOutcome.self) { group in
            for _ in 0..<count {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        let callers = turn.join(continuation)
                        if callers.count == count { submit(callers) }
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// Those who wait until all are there.
    private final class Turn: Sendable {
        private let callers = Mutex<[CheckedContinuation<ClientOutcome, Never>]>([])

        /// - Returns: all who are there by now.
        func join(_ caller: CheckedContinuation<ClientOutcome, Never>) -> [CheckedContinuation<ClientOutcome, Never>] {
            callers.withLock { callers in
                callers.append(caller)
                return callers
            }
        }
    }

    private func submit(_ callers: [CheckedContinuation<ClientOutcome, Never>]) {
        onLoop { driver in
            for (address, continuation) in callers.enumerated() {
                driver.submit(
                    .single(.read(.coils, AddressRange(UInt16(address)))), unit: 1, deadline: .now() + .seconds(30),
                    call: status.makeCall(), continuation: continuation)
            }
        }
    }

    func onLoop(_ body: @escaping @Sendable (ClientDriver) -> Void) {
        loop.execute { body(driver.value) }
    }

    func close() async {
        await withCheckedContinuation { continuation in
            onLoop { $0.close { continuation.resume() } }
        }
    }
}

/// Reports what happens to an accepted connection: that it was asked something, and how it ended.
final class Witness: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let asked: EventLoopPromise<Void>
    private let wasReset: EventLoopPromise<Bool>

    init(asked: EventLoopPromise<Void>, wasReset: EventLoopPromise<Bool>) {
        self.asked = asked
        self.wasReset = wasReset
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        asked.succeed()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        wasReset.succeed((error as? IOError)?.errnoCode == ECONNRESET)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        wasReset.succeed(false)
    }
}

@Suite("How a client's driver treats connections", .timeLimit(.minutes(1)))
struct DriverTests {
    private func isAnswered(_ outcome: ClientOutcome) -> Bool {
        if case .single(.success) = outcome { true } else { false }
    }

    @Test("an address is not looked up, so no name server can delay it")
    func address() async throws {
        let server = ModbusServer(device: MemoryDevice())
        let rig = DriverRig(port: try await server.start()) { configuration, loop in
            ClientChannel.dial(configuration, on: loop) { host, _ in
                Issue.record("\(host) was looked up")
                return []
            }
        }
        #expect(isAnswered(await rig.read()))
        await rig.close()
        await server.stop()
    }

    @Test("a name is looked up and connected to")
    func name() async throws {
        let server = ModbusServer(device: MemoryDevice())
        let client = try ModbusClient(configuration: .init(host: "localhost", port: try await server.start()))
        _ = try await client.read(.coils, AddressRange(0), deadline: .now() + .seconds(30))
        await client.close()
        await server.stop()
    }

    @Test("while a name is being looked up, nobody starts to look it up again")
    func oneLookupAtATime() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let gate = DispatchSemaphore(value: 0)
        let asked = Mutex(0)
        let addresses = [
            try SocketAddress(ipAddress: "127.0.0.1", port: 1), try SocketAddress(ipAddress: "::1", port: 1),
        ]
        let lookup = HostLookup(eventLoop: loop) { _, _ in
            asked.withLock { $0 += 1 }
            // Once open, it is open for all.
            gate.wait()
            gate.signal()
            return addresses
        }
        // An attempt asks for both kinds; the second attempt comes while the first still waits.
        let all = try await loop.submit {
            let futures = (0..<2).flatMap { _ in
                [lookup.initiateAAAAQuery(host: "plc", port: 1), lookup.initiateAQuery(host: "plc", port: 1)]
            }
            gate.signal()
            return EventLoopFuture.whenAllSucceed(futures, on: loop)
        }.flatMap { $0 }.get()
        #expect(all == [[addresses[1]], [addresses[0]], [addresses[1]], [addresses[0]]])
        #expect(asked.withLock { $0 } == 1)
        _ = try await loop.submit { lookup.initiateAQuery(host: "plc", port: 1) }.flatMap { $0 }.get()
        #expect(asked.withLock { $0 } == 2, "what was found is not kept: a device may move")
    }

    @Test("a peer that closes its side while we wait is given up with a reset, so that the write cannot be sent again")
    func halfClosed() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let (asked, wasReset) = (loop.makePromise(of: Void.self), loop.makePromise(of: Bool.self))
        let leaving = try await ServerBootstrap(group: loop)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                asked.futureResult.whenSuccess { channel.close(mode: .output, promise: nil) }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Witness(asked: asked, wasReset: wasReset))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let client = try ModbusClient(
            configuration: .init(host: "127.0.0.1", port: try #require(leaving.localAddress?.port)))
        let error = await #expect(throws: ModbusError.self) {
            try await client.write(coil: 0, true, deadline: .now() + .seconds(30))
        }
        #expect(error?.code == .unknownOutcome(.connectionLost))
        #expect(try await wasReset.futureResult.get())
        await client.close()
        try await leaving.close()
    }

    @Test("a peer that closes its side while nothing is owed gets an ordinary close")
    func closedIdle() async throws {
        let server = ModbusServer(device: MemoryDevice())
        let rig = DriverRig(port: try await server.start()) { ClientChannel.dial($0, on: $1) }
        #expect(isAnswered(await rig.read()))
        await server.stop()
        try await eventually("the client notices") { rig.status.state != .up }
        #expect(rig.status.statistics.connectionLosses == 1)
        await rig.close()
    }

    @Test("what an older connection still delivers is not taken for the present one's")
    func staleBytes() async throws {
        let server = ModbusServer(device: MemoryDevice())
        let port = try await server.start()
        let rig = DriverRig(port: port) { ClientChannel.dial($0, on: $1) }
        #expect(isAnswered(await rig.read()))
        let older = try await ClientBootstrap(group: rig.loop).connect(host: "127.0.0.1", port: port).get()
        rig.onLoop {
            $0.received(bytes("00 00 |ff ff |ff ff |ff ff"), on: older)
            $0.ended(older, reason: "old")
        }
        #expect(isAnswered(await rig.read()))
        #expect(rig.status.statistics.poisonedStreams == 0 && rig.status.statistics.connects == 1)
        try await older.close()
        await rig.close()
        await server.stop()
    }

    @Test("a connection that ended before anybody looked is noticed at once")
    func closedAtOnce() async throws {
        let server = ModbusServer(device: MemoryDevice())
        let dials = Atomic(0)
        let count: @Sendable () -> Int = { dials.wrappingAdd(1, ordering: .relaxed).newValue }
        let rig = DriverRig(port: try await server.start()) { configuration, loop in
            let dial = ClientChannel.dial(configuration, on: loop)
            return { driver in
                let isFirst = count() == 1
                return dial(driver).flatMap { channel in
                    isFirst ? channel.close().map { channel } : channel.eventLoop.makeSucceededFuture(channel)
                }
            }
        }
        #expect(isAnswered(await rig.read()), "made again on the second connection")
        #expect(rig.status.statistics.connects == 2 && rig.status.statistics.connectionLosses == 1)
        await rig.close()
        await server.stop()
    }

    @Test("a client that is dropped without being closed does not keep its connection")
    func dropped() async throws {
        let registry = ServerRegistry(limit: 1, policy: .refuseNewest)
        registry.begin()
        let listener = try await ServerChannel.bootstrap(
            .init(), eventLoop: MultiThreadedEventLoopGroup.singleton.next(), device: MemoryDevice(), registry: registry
        ).bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        let connection: any Channel
        do {
            let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: port))
            _ = try await client.read(.coils, AddressRange(0), deadline: .now() + .seconds(30))
            // Looked up while the client lives: afterwards the connection may be gone already, as it should.
            connection = try #require(registry.end().first)
            withExtendedLifetime(client) {}
        }
        let ended = connection.eventLoop.makePromise(of: Bool.self)
        connection.closeFuture.whenComplete { _ in ended.succeed(true) }
        // Only reached when it is kept.
        let alarm = connection.eventLoop.scheduleTask(in: .seconds(20)) { ended.succeed(false) }
        #expect(try await ended.futureResult.get())
        alarm.cancel()
        #expect(registry.statistics.accepted == 1 && registry.statistics.open == 0)
        try await listener.close()
    }
}
