import NIOCore
import NIOPosix
import Testing

@testable import Modbus

@Suite("A server that is started and stopped at the same time", .timeLimit(.minutes(1)))
struct ServerLifecycleTests {
    @Test("a stop during a start wins: what gets bound is closed, then the stop returns")
    func stopDuringStart() {
        var lifecycle = ServerLifecycle<String, Int>()
        let starts = (lifecycle.start(), lifecycle.start())
        #expect(starts == (true, false))
        guard case .wait = lifecycle.stop(1), case .wait = lifecycle.stop(2) else {
            Issue.record("a stop must wait for the start under way")
            return
        }
        guard case .close = lifecycle.bound("listener") else {
            Issue.record("a server that was stopped must not run on")
            return
        }
        let again = lifecycle.start()
        #expect(lifecycle.listener == nil && !again)
        guard case .wait = lifecycle.stop(3) else {
            Issue.record("a stop must wait for the one under way")
            return
        }
        let waiters = lifecycle.closed()
        #expect(waiters == [1, 2, 3])
        let afterwards = lifecycle.start()
        #expect(afterwards)
    }

    @Test("a stop during a start that fails returns, too")
    func stopDuringFailure() {
        var lifecycle = ServerLifecycle<String, Int>()
        _ = lifecycle.start()
        _ = lifecycle.stop(1)
        let waiters = lifecycle.bindFailed()
        #expect(waiters == [1])
        guard case .resume = lifecycle.stop(2) else {
            Issue.record("nothing runs")
            return
        }
    }

    @Test("a second stop waits for the first")
    func secondStop() {
        var lifecycle = ServerLifecycle<String, Int>()
        _ = lifecycle.start()
        guard case .serve = lifecycle.bound("listener"), case .close("listener") = lifecycle.stop(1),
            case .wait = lifecycle.stop(2)
        else {
            Issue.record("the first closes, the second waits")
            return
        }
        let waiters = lifecycle.closed()
        #expect(waiters == [1, 2])
    }

    @Test("over real sockets: after a stop nothing runs, whatever the start became")
    func races() async throws {
        for _ in 0..<100 {
            let server = ModbusServer(device: MemoryDevice())
            async let started: Void = {
                do throws(ModbusServerError) {
                    _ = try await server.start()
                } catch {
                    #expect(error.code == .stopped)
                }
            }()
            async let first: Void = server.stop()
            async let second: Void = server.stop()
            _ = await (first, second, started)
            await server.stop()
            #expect(server.port == nil)
            try await server.start()
            await server.stop()
        }
    }

    @Test("a connection that ends before it was active gives its place back")
    func neverActive() async throws {
        let registry = ServerRegistry(limit: 1, policy: .refuseNewest)
        registry.begin()
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let open = loop.makePromise(of: Int.self)
        let listener = try await ServerBootstrap(group: loop)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try ServerChannel.configure(channel, device: MemoryDevice(), registry: registry, idleTimeout: nil)
                    channel.close(promise: nil)
                    channel.closeFuture.whenComplete { _ in open.succeed(registry.statistics.open) }
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let client = try await ClientBootstrap(group: loop).connect(to: try #require(listener.localAddress)).get()
        #expect(try await open.futureResult.get() == 0)
        #expect(registry.statistics.accepted == 1 && registry.statistics.closed == 1)
        try? await client.close()
        try await listener.close()
    }

    @Test("accepted connections are probed, so that a vanished peer does not keep its place")
    func keepAlive() async throws {
        let registry = ServerRegistry(limit: 1, policy: .refuseNewest)
        registry.begin()
        let listener = try await ServerChannel.bootstrap(
            .init(), eventLoop: MultiThreadedEventLoopGroup.singleton.next(), device: MemoryDevice(), registry: registry
        ).bind(host: "127.0.0.1", port: 0).get()
        let client = try ModbusClient(
            configuration: .init(host: "127.0.0.1", port: try #require(listener.localAddress?.port)))
        _ = try await client.read(.coils, AddressRange(0), deadline: .now() + .seconds(30))
        let connection = try #require(registry.end().first)
        for (option, expected) in VanishedPeer.options() {
            #expect(try await connection.getOption(option).get() == expected, "\(option)")
        }
        await client.close()
        try await listener.close()
    }

    @Test("an attempt to open the listener that comes late, after a stop and a start, does not end a later restart")
    func staleAttempt() {
        var lifecycle = ServerLifecycle<String, Int>()
        _ = lifecycle.start()
        _ = lifecycle.bound("first")
        _ = lifecycle.reboot()
        _ = lifecycle.reopen()
        guard case .retry(let first) = lifecycle.rebindFailed() else {
            Issue.record("nobody stopped it")
            return
        }
        _ = lifecycle.stop(1)
        _ = lifecycle.closed()
        _ = lifecycle.start()
        _ = lifecycle.bound("second")
        _ = lifecycle.reboot()
        let (stale, due) = (lifecycle.reopen(again: first), lifecycle.reopen())
        #expect(!stale && due, "the device is still down when the old attempt comes")
        guard case .retry(let second) = lifecycle.rebindFailed() else {
            Issue.record("nobody stopped it")
            return
        }
        let again = lifecycle.reopen(again: second)
        #expect(again)
    }
}
