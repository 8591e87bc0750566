import NIOCore
import Synchronization
import Testing

@testable import Modbus

@Suite("What a client tells those who watch it", .timeLimit(.minutes(1)))
struct HookTests {
    private static func watched(_ change: (inout ModbusClient.Configuration) -> Void = { _ in }) -> ClientStory {
        var story = ClientStory(change)
        story.machine.reportsEvents = true
        story.machine.logsFrames = true
        return story
    }

    @Test("a request that waits, is sent and answered: how long each took")
    func request() {
        var story = Self.watched()
        story.read(1)
        story.pass(.milliseconds(30))
        story.connect()
        story.pass(.milliseconds(12))
        let request = story.sent[0]
        story.answer()
        #expect(
            story.events == [
                .connection(.connecting), .connection(.up),
                .sent(.readHoldingRegisters, 1, queued: .milliseconds(30)),
                .answered(
                    .init(
                        function: .readHoldingRegisters, unit: 1, queued: .milliseconds(30), latency: .milliseconds(12),
                        outcome: .done, calls: 1)),
            ])
        #expect(story.shown == [ClientStory.reply(to: request)], "byte for byte")
    }

    @Test("exceptions, malformed, late and stray answers, failures")
    func mishaps() {
        var story = Self.watched()
        story.read(1)
        story.connect()
        story.receive(ClientStory.exception(.illegalDataAddress, to: story.sent.removeFirst()))
        story.read(2)
        var wrong = ClientStory.reply(to: story.sent.removeFirst())
        wrong.setInteger(UInt8(9), at: 6)
        story.receive(wrong)
        story.read(3)
        story.cancel(3)
        story.pass(.milliseconds(5))
        let late = ClientStory.reply(to: story.sent.removeFirst())
        story.receive(.joined([late, late]))
        let outcomes = story.events.compactMap { if case .answered(let reply) = $0 { reply.outcome } else { nil } }
        #expect(outcomes == [.exception(.illegalDataAddress), .malformed])
        let failures = story.events.compactMap { if case .failed(let error) = $0 { error } else { nil } }
        #expect(failures.count == 3 && failures.last?.code == .cancelled && failures.first?.isAnswer == true)
        #expect(story.events.suffix(2) == [.late(after: .milliseconds(5)), .stray])
    }

    @Test("every repetition says why")
    func repetitions() {
        var story = Self.watched { $0.window = 2 }
        story.read(1)
        story.connect()
        story.close()
        story.pass(.milliseconds(120))
        story.connect()
        story.receive(ClientStory.exception(.serverDeviceBusy, to: story.sent.removeLast()))
        story.pass(.milliseconds(50))
        story.read(2)
        story.receive(ClientStory.reply(to: story.sent.removeLast()))
        story.pass(.milliseconds(100))
        let reasons = story.events.compactMap { if case .repeated(_, _, let reason) = $0 { reason } else { nil } }
        #expect(reasons == [.connectionLost, .busy, .skipped])
    }

    @Test("a window that changes is told, and one answer for several calls says for how many")
    func windowAndSharing() {
        var story = Self.watched()
        story.read(1, at: 1)
        story.read(2, at: 1)
        story.connect()
        story.answer()
        for id in UInt64(3)...40 { story.read(id) }
        while !story.sent.isEmpty { story.answer() }
        #expect(story.events.contains(.window(2)) && story.machine.statistics.window == story.machine.window)
        #expect(story.events.contains { if case .answered(let reply) = $0 { reply.calls == 2 } else { false } })
    }

    @Test("when nobody watches, nothing is made")
    func silence() {
        var story = ClientStory.connected()
        story.read(1)
        story.answer()
        #expect(story.events.isEmpty && story.shown.isEmpty)
    }

    @Test("over a real socket: each frame as it was on the wire, both ways, with the number of its connection")
    func frames() async throws {
        let frames = Mutex<[FrameRecord]>([])
        let events = Mutex(0)
        let server = ModbusServer(device: MemoryDevice())
        let client = try ModbusClient(
            configuration: .init(host: "127.0.0.1", port: try await server.start()),
            hooks: .init(
                onEvent: { _ in events.withLock { $0 += 1 } },
                onFrame: { frame in frames.withLock { $0.append(frame) } }))
        _ = try await client.read(.inputRegisters, AddressRange(258), deadline: .now() + .seconds(30))
        await client.close()
        await server.stop()
        let seen = frames.withLock { $0 }
        #expect(seen.map(\.direction) == [.sent, .received] && seen.allSatisfy { $0.connection == 1 })
        //                                             proto length un fc
        #expect(hex(seen[0].bytes.part(2, 12)) == "00 00 00 06 01 04 01 02 00 01")
        #expect(hex(seen[1].bytes.part(2, 11)) == "00 00 00 05 01 04 02 01 02")
        #expect(seen[0].bytes.part(0, 2) == seen[1].bytes.part(0, 2), "the transaction comes back")
        #expect(events.withLock { $0 } == 5, "connecting, up, sent, answered, down")
    }

    @Test("several readers of the state each see every change, from the state they began with to the end")
    func states() async throws {
        let server = ModbusServer(device: MemoryDevice())
        let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: try await server.start()))
        let (first, second) = (client.states, client.states)
        _ = try await client.read(.coils, AddressRange(0), deadline: .now() + .seconds(30))
        let third = client.states
        await client.close()
        await server.stop()
        let ended = [ModbusError.Code.shuttingDown]
        for (stream, expected) in [
            (first, [.down(reason: ModbusError(.notConnected)), .connecting, .up]),
            (second, [.down(reason: ModbusError(.notConnected)), .connecting, .up]), (third, [.up]),
            (client.states, []),
        ] as [(AsyncStream<ConnectionState>, [ConnectionState])] {
            var seen: [ConnectionState] = []
            for await state in stream { seen.append(state) }
            #expect(seen.dropLast() == expected[...])
            #expect(seen.suffix(1).compactMap { if case .down(let reason) = $0 { reason.code } else { nil } } == ended)
        }
    }

    @Test("a reader that falls behind finds the newest changes; one that left is forgotten")
    func slowReader() async {
        let status = ClientStatus(observer: nil)
        let slow = status.states()
        var gone: AsyncStream<ConnectionState>? = status.states()
        #expect(gone != nil && status.readerCount == 2)
        gone = nil
        #expect(status.readerCount == 1)
        for _ in 0..<100 { status.publish(.connecting) }
        status.publish(.up)
        status.markClosed()
        #expect(status.readerCount == 0)
        var seen: [ConnectionState] = []
        for await state in slow { seen.append(state) }
        #expect(seen.count == ClientStatus.keptChanges && seen.last == .up)
    }
}
