import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import Modbus

@Suite("What a device that is not ideal keeps, and forgets")
struct DeviceHousekeepingTests {
    @Test("an answer that was overtaken leaves no alarm behind, however long it could have been held")
    func overtaken() throws {
        let faults = FaultInjector()
        var rule = FaultRule("swap", .reply(.swap(within: .seconds(3600))))
        rule.every = 2
        try faults.add(rule)
        var story = DeviceStory(DeviceBehavior(faults: faults))
        let connection = story.connect()
        for transaction in UInt16(1)...4 {
            try story.read(0, transaction: transaction, on: connection)
            #expect((story.machine.nextEvent == nil) == transaction.isMultiple(of: 2))
        }
        #expect(story.transactions == [2, 1, 4, 3] && story.milliseconds == 0)
    }

    @Test("removing the rule while an answer is held lets the answer go with the next one")
    func removedWhileHeld() throws {
        let faults = FaultInjector()
        try faults.add(FaultRule("swap", .reply(.swap(within: .seconds(10)))))
        var story = DeviceStory(DeviceBehavior(faults: faults))
        let connection = story.connect()
        try story.read(1, transaction: 1, on: connection)
        faults.clear()
        try story.read(2, transaction: 2, on: connection)
        try story.read(3, transaction: 3, on: connection)
        #expect(story.transactions == [2, 1, 3] && faults.counts == ["swap": 1])
        #expect(story.machine.nextEvent == nil && story.machine.statistics.inFlight == [connection: 0])
    }

    @Test("a connection that ends takes all that was due for it along")
    func ended() throws {
        var behavior = DeviceBehavior()
        behavior.timing.latencyIn = .fixed(.seconds(3600))
        var story = DeviceStory(behavior)
        let (first, second) = (story.connect(), story.connect())
        for transaction in UInt16(1)...16 { try story.read(0, transaction: transaction, on: first) }
        try story.read(0, transaction: 17, on: second)
        story.machine.disconnected(first, now: story.now)
        story.run()
        #expect(story.transactions == [17] && story.received.map(\.connection) == [second])
        try story.read(0, on: second)
        story.machine.disconnected(second, now: story.now)
        #expect(story.machine.nextEvent == nil && story.machine.statistics.inFlight.isEmpty)
    }

    @Test("what was due before a connection ended happens, however late the end finds it")
    func lateEnd() throws {
        var behavior = DeviceBehavior()
        behavior.timing.perRequest = .milliseconds(10)
        let device = MemoryDevice()
        var machine = DeviceMachine(behavior, now: .uptimeNanoseconds(0))
        let connection = machine.connected(to: device, now: .uptimeNanoseconds(0))
        var frames = ByteBuffer()
        for transaction in UInt16(1)...4 {
            try frames.writeModbusRequest(.writeRegister(address: 0, value: 1), transaction: transaction, unit: 1)
        }
        machine.received(frames, from: connection, now: .uptimeNanoseconds(0))
        machine.disconnected(connection, now: .uptimeNanoseconds(25_000_000))
        machine.advance(to: .uptimeNanoseconds(1_000_000_000))
        // Two were executed and the third had begun; the fourth waited.
        #expect(device.writes == 3 && machine.statistics.queueDepth == 0 && machine.nextEvent == nil)
    }

