import ALDTestKit
import NIOCore
import Synchronization
import Testing

@testable import Modbus

@Suite("What a faulty device does to connections", .timeLimit(.minutes(2)))
struct ConnectionFaultTests {
    private let question = "00 01 |00 00 |00 06 |01 |04 |00 07 |00 01"
    private let answer = "00 01 00 00 00 05 01 04 02 00 07"

    private func withServer(
        _ behavior: DeviceBehavior = DeviceBehavior(faults: FaultInjector()),
        _ body: (ModbusServer, Int) async throws -> Void
    ) async throws {
        let server = ModbusServer(device: MemoryDevice(), behavior: behavior)
        let port = try await server.start()
        do { try await body(server, port) } catch { Issue.record(error) }
        await server.stop()
        #expect(server.statistics.open == 0)
    }

    @Test("a connection that is refused is reset, one that is closed gets a FIN, one that hangs stays; healing ends it")
    func connect() async throws {
        let faults = FaultInjector()
        try await withServer(DeviceBehavior(faults: faults)) { _, port in
            var rule = FaultRule("connect", .connect(.hang))
            rule.connections = 1...1
            try faults.add(rule)
            let hanging = try await RawPeer(port: port)
            try await eventually("the first hangs") { faults.count("connect") == 1 }
            try faults.add(FaultRule("connect", .connect(.refuse)))
            // The reset may come while the operating system still connects, or afterwards.
            let refused = try? await RawPeer(port: port)
            try await eventually("the second is reset") { faults.count("connect") == 2 && refused?.wasReset != false }
            try faults.add(FaultRule("connect", .connect(.acceptThenClose)))
            let closed = try await RawPeer(port: port)
            try await eventually("the third is closed") { closed.sawEnd }
            #expect(!closed.wasReset)
            faults.clear()
            let served = try await RawPeer(port: port)
            try await hanging.send(question)
            try await served.send(question)
            #expect(try await served.take(11) == answer)
            #expect(!hanging.isOver && hanging.received.readableBytes == 0 && faults.count("connect") == 3)
            await refused?.close()
            for peer in [hanging, closed, served] { await peer.close() }
        }
    }

    @Test("a reset reaches the peer as a reset, the end as an end, and the other connections go on")
    func finishAndReset() async throws {
        let faults = FaultInjector()
        try await withServer(DeviceBehavior(faults: faults)) { _, port in
            let bystander = try await RawPeer(port: port)
            for (fault, isReset) in [(ConnectionFault.finish, false), (.reset, true)] {
                let peer = try await RawPeer(port: port)
                var rule = FaultRule("fault", .connection(fault))
                rule.functions = [.readInputRegisters]
                try faults.add(rule)
                try await peer.send(question)
                try await eventually("it is over") { peer.isOver }
                #expect(peer.wasReset == isReset && peer.received.readableBytes == 0)
                faults.clear()
                try await bystander.send(question)
                #expect(try await bystander.take(11) == answer)
                await peer.close()
            }
            await bystander.close()
        }
    }

    @Test("a half-closed connection still executes what it is asked, and answers nothing")
    func halfClose() async throws {
        let faults = FaultInjector()
        let device = MemoryDevice()
        let server = ModbusServer(device: device, behavior: DeviceBehavior(faults: faults))
        let peer = try await RawPeer(port: try await server.start())
        var rule = FaultRule("half", .connection(.halfClose))
        rule.functions = [.readInputRegisters]
        try faults.add(rule)
        try await peer.send(question)
        try await eventually("the device's side is closed") { peer.sawEnd }
        try await peer.send(FaultExample.write)
        try await eventually("the write was executed") { device.writes == 1 }
        #expect(peer.received.readableBytes == 0 && !peer.wasReset)
        await peer.close()
        await server.stop()
    }

