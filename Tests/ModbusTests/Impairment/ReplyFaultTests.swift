import ALDTestKit
import NIOCore
import Testing

@testable import Modbus

/// A fault, and the exact bytes that come for a request in its place.
struct FaultExample: Sendable, CustomTestStringConvertible {
    var fault: Fault
    var request = "00 05 |00 00 |00 06 |11 |04 |00 2A |00 02"
    /// What comes, pieces apart by a comma.
    var golden: String
    /// The connection ends after it.
    var ends = false

    var testDescription: String { "\(fault)" }

    init(_ fault: ReplyFault, _ golden: String, request: String? = nil, ends: Bool = false) {
        self.init(.reply(fault), golden, request: request, ends: ends)
    }

    init(_ fault: Fault, _ golden: String, request: String? = nil, ends: Bool = false) {
        self.fault = fault
        self.golden = golden
        self.ends = ends
        if let request { self.request = request }
    }

    static let tenCoils = "00 05 |00 00 |00 06 |11 |01 |00 00 |00 0A"
    static let write = "00 05 |00 00 |00 06 |11 |06 |00 2A |BE EF"

    //                              trans proto length unit fc  count data
    static let sound = "             00 05 |00 00 |00 07 |11 |04 |04 |00 2A 00 2B"

    static let all: [FaultExample] = [
        .init(.wrongTransaction, "   80 05 |00 00 |00 07 |11 |04 |04 |00 2A 00 2B"),
        .init(.wrongProtocol, "      00 05 |00 01 |00 07 |11 |04 |04 |00 2A 00 2B"),
        .init(.length(0), "          00 05 |00 00 |00 00 |11 |04 |04 |00 2A 00 2B"),
        .init(.length(0x0200), "     00 05 |00 00 |02 00 |11 |04 |04 |00 2A 00 2B"),
        .init(.lengthOff(by: -2), "  00 05 |00 00 |00 05 |11 |04 |04 |00 2A 00 2B"),
        .init(.lengthOff(by: 3), "   00 05 |00 00 |00 0A |11 |04 |04 |00 2A 00 2B"),
        .init(.wrongUnit, "          00 05 |00 00 |00 07 |12 |04 |04 |00 2A 00 2B"),
        .init(.wrongFunction, "      00 05 |00 00 |00 07 |11 |03 |04 |00 2A 00 2B"),
        .init(.byteCountOff(by: 2), "00 05 |00 00 |00 07 |11 |04 |06 |00 2A 00 2B"),
        .init(.byteCountOff(by: -4), "00 05 |00 00 |00 07 |11 |04 |00 |00 2A 00 2B"),
        .init(.paddingBits, "        00 05 |00 00 |00 05 |11 |01 |02 |00 FC", request: tenCoils),
        .init(.wrongEcho, "          00 05 |00 00 |00 06 |11 |06 |00 2B |BE EF", request: write),
        .init(.duplicate, sound + "," + sound),
        .init(.stale, sound + "," + sound),
        .init(.split(after: 6, pause: .milliseconds(5)), "00 05 00 00 00 07, 11 04 04 00 2A 00 2B"),
        .init(
            .trickle(pause: .milliseconds(1)), "00,05,00,00,00,07,11,04,04,00,2A,00,2B"),
        .init(.truncate(after: 9), " 00 05 |00 00 |00 07 |11 |04 |04", ends: true),
        .init(.truncate(after: 0), "", ends: true),
        .init(.request(.exception(.init(rawValue: 0x77))), "00 05 00 00 00 03 11 84 77"),
        .init(.request(.delay(.milliseconds(5))), sound),
        .init(.request(.drop), ""),
        .init(.request(.executeThenLose), "", request: write),
        .init(.connection(.finish), "", ends: true),
        .init(.connection(.reset), "", ends: true),
        .init(.connection(.halfClose), "", ends: true),
    ]
}

@Suite("What a faulty device sends", .background)
struct ReplyFaultTests {
    @Test(
        "every fault has exactly these bytes, is counted once, and ends when its rule is removed",
        arguments: FaultExample.all)
    func golden(_ example: FaultExample) throws {
        let faults = FaultInjector()
        var story = DeviceStory(DeviceBehavior(faults: faults))
        let connection = story.connect()
        // An answer before it, so that there is something stale.
        story.send(bytes(example.request), on: connection)
        story.run()
        let before = story.received.count
        try faults.add(FaultRule("fault", example.fault))
        story.send(bytes(example.request), on: connection)
        story.run()
        let pieces = story.received.dropFirst(before).map { hex($0.bytes) }
        let golden = example.golden.split(separator: ",").map { hex(bytes(String($0))) }
        #expect(pieces == golden)
        #expect(faults.count("fault") == 1)
        let isOver = story.actions.contains { if case .close = $0 { true } else { false } }
        #expect(isOver == example.ends)

        faults.clear()
        let next = example.ends ? story.connect() : connection
        story.send(bytes(FaultExample.tenCoils), on: next)
        story.run()
        #expect(hex(try #require(story.received.last).bytes) == "00 05 00 00 00 05 11 01 02 00 00")
        #expect(faults.count("fault") == 1 && story.received.last?.connection == next)
    }

