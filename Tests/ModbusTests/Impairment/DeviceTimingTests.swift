import NIOCore
import Testing

@testable import Modbus

@Suite("How slow a device is, in virtual time", .background)
struct DeviceTimingTests {
    /// The discrete model of the reference: 10 kbit/s both ways, one request at a time.
    struct Row: Sendable, CustomTestStringConvertible {
        var reads: Int
        var registers: Int
        var latency: Int
        var service: Int
        /// By window, in milliseconds.
        var expected: [Int: Double]

        var testDescription: String { "\(reads) × \(registers) registers, L \(latency) ms, s \(service) ms" }
    }

    static let rows = [
        Row(reads: 4, registers: 97, latency: 10, service: 1, expected: [1: 732, 2: 670, 3: 670, 4: 670, 8: 670]),
        Row(reads: 4, registers: 97, latency: 100, service: 20, expected: [1: 1168, 2: 779, 3: 779, 4: 779, 8: 779]),
        Row(reads: 15, registers: 32, latency: 50, service: 1, expected: [1: 1785, 2: 952, 3: 937, 4: 937, 8: 937]),
        Row(
            reads: 15, registers: 32, latency: 100, service: 20,
            expected: [1: 2820, 2: 1504, 3: 1057, 4: 1006, 8: 1006]),
        Row(
            reads: 62, registers: 11, latency: 10, service: 20,
            expected: [1: 3993, 2: 2021, 3: 1577, 4: 1577, 8: 1577]),
        Row(
            reads: 62, registers: 11, latency: 100, service: 1,
            expected: [1: 8395, 2: 4222, 3: 2868, 4: 2191, 8: 1648]),
    ]

    @Test("the times of the reference's model come out within half a percent", arguments: rows)
    func model(_ row: Row) throws {
        for (window, expected) in row.expected {
            var behavior = DeviceBehavior()
            behavior.timing.line = LineRate(bitsPerSecond: 10_000)
            behavior.timing.latencyIn = .fixed(.microseconds(500 * row.latency))
            behavior.timing.latencyOut = .fixed(.microseconds(500 * row.latency))
            behavior.timing.perRequest = .milliseconds(row.service)
            var story = DeviceStory(behavior)
            let time = try story.poll(row.reads, registers: row.registers, window: window)
            #expect(abs(time - expected) <= 0.005 * expected, "window \(window): \(time) ms, expected \(expected) ms")
        }
    }

    @Test("every part of the way adds its time, to the microsecond")
    func parts() throws {
        var behavior = DeviceBehavior()
        behavior.timing.latencyIn = .fixed(.milliseconds(3))
        behavior.timing.latencyOut = .fixed(.milliseconds(4))
        behavior.timing.perRequest = .milliseconds(10)
        behavior.timing.perRegister = .milliseconds(1)
        behavior.timing.perSixteenBits = .microseconds(100)
        var story = DeviceStory(behavior)
        let connection = story.connect()
        try story.read(7, 5, on: connection)
        story.run()
        #expect(story.times == [22])
        // 17 coils are two words; they come 22 ms after the start.
        story.send(bytes("00 02 |00 00 |00 06 |01 |01 |00 00 |00 11"), on: connection)
        story.run()
        #expect(story.received.last?.time == 39.2)
        // The same line with 40 bytes for TCP and IP on every frame: 52 + 51 bytes at 8 bit/ms.
        behavior.timing = .ideal
        behavior.timing.line = LineRate(bitsPerSecond: 8000)
        behavior.timing.line.overhead = 40
        story = DeviceStory(behavior)
        try story.read(7, 1, on: story.connect())
        story.run()
        #expect(story.times == [103])
        #expect(story.machine.statistics.bytesUpstream == 52 && story.machine.statistics.bytesDownstream == 51)
    }

    @Test("the bucket lets a burst pass at once, then one byte after the other")
    func bucket() {
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var bucket = TokenBucket(bitsPerSecond: 8000, burst: 100, overhead: 0)
        let times = [
            bucket.pass(60, now: start), bucket.pass(40, now: start), bucket.pass(10, now: start),
            bucket.pass(10, now: start), bucket.pass(30, now: start + .milliseconds(50)),
        ]
        // 50 ms later the line has caught up 50 of the 120 bytes: 30 of the burst are free again.
        let passed = times.map { ($0 - start).nanoseconds / 1_000_000 }
        #expect(passed == [0, 0, 10, 20, 50])
        let next = bucket.pass(10, now: start + .milliseconds(50))
        #expect((next - start).nanoseconds / 1_000_000 == 60)
        var unlimited = TokenBucket(bitsPerSecond: nil, burst: 0, overhead: 40)
        let atOnce = unlimited.pass(1_000_000, now: start)
        #expect(atOnce == start)
    }

    @Test("half duplex: both directions wait for one another")
    func halfDuplex() throws {
        var behavior = DeviceBehavior()
        behavior.timing.line = LineRate(bitsPerSecond: 8000)
        var full = DeviceStory(behavior)
        behavior.timing.line.isHalfDuplex = true
        var half = DeviceStory(behavior)
        // Requests of 12 ms, answers of 11 ms: beside each other, or all in one row.
        #expect(try full.poll(4, registers: 1, window: 4) == 59)
        #expect(try half.poll(4, registers: 1, window: 4) == 92)
    }