    @Test("a stalled connection stands still and goes on where it was; the others do not notice")
    func stall() throws {
        let faults = FaultInjector()
        var story = DeviceStory(DeviceBehavior(faults: faults))
        let (stalled, other) = (story.connect(), story.connect())
        var rule = FaultRule("stall", .connection(.stall(.milliseconds(500))))
        rule.connections = stalled...stalled
        rule.after = 1
        rule.times = 1
        try faults.add(rule)
        for transaction in UInt16(1)...3 { try story.read(0, transaction: transaction, on: stalled) }
        try story.read(0, transaction: 9, on: other)
        story.run()
        // The second request made it stall and is lost with it.
        #expect(story.transactions == [1, 9, 3] && story.times == [0, 0, 500])
        #expect(faults.count("stall") == 1)
        #expect(story.machine.statistics.inFlight == [stalled: 0, other: 0])
    }

    @Test("answers under way when a stall begins come afterwards, in order")
    func stallOfAnswers() throws {
        var behavior = DeviceBehavior()
        behavior.timing.latencyOut = .fixed(.milliseconds(10))
        var story = DeviceStory(behavior)
        let connection = story.connect()
        for transaction in UInt16(1)...3 { try story.read(0, transaction: transaction, on: connection) }
        story.strike(.stall(.milliseconds(100)))
        story.run(milliseconds: 50)
        try story.read(0, transaction: 4, on: connection)
        story.run()
        #expect(story.transactions == [1, 2, 3, 4] && story.times == [100, 100, 100, 110])
        #expect(story.actions.filter { $0 == .setReading(connection: connection, true) }.count == 1)
    }

    @Test("a frozen device executes nothing for anybody, until its time is over or it is thawed")
    func freeze() throws {
        var story = DeviceStory(DeviceBehavior(faults: FaultInjector()))
        let (first, second) = (story.connect(), story.connect())
        story.strike(.freeze(.seconds(3)))
        try story.read(0, transaction: 1, on: first)
        try story.read(0, transaction: 2, on: second)
        story.run(milliseconds: 1000)
        #expect(story.received.isEmpty && story.machine.statistics.queueDepth == 2)
        story.run()
        #expect(story.transactions == [1, 2] && story.times == [3000, 3000])
        story.strike(.freeze(.seconds(3600)))
        try story.read(0, transaction: 3, on: first)
        story.run(milliseconds: 1000)
        story.strike(.freeze(.zero))
        story.run(milliseconds: 0)
        #expect(story.transactions == [1, 2, 3] && story.times.last == 4000)
    }

    @Test("a restart resets every connection, refuses new ones until it is over, and tells the device")
    func reboot() async throws {
        let faults = FaultInjector()
        let restarts = Mutex(0)
        var behavior = DeviceBehavior(faults: faults)
        behavior.deviceDidReboot = { restarts.withLock { $0 += 1 } }
        try await withServer(behavior) { server, port in
            let (first, second) = (try await RawPeer(port: port), try await RawPeer(port: port))
            for peer in [first, second] {
                try await peer.send(question)
                #expect(try await peer.take(11) == answer)
            }
            var rule = FaultRule("reboot", .connection(.reboot(.seconds(600))))
            rule.functions = [.writeSingleRegister]
            try faults.add(rule)
            try await first.send(FaultExample.write)
            try await eventually("both are reset") { first.wasReset && second.wasReset }
            #expect(server.port == nil && restarts.withLock { $0 } == 0)
            await #expect(throws: (any Error).self) { try await RawPeer(port: port) }
            // A restart during a restart starts over, so this one ends it.
            await server.strike(.reboot(.milliseconds(1)))
            try await eventually("it is back") { server.port == port }
            #expect(restarts.withLock { $0 } == 1)
            let third = try await RawPeer(port: port)
            try await third.send(question)
            #expect(try await third.take(11) == answer)
            #expect(await server.deviceStatistics()?.reboots == 2)
            for peer in [first, second, third] { await peer.close() }
        }
    }