    @Test("the same over a real socket", arguments: FaultExample.all)
    func sockets(_ example: FaultExample) async throws {
        let faults = FaultInjector()
        let device = MemoryDevice()
        let server = ModbusServer(device: device, behavior: DeviceBehavior(faults: faults))
        let port = try await server.start()
        let peer = try await RawPeer(port: port)
        if case .reply(.stale) = example.fault {
            try await peer.send(example.request)
            _ = try await peer.take(13)
        }
        try faults.add(FaultRule("fault", example.fault))
        try await peer.send(example.request)
        let golden = hex(bytes(example.golden))
        let count = bytes(example.golden).readableBytes
        if count > 0 { #expect(try await peer.take(count) == golden) }
        try await eventually("it bit") { faults.count("fault") == 1 }
        if example.ends { try await eventually("the connection is over") { peer.isOver } }
        let executes = example.request == FaultExample.write ? 1 : 0
        try await eventually("the write was executed") { device.writes == executes }
        faults.clear()
        let next = example.ends ? try await RawPeer(port: port) : peer
        try await next.send(FaultExample.tenCoils)
        #expect(try await next.take(11) == "00 05 00 00 00 05 11 01 02 00 00")
        #expect(next.received.readableBytes == 0)
        await peer.close()
        await next.close()
        await server.stop()
    }

    @Test("junk comes before or behind, and is the same for the same seed")
    func junk() throws {
        func run(_ fault: ReplyFault) throws -> [String] {
            let faults = FaultInjector()
            try faults.add(FaultRule("junk", .reply(fault)))
            var story = DeviceStory(DeviceBehavior(faults: faults, seed: 5))
            try story.read(42, transaction: 5, on: story.connect())
            story.run()
            return story.received.map { hex($0.bytes) }
        }
        let sound = "00 05 00 00 00 05 01 04 02 00 2a"
        let (before, behind) = (try run(.junkBefore(7)), try run(.junkAfter(7)))
        #expect(before.count == 2 && before[1] == sound && before[0].count == 20)
        #expect(behind == [sound, before[0]])
        #expect(try run(.junkBefore(7)) == before)
    }

    @Test("two answers change places; one that nobody overtakes comes late")
    func swap() throws {
        let faults = FaultInjector()
        var rule = FaultRule("swap", .reply(.swap(within: .milliseconds(30))))
        rule.every = 2
        try faults.add(rule)
        var story = DeviceStory(DeviceBehavior(faults: faults))
        let connection = story.connect()
        for transaction in UInt16(1)...4 { try story.read(transaction, transaction: transaction, on: connection) }
        story.run()
        #expect(story.transactions == [2, 1, 4, 3])
        try story.read(5, transaction: 5, on: connection)
        let asked = story.milliseconds
        story.run()
        #expect(story.transactions == [2, 1, 4, 3, 5] && story.milliseconds == asked + 30)
        #expect(faults.count("swap") == 3 && story.machine.statistics.inFlight == [connection: 0])
    }

    @Test("a fault that can have no effect passes, is not counted and does not use up its turn")
    func unfitting() throws {
        let faults = FaultInjector()
        for fault in [
            ReplyFault.wrongEcho, .paddingBits, .stale, .truncate(after: 200), .split(after: 60, pause: .zero),
            .lengthOff(by: 0), .length(7), .byteCountOff(by: 0),
        ] {
            var rule = FaultRule("\(fault)", .reply(fault))
            rule.times = 1
            try faults.add(rule)
        }
        var story = DeviceStory(DeviceBehavior(faults: faults))
        try story.read(42, 2, transaction: 5, on: story.connect())
        story.run()
        #expect(story.received.map { hex($0.bytes) } == ["00 05 00 00 00 07 01 04 04 00 2a 00 2b"])
        #expect(faults.counts.isEmpty)
    }

    @Test("a fault that fits and is not due leaves the answer alone", arguments: FaultExample.all)
    func notDue(_ example: FaultExample) throws {
        let faults = FaultInjector()
        var rule = FaultRule("later", example.fault)
        rule.after = 5
        try faults.add(rule)
        var story = DeviceStory(DeviceBehavior(faults: faults))
        let connection = story.connect()
        for _ in 0..<3 {
            story.send(bytes(FaultExample.tenCoils), on: connection)
            story.run()
        }
        let sound = "00 05 00 00 00 05 11 01 02 00 00"
        #expect(story.received.map { hex($0.bytes) } == [sound, sound, sound])
        #expect(faults.counts.isEmpty)
    }
}