    @Test("one request at a time for the whole device, connections in turn: nobody starves behind a greedy one")
    func fairness() throws {
        var behavior = DeviceBehavior()
        behavior.timing.perRequest = .milliseconds(10)
        var story = DeviceStory(behavior)
        let (greedy, modest) = (story.connect(), story.connect())
        for transaction in UInt16(1)...10 { try story.read(0, transaction: transaction, on: greedy) }
        try story.read(0, on: modest)
        story.run()
        let order = story.received.map(\.connection)
        // One is being executed and one is next when the other asks.
        let expected = [greedy, greedy, modest] + Array(repeating: greedy, count: 8)
        #expect(order == expected)
        let times = (1...11).map { Double(10 * $0) }
        #expect(story.times == times)
        #expect(story.machine.statistics.deepestQueue == 10)
    }

    @Test("a scan serves so many requests, those that have arrived when it begins")
    func scan() throws {
        var behavior = DeviceBehavior()
        behavior.timing.scanCycle = .init(period: .milliseconds(100), requests: 2)
        behavior.timing.perRequest = .milliseconds(1)
        var story = DeviceStory(behavior)
        let connection = story.connect()
        story.run(milliseconds: 30)
        for transaction in UInt16(1)...5 { try story.read(0, transaction: transaction, on: connection) }
        story.run()
        #expect(story.times == [101, 102, 201, 202, 301])
        // Something that comes between two scans waits, although the scan had room.
        story.run(milliseconds: 20)
        try story.read(0, on: connection)
        story.run()
        #expect(story.received.last?.time == 401)
    }

    @Test("beyond the input queue the device does not read on, and goes on where it was")
    func stopReading() throws {
        var behavior = DeviceBehavior()
        behavior.timing.perRequest = .milliseconds(10)
        behavior.timing.inputQueue = .init(limit: 2)
        var story = DeviceStory(behavior)
        let connection = story.connect()
        for transaction in UInt16(1)...5 { try story.read(transaction, transaction: transaction, on: connection) }
        #expect(story.actions == [.setReading(connection: connection, false)])
        #expect(story.machine.statistics.inFlight == [connection: 2])
        story.run()
        #expect(story.actions.contains(.setReading(connection: connection, true)))
        #expect(story.received.map { hex($0.bytes.part(9, 11)) } == ["00 01", "00 02", "00 03", "00 04", "00 05"])
        #expect(story.machine.statistics.overflowed == 0)
    }

    @Test(
        "or it forgets the newest, or the oldest, or answers 06",
        arguments: [
            (DeviceTiming.InputQueue.Overflow.discardNewest, [1, 2, 3]), (.discardOldest, [1, 4, 5]),
            (.answerBusy, [4, 5, 1, 2, 3]),
        ])
    func overflow(_ policy: DeviceTiming.InputQueue.Overflow, _ transactions: [UInt16]) throws {
        var behavior = DeviceBehavior()
        behavior.timing.perRequest = .milliseconds(10)
        behavior.timing.inputQueue = .init(limit: 3, overflow: policy)
        var story = DeviceStory(behavior)
        let connection = story.connect()
        for transaction in UInt16(1)...5 { try story.read(0, transaction: transaction, on: connection) }
        story.run()
        #expect(story.transactions == transactions)
        #expect(story.machine.statistics.overflowed == 2)
        #expect(story.machine.statistics.inFlight == [connection: 0])
        if policy == .answerBusy { #expect(hex(story.received[0].bytes) == "00 04 00 00 00 03 01 84 06") }
        try story.read(0, transaction: 9, on: connection)
        story.run()
        #expect(hex(try #require(story.received.last).bytes) == "00 09 00 00 00 05 01 04 02 00 00", "and goes on")
    }

    @Test("twenty seconds of a very slow device, late timers included, do not drift")
    func noDrift() throws {
        var behavior = DeviceBehavior()
        behavior.timing.perRequest = .seconds(2)
        var machine = DeviceMachine(behavior, now: .uptimeNanoseconds(0))
        let connection = machine.connected(to: MemoryDevice(), now: .uptimeNanoseconds(0))
        var frames = ByteBuffer()
        for transaction in UInt16(1)...10 {
            try frames.writeModbusRequest(.read(.coils, AddressRange(0)), transaction: transaction, unit: 1)
        }
        machine.received(frames, from: connection, now: .uptimeNanoseconds(0))
        // Looked at every 3 s: what was due meanwhile happened at its own time.
        for second in stride(from: UInt64(3), through: 21, by: 3) {
            machine.advance(to: .uptimeNanoseconds(second * 1_000_000_000))
        }
        #expect(machine.statistics.answered == 10)
        #expect(machine.nextEvent == nil)
    }

    @Test("answers of one connection never overtake each other, whatever the latency")
    func order() throws {
        var behavior = DeviceBehavior()
        behavior.timing.latencyIn = .uniform(.zero ... .milliseconds(100))
        behavior.timing.latencyOut = .uniform(.zero ... .milliseconds(100))
        behavior.timing.inputQueue.limit = 200
        var story = DeviceStory(behavior)
        let connection = story.connect()
        for transaction in UInt16(1)...50 { try story.read(0, transaction: transaction, on: connection) }
        story.run()
        #expect(
            story.received.map { $0.bytes.getInteger(at: $0.bytes.readerIndex, as: UInt16.self) } == (1...50).map { $0 }
        )
        #expect(story.times == story.times.sorted())
    }

