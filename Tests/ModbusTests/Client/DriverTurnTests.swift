import NIOCore
import Synchronization
import Testing

@testable import Modbus

/// Notes what passes at the very front of a pipeline.
private final class Turnstile: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let seen: Passages

    init(_ seen: Passages) {
        self.seen = seen
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        seen.note("r")
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        seen.note("w")
        context.write(data, promise: promise)
    }

    func flush(context: ChannelHandlerContext) {
        seen.note("f")
        context.flush()
    }
}

private final class Passages: Sendable {
    private let all = Mutex("")

    /// r for bytes received, w for a frame written, f for a flush.
    var text: String { all.withLock(\.self) }

    func note(_ passage: String) {
        all.withLock { $0 += passage }
    }

    func forget() {
        all.withLock { $0 = "" }
    }
}

@Suite("What a client's driver does in one turn of its loop", .timeLimit(.minutes(1)))
struct DriverTurnTests {
    private func rig(
        port: Int, window: Int? = nil, hooks: ModbusClient.Hooks = .init(), _ seen: Passages
    ) -> DriverRig {
        DriverRig(port: port, window: window, hooks: hooks) { configuration, loop in
            let dial = ClientChannel.dial(configuration, on: loop)
            return { driver in
                dial(driver).flatMap { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Turnstile(seen), position: .first)
                        return channel
                    }
                }
            }
        }
    }

    private func isAnswered(_ outcome: ClientOutcome) -> Bool {
        if case .single(.success) = outcome { true } else { false }
    }

    @Test("with a window that is configured, calls of one turn leave in one system call")
    func gathered() async throws {
        let server = ModbusServer(device: MemoryDevice())
        let seen = Passages()
        let rig = rig(port: try await server.start(), window: 16, seen)
        #expect(isAnswered(await rig.read()))
        seen.forget()
        let outcomes = await rig.readAtOnce(16)
        #expect(outcomes.allSatisfy(isAnswered))
        // Later, an answer that takes its time may let a read be made again.
        #expect(seen.text.hasPrefix(String(repeating: "w", count: 16) + "f"), "\(seen.text)")
        await rig.close()
        await server.stop()
    }

    @Test("while the window is being found out every frame leaves alone: some devices see only the first of a segment")
    func alone() async throws {
        let server = ModbusServer(device: MemoryDevice())
        let seen = Passages()
        let windows = Mutex<[Int]>([])
        var hooks = ModbusClient.Hooks()
        hooks.onEvent = { event in if case .window(let size) = event { windows.withLock { $0.append(size) } } }
        let rig = rig(port: try await server.start(), hooks: hooks, seen)
        let outcomes = await rig.readAtOnce(60)
        #expect(outcomes.allSatisfy(isAnswered))
        #expect(windows.withLock { $0.first } == 2, "two were under way at a time")
        #expect(!seen.text.contains("ww"), "\(seen.text)")
        await rig.close()
        await server.stop()
    }

    @Test("answers are looked for only while somebody waits for whom that pays; the loop brings those of the others")
    func polls() async throws {
        let device = try AnsweringSocket()
        var hooks = ModbusClient.Hooks()
        // The answer lies in the socket before anybody looks for it.
        hooks.onFrame = { if $0.direction == .sent { device.answer($0.bytes) } }
        let seen = Passages()
        let rig = rig(port: device.port, hooks: hooks, seen)
        #expect(isAnswered(await rig.read()))
        for polls in [true, false, true, false] {
            seen.forget()
            #expect(isAnswered(await rig.read(polls: polls)))
            #expect(seen.text.contains("r") == !polls, "\(seen.text)")
        }
        await rig.close()
    }

    @Test("after many answers in a row the loop brings one, and then answers are looked for again")
    func bursts() async throws {
        let device = try AnsweringSocket()
        var hooks = ModbusClient.Hooks()
        hooks.onFrame = { if $0.direction == .sent { device.answer($0.bytes) } }
        let seen = Passages()
        let rig = rig(port: device.port, hooks: hooks, seen)
        #expect(isAnswered(await rig.read()))
        seen.forget()
        for _ in 0..<(4 * PollScore.burst) { #expect(isAnswered(await rig.read(polls: true))) }
        let broughtByLoop = seen.text.count { $0 == "r" }
        #expect((3..<PollScore.burst).contains(broughtByLoop), "\(broughtByLoop)")
        await rig.close()
    }
}