    @Test("a half-closed connection that sends nonsense is closed when its requests are executed")
    func halfClosedNonsense() throws {
        var behavior = DeviceBehavior()
        behavior.timing.perRequest = .milliseconds(10)
        var story = DeviceStory(behavior)
        let connection = story.connect()
        try story.read(0, on: connection)
        story.strike(.halfClose)
        story.send(bytes("00 02 |00 01 |00 06 |01"), on: connection)
        story.run()
        #expect(
            story.actions == [
                .close(connection: connection, .output), .countMalformedHeader, .countAnswer(isException: false),
                .close(connection: connection, .finish),
            ])
        #expect(story.milliseconds == 10 && story.received.isEmpty)
    }

    @Test("after the server's end nothing is due, whatever was under way")
    func stopped() throws {
        var behavior = DeviceBehavior()
        behavior.timing.latencyOut = .fixed(.seconds(1000))
        var story = DeviceStory(behavior)
        try story.read(0, on: story.connect())
        story.strike(.freeze(.seconds(1000)))
        story.strike(.reboot(.seconds(1000)))
        #expect(story.machine.nextEvent != nil)
        story.machine.stop()
        #expect(story.machine.nextEvent == nil)
        // Started again, it serves at once.
        try story.read(0, transaction: 2, on: story.connect())
        story.run()
        #expect(story.transactions == [2])
    }

    @Test("a connection that a fault ends while it is being made is not kept", arguments: [true, false])
    func refused(isReset: Bool) throws {
        let faults = FaultInjector()
        try faults.add(FaultRule("connect", .connect(isReset ? .refuse : .acceptThenClose)))
        let loop = EmbeddedEventLoop()
        let registry = ServerRegistry(limit: 1, policy: .refuseNewest)
        let driver = DeviceDriver(DeviceBehavior(faults: faults), eventLoop: loop, registry: registry)
        for _ in 0..<3 {
            let channel = EmbeddedChannel(loop: loop)
            let handler = DeviceChannelHandler(driver: driver, device: MemoryDevice(), registry: registry)
            try channel.pipeline.syncOperations.addHandler(handler)
            channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
            loop.run()
            #expect(!channel.isActive)
        }
        #expect(faults.count("connect") == 3 && driver.connectionCount == 0)
    }

    @Test("half duplex without the rate that both directions share is refused")
    func halfDuplex() {
        var line = LineRate(downstream: 9600)
        line.isHalfDuplex = true
        #expect(line.problems.count == 1)
        line.upstream = 9600
        #expect(line.problems.isEmpty)
    }

    @Test("a device that cannot get rid of its answers does not read on, and goes on when they have left")
    func answersWait() throws {
        var behavior = DeviceBehavior()
        behavior.timing.latencyOut = .fixed(.seconds(10))
        var story = DeviceStory(behavior)
        let connection = story.connect()
        for transaction in UInt16(1)...200 { try story.read(0, transaction: transaction, on: connection) }
        #expect(story.machine.statistics.inFlight == [connection: DeviceMachine.answerLimit])
        #expect(story.actions.filter { $0 == .setReading(connection: connection, false) }.count == 1)
        story.run()
        #expect(story.transactions == (1...200).map { $0 } && story.machine.nextEvent == nil)
    }

    @Test("what a device was executing when it restarted is not executed, and holds up nobody afterwards")
    func restartDuringExecution() throws {
        var behavior = DeviceBehavior()
        behavior.timing.perRequest = .milliseconds(20)
        let device = MemoryDevice()
        var story = DeviceStory(behavior, device: device)
        story.send(bytes("00 01 |00 00 |00 06 |01 |06 |00 00 |00 01"), on: story.connect())
        story.run(milliseconds: 5)
        story.strike(.reboot(.milliseconds(5)))
        story.run(milliseconds: 7)
        let connection = story.connect()
        for transaction in UInt16(1)...2 { try story.read(0, transaction: transaction, on: connection) }
        story.run()
        #expect(device.writes == 0 && story.times == [32, 52])
    }

    @Test("a second restart begins the first one anew; connections made meanwhile are reset")
    func restartTwice() {
        var story = DeviceStory(DeviceBehavior(faults: FaultInjector()))
        story.strike(.reboot(.milliseconds(100)))
        story.run(milliseconds: 50)
        story.strike(.reboot(.milliseconds(100)))
        let early = story.connect()
        #expect(story.actions == [.closeListener, .close(connection: early, .reset)])
        story.run(milliseconds: 99)
        #expect(!story.actions.contains(.openListener))
        story.run(milliseconds: 1)
        #expect(story.actions.last == .openListener && story.machine.statistics.reboots == 2)
        #expect(story.machine.nextEvent == nil && story.machine.statistics.inFlight.isEmpty)
    }

    @Test("what arrives during a stall waits for its end")
    func arrivalDuringStall() throws {
        var behavior = DeviceBehavior()
        behavior.timing.latencyIn = .fixed(.milliseconds(5))
        let device = MemoryDevice()
        var story = DeviceStory(behavior, device: device)
        story.send(bytes("00 01 |00 00 |00 06 |01 |06 |00 00 |00 01"), on: story.connect())
        story.strike(.stall(.milliseconds(50)))
        story.run(milliseconds: 49)
        #expect(device.writes == 0)
        story.run()
        #expect(device.writes == 1 && story.times == [50])
    }

    @Test("a forgotten request leaves no gap in the count of those that wait")
    func forgottenOldest() throws {
        var behavior = DeviceBehavior()
        behavior.timing.perRequest = .milliseconds(10)
        behavior.timing.inputQueue = .init(limit: 2, overflow: .discardOldest)
        var story = DeviceStory(behavior)
        let connection = story.connect()
        for transaction in UInt16(1)...6 { try story.read(0, transaction: transaction, on: connection) }
        #expect(story.machine.statistics.queueDepth == 1 && story.machine.statistics.deepestQueue == 1)
        story.run()
        #expect(story.transactions == [1, 6] && story.machine.statistics.queueDepth == 0)
    }

    @Test("a device that answers for every unit is asked as the one it is, and answers as the one it was called")
    func anyUnit() throws {
        var behavior = DeviceBehavior()
        behavior.quirks.units = .any(as: 5)
        var configuration = TableDevice.Configuration(size: 10, pattern: .index)
        configuration.units = [5]
        var story = DeviceStory(behavior, device: try TableDevice(configuration))
        story.send(bytes("00 01 |00 00 |00 06 |09 |03 |00 07 |00 01"), on: story.connect())
        #expect(story.received.map { hex($0.bytes) } == ["00 01 00 00 00 05 09 03 02 00 07"])
    }

    @Test("a rule for one table leaves the same addresses of the others alone")
    func oneTable() throws {
        let faults = FaultInjector()
        var rule = FaultRule("coils", .request(.drop))
        rule.table = .coils
        try faults.add(rule)
        var story = DeviceStory(DeviceBehavior(faults: faults))
        let connection = story.connect()
        try story.read(0, transaction: 1, on: connection)
        story.send(bytes("00 02 |00 00 |00 06 |01 |01 |00 00 |00 01"), on: connection)
        try story.read(0, transaction: 3, on: connection)
        #expect(story.transactions == [1, 3] && faults.counts == ["coils": 1])
    }

    @Test("a stale answer is the one right before, not an older one")
    func stale() throws {
        let faults = FaultInjector()
        var rule = FaultRule("stale", .reply(.stale))
        rule.after = 1
        try faults.add(rule)
        var story = DeviceStory(DeviceBehavior(faults: faults))
        let connection = story.connect()
        for transaction in UInt16(1)...3 { try story.read(0, transaction: transaction, on: connection) }
        // The first has no answer before it, and the second is let pass.
        #expect(story.transactions == [1, 2, 2, 3] && faults.counts == ["stale": 1])
    }

    @Test("answers that a half-closed connection cannot get any more are not waited for")
    func halfClosedAnswers() throws {
        var behavior = DeviceBehavior()
        behavior.timing.latencyOut = .fixed(.milliseconds(10))
        var story = DeviceStory(behavior)
        let connection = story.connect()
        try story.read(0, on: connection)
        #expect(story.machine.statistics.inFlight == [connection: 1])
        story.strike(.halfClose)
        #expect(story.machine.statistics.inFlight == [connection: 0])
        story.run()
        #expect(story.received.isEmpty)
    }

    @Test("the oldest is forgotten also when it is still on its way into the device")
    func forgottenOnItsWay() throws {
        var behavior = DeviceBehavior()
        behavior.timing.latencyIn = .fixed(.milliseconds(10))
        behavior.timing.inputQueue = .init(limit: 2, overflow: .discardOldest)
        var story = DeviceStory(behavior)
        let connection = story.connect()
        for transaction in UInt16(1)...4 { try story.read(0, transaction: transaction, on: connection) }
        story.run()
        #expect(story.transactions == [3, 4] && story.machine.statistics.overflowed == 2)
        #expect(story.machine.statistics.inFlight == [connection: 0])
    }

    @Test("a connection that hangs is read on through a stall, or nobody would notice its end")
    func deafDuringStall() throws {
        let faults = FaultInjector()
        try faults.add(FaultRule("hang", .connect(.hang)))
        var story = DeviceStory(DeviceBehavior(faults: faults))
        let connection = story.connect()
        story.strike(.stall(.seconds(10)))
        try story.read(0, on: connection)
        story.run()
        #expect(story.actions.isEmpty && story.received.isEmpty && faults.count("hang") == 1)
    }

    @Test("what a connection that hangs sends is thrown away, not kept")
    func deafKeepsNothing() throws {
        let faults = FaultInjector()
        try faults.add(FaultRule("hang", .connect(.hang)))
        var story = DeviceStory(DeviceBehavior(faults: faults))
        let connection = story.connect()
        for _ in 0..<100 { try story.read(0, on: connection) }
        guard case .byLength(let decoder) = story.machine.connections[connection]?.cutter else {
            Issue.record("no connection")
            return
        }
        #expect(!decoder.hasPartialFrame && story.received.isEmpty)
    }

    @Test("a restart that begins while the device is told of the one before closes the listener again")
    func restartFromCallback() throws {
        let loop = EmbeddedEventLoop()
        let again = Mutex<(@Sendable () -> Void)?>(nil)
        var behavior = DeviceBehavior(faults: FaultInjector())
        behavior.deviceDidReboot = { again.withLock { $0.take() }?() }
        let driver = NIOLoopBoundBox(
            DeviceDriver(behavior, eventLoop: loop, registry: ServerRegistry(limit: 1, policy: .refuseNewest)),
            eventLoop: loop)
        let listening = Mutex<[Bool]>([])
        driver.value.begin { isListening in listening.withLock { $0.append(isListening) } }
        again.withLock { $0 = { driver.value.strike(.reboot(.seconds(5))) } }
        driver.value.strike(.reboot(.seconds(1)))
        loop.advanceTime(by: .seconds(3))
        #expect(listening.withLock { $0 } == [false, true, false], "it is down for the second time")
        loop.advanceTime(by: .seconds(3))
        #expect(listening.withLock { $0 } == [false, true, false, true] && driver.value.statistics.reboots == 2)
    }
}