    @Test("latencies have the shape they are given, and follow from the seed")
    func latencies() {
        func sample(_ latency: Latency) -> [Double] {
            var generator = SeededGenerator(seed: 11)
            return (0..<20_000).map { _ in Double(latency.draw(using: &generator).nanoseconds) / 1e6 }.sorted()
        }
        let limits: ClosedRange<Duration> = .milliseconds(10) ... .milliseconds(100)
        let uniform = sample(.uniform(limits))
        #expect(uniform[0] >= 10 && uniform[19_999] <= 100 && abs(uniform[10_000] - 55) < 2)
        let normal = sample(.normal(mean: .milliseconds(50), deviation: .milliseconds(20), within: limits))
        #expect(normal[0] == 10 && normal[19_999] == 100 && abs(normal[10_000] - 50) < 1)
        #expect(abs(normal[16_826] - 70) < 1.5, "84 % lie below one deviation more than the mean")
        let logNormal = sample(.logNormal(median: .milliseconds(20), sigma: 0.5, atMost: .seconds(1)))
        #expect(abs(logNormal[10_000] - 20) < 0.5 && abs(logNormal[16_826] - 20 * 1.6487) < 1)
        let table = sample(
            .percentiles([
                .init(0, .milliseconds(5)), .init(0.5, .milliseconds(10)), .init(0.99, .milliseconds(50)),
                .init(1, .milliseconds(500)),
            ]))
        #expect(abs(table[5000] - 7.5) < 0.3 && abs(table[10_000] - 10) < 0.5 && abs(table[19_800] - 50) < 10)
        #expect(sample(.fixed(.milliseconds(7))).allSatisfy { $0 == 7 })
    }

    @Test("a behaviour that cannot be is refused with all its problems at once")
    func validation() async throws {
        var behavior = DeviceBehavior()
        behavior.timing.perRequest = .seconds(-1)
        behavior.timing.latencyIn = .percentiles([])
        behavior.timing.scanCycle = .init(period: .zero, requests: 0)
        behavior.timing.line = LineRate(bitsPerSecond: 0)
        behavior.timing.inputQueue.limit = 0
        behavior.quirks.maximumQuantity = .init(registers: 126)
        behavior.map = DeviceMap([.coils: .init(readable: [AddressRange(1), AddressRange(1)])])
        behavior.busy = BusyPattern(probability: 2)
        #expect(behavior.validate().count == 10, "\(behavior.validate())")
        #expect(DeviceBehavior.ideal.validate() == [])
        let server = ModbusServer(device: MemoryDevice(), behavior: behavior)
        let error = await #expect(throws: ModbusServerError.self) { try await server.start() }
        #expect(error?.code == .invalidConfiguration(behavior.validate()))
    }

    @Test("what is refused for its form, by the device's own limit or its map costs a request and no registers")
    func refusedCheaply() throws {
        var behavior = DeviceBehavior()
        behavior.timing.perRequest = .milliseconds(5)
        behavior.timing.perRegister = .milliseconds(10)
        behavior.timing.perSixteenBits = .milliseconds(10)
        behavior.quirks.maximumQuantity = .init(registers: 20)
        behavior.map = DeviceMap([.inputRegisters: .init(readable: [AddressRange(first: 0, last: 99)])])
        var plain = behavior
        plain.quirks.maximumQuantity = nil
        plain.map = nil
        for request in ["00 01 |00 00 |00 06 |01 |04 |00 00 |FF FF", "00 02 |00 00 |00 06 |01 |01 |00 00 |FF FF"] {
            var story = DeviceStory(plain)
            story.send(bytes(request), on: story.connect())
            story.run()
            #expect(story.times == [5], "\(request)")
        }
        var story = DeviceStory(behavior)
        let connection = story.connect()
        for (request, took) in [
            //  tr   pr    len  un  fc  address quantity
            ("00 03 |00 00 |00 06 |01 |04 |00 00 |00 15", 5.0), ("00 04 |00 00 |00 06 |01 |04 |00 63 |00 02", 5),
            ("00 05 |00 00 |00 06 |01 |04 |00 00 |00 14", 205), ("00 06 |00 00 |00 06 |01 |01 |00 00 |00 11", 25),
        ] {
            let before = story.milliseconds
            story.send(bytes(request), on: connection)
            story.run()
            #expect(story.milliseconds - before == took, "\(request)")
        }
        let functions = story.received.map { $0.bytes.part(7, 9) }
        #expect(functions.map { hex($0) } == ["84 03", "84 02", "04 28", "01 03"])
    }
}