    @Test("a server may be stopped while its device restarts, and started again")
    func stopWhileRebooting() async throws {
        let server = ModbusServer(device: MemoryDevice(), behavior: DeviceBehavior(faults: FaultInjector()))
        for _ in 0..<5 {
            let port = try await server.start()
            await server.strike(.reboot(.seconds(3600)))
            #expect(server.port == nil)
            let error = await #expect(throws: ModbusServerError.self) { try await server.start() }
            #expect(error?.code == .alreadyRunning)
            await server.stop()
            #expect(try await server.start() > 0)
            await server.strike(.reboot(.zero))
            await server.stop()
            #expect(server.port == nil)
            await #expect(throws: (any Error).self) { try await RawPeer(port: port) }
        }
    }

    @Test("a restart whose port somebody took meanwhile tries again until it has it")
    func takenPort() {
        var lifecycle = ServerLifecycle<String, Int>()
        _ = lifecycle.start()
        _ = lifecycle.bound("first")
        let listener = lifecycle.reboot()
        #expect(listener == "first" && lifecycle.listener == nil)
        let (opens, again, started) = (lifecycle.reopen(), lifecycle.reopen(), lifecycle.start())
        #expect(opens && !again && !started)
        guard case .retry = lifecycle.rebindFailed() else {
            Issue.record("nobody stopped it")
            return
        }
        let reopens = lifecycle.reopen()
        #expect(reopens)
        guard case .wait = lifecycle.stop(1), case .resume([1]) = lifecycle.rebindFailed() else {
            Issue.record("a stop waits for the bind under way")
            return
        }
        let startsAgain = lifecycle.start()
        #expect(startsAgain)
    }

    @Test("a malformed header closes the connection after the answers to what came before it")
    func malformedHeader() async throws {
        var behavior = DeviceBehavior()
        behavior.timing.perRequest = .milliseconds(5)
        try await withServer(behavior) { server, port in
            let peer = try await RawPeer(port: port)
            try await peer.send(question + "00 02 |00 01 |00 06 |01 |04 |00 07 |00 01")
            try await eventually("it is over") { peer.sawEnd }
            #expect(hex(peer.received) == answer && server.statistics.malformedHeaders == 1)
            await peer.close()
        }
    }

    @Test("the frame log has every frame as it was on the wire, and keeps the last ones")
    func frameLog() async throws {
        let faults = FaultInjector()
        let log = FrameLog(capacity: 3)
        let server = ModbusServer(
            device: MemoryDevice(), behavior: DeviceBehavior(faults: faults), onFrame: { log.append($0) })
        let peer = try await RawPeer(port: try await server.start())
        try await peer.send(question)
        #expect(try await peer.take(11) == answer)
        try faults.add(FaultRule("unit", .reply(.wrongUnit)))
        try await peer.send(question)
        let wrong = try await peer.take(11)
        #expect(wrong == answer.replacing("05 01 04", with: "05 02 04"))
        #expect(log.frames.map { hex($0.bytes) } == [answer, hex(bytes(question)), wrong])
        #expect(log.frames.map(\.direction) == [.sent, .received, .sent])
        #expect(log.frames.allSatisfy { $0.connection == 1 })
        await peer.close()
        await server.stop()
    }

    @Test("writes of many registers are whole for every reader, also under load")
    func atomicity() async throws {
        var behavior = DeviceBehavior()
        behavior.timing.latencyOut = .uniform(.zero ... .milliseconds(1))
        try await withServer(behavior) { _, port in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in UInt16(1)...3 {
                    group.addTask {
                        let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: port))
                        for round in 0..<40 {
                            let value = writer * 100 + UInt16(round)
                            try await client.write(
                                registers: 10, Array(repeating: value, count: 120), deadline: .now() + .seconds(60))
                        }
                        await client.close()
                    }
                }
                for _ in 0..<3 {
                    group.addTask {
                        let client = try ModbusClient(configuration: .init(host: "127.0.0.1", port: port))
                        let range = try #require(AddressRange(start: 10, count: 120))
                        for _ in 0..<60 {
                            let data = try await client.read(.holdingRegisters, range, deadline: .now() + .seconds(60))
                            #expect(Set(data.registers).count == 1, "a reader saw half of a write")
                        }
                        await client.close()
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
