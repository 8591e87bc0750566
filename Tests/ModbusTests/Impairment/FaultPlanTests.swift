import NIOCore
import Testing

@testable import Modbus

@Suite("When a fault bites", .background)
struct FaultPlanTests {
    private func subject(
        _ request: ModbusRequest, unit: UnitID = 1, connection: Int = 1, milliseconds: Int64 = 0
    ) throws -> FaultPlan.Subject {
        var frame = ByteBuffer()
        try frame.writeModbusRequest(request, transaction: 1, unit: unit)
        var decoder = FrameDecoder()
        decoder.append(frame)
        guard case .frame(let cut) = decoder.next() else { throw ModbusError(.notConnected) }
        return .init(connection: connection, traits: RequestTraits(cut), elapsed: .milliseconds(milliseconds))
    }

    private func bites(_ rule: FaultRule, _ subjects: [FaultPlan.Subject], seed: UInt64 = 1) -> [Bool] {
        var plan = FaultPlan(seed: seed)
        plan.add(rule)
        return subjects.map { plan.bite(.request, $0) != nil }
    }

    private func range(_ start: UInt16, _ count: Int) throws -> AddressRange {
        try #require(AddressRange(start: start, count: count))
    }

    @Test("functions, units, connections, tables, addresses and time: all must fit")
    func conditions() throws {
        let good = try subject(
            .writeRegisters(start: 98, values: [1, 2, 3]), unit: 7, connection: 3, milliseconds: 1500)
        var rule = FaultRule("all", .request(.drop))
        rule.functions = [.writeMultipleRegisters, .writeSingleRegister]
        rule.addresses = try range(100, 10)
        rule.table = .holdingRegisters
        rule.units = [7, 8]
        rule.connections = 2...3
        rule.window = .seconds(1) ..< .seconds(2)
        #expect(bites(rule, [good]) == [true])
        var others = [
            try subject(.read(.holdingRegisters, range(98, 3)), unit: 7, connection: 3, milliseconds: 1500),
            try subject(.writeRegisters(start: 97, values: [1, 2, 3]), unit: 7, connection: 3, milliseconds: 1500),
            try subject(
                .writeCoils(start: 98, values: [true, true, true]), unit: 7, connection: 3, milliseconds: 1500),
            try subject(.writeRegisters(start: 98, values: [1, 2, 3]), unit: 9, connection: 3, milliseconds: 1500),
        ]
        for (connection, time) in [(4, Int64(1500)), (3, 999), (3, 2000)] {
            others.append(
                try subject(
                    .writeRegisters(start: 98, values: [1, 2, 3]), unit: 7, connection: connection, milliseconds: time))
        }
        #expect(bites(rule, others) == Array(repeating: false, count: 7))
    }

    @Test("after so many, every so many, at most so often")
    func counting() throws {
        var rule = FaultRule("counted", .request(.drop))
        rule.after = 2
        rule.every = 3
        rule.times = 2
        let request = try subject(.read(.coils, AddressRange(0)))
        let bitten = bites(rule, Array(repeating: request, count: 12))
        #expect(bitten.indices.filter { bitten[$0] } == [2, 5])
    }

    @Test("a probability holds over many draws, follows from the seed, and does not heed other rules")
    func probability() throws {
        var rule = FaultRule("sometimes", .request(.drop))
        rule.probability = 0.1
        let requests = Array(repeating: try subject(.read(.coils, AddressRange(0))), count: 10_000)
        let first = bites(rule, requests, seed: 3)
        let count = first.count { $0 }
        #expect((900...1100).contains(count), "\(count) of 10 000")
        #expect(bites(rule, requests, seed: 3) == first)
        #expect(bites(rule, requests, seed: 4) != first)
        var plan = FaultPlan(seed: 3)
        var other = FaultRule("other", .reply(.duplicate))
        other.probability = 0.5
        plan.add(other)
        plan.add(rule)
        let beside = requests.map { request in
            _ = plan.bite(.reply, request)
            return plan.bite(.request, request) != nil
        }
        #expect(beside == first)
        #expect(plan.counts["sometimes"] == count)
    }

    @Test("the first rule that bites wins; a removed one is still counted; one of the same name starts anew")
    func order() throws {
        let faults = FaultInjector()
        var once = FaultRule("once", .request(.exception(.serverDeviceBusy)))
        once.times = 1
        try faults.add(once)
        try faults.add(FaultRule("always", .request(.drop)))
        let request = try subject(.read(.coils, AddressRange(0)))
        #expect(faults.bite(.request, request) == .request(.exception(.serverDeviceBusy)))
        #expect(faults.bite(.request, request) == .request(.drop))
        #expect(faults.bite(.reply, request) == nil)
        faults.remove("always")
        #expect(faults.bite(.request, request) == nil)
        #expect(faults.counts == ["once": 1, "always": 1])
        try faults.add(once)
        #expect(faults.bite(.request, request) == .request(.exception(.serverDeviceBusy)))
        #expect(faults.count("once") == 2 && faults.rules.map(\.name) == ["once"])
        faults.clear()
        #expect(faults.rules.isEmpty && faults.count("once") == 2 && faults.count("never") == 0)
    }

    @Test("a rule that cannot be is refused with all its problems")
    func validation() {
        var rule = FaultRule("", .reply(.junkBefore(0)))
        rule.after = -1
        rule.every = 0
        rule.times = 0
        rule.probability = 1.5
        #expect(rule.validate().count == 6, "\(rule.validate())")
        var connect = FaultRule("connect", .connect(.refuse))
        connect.units = [1]
        #expect(connect.validate().count == 1)
        #expect(FaultRule("late", .request(.delay(.seconds(-1)))).validate().count == 1)
        #expect(throws: ModbusError.self) { try FaultInjector().add(rule) }
    }

    @Test("the spans of a request come from its bytes, also of one this library does not decode")
    func traits() throws {
        var decoder = FrameDecoder()
        decoder.append(bytes("00 01 |00 00 |00 0C |01 |17 |00 03 |00 06 |00 0E |00 03 |06 00"))
        guard case .frame(let frame) = decoder.next() else {
            Issue.record("no frame")
            return
        }
        let traits = RequestTraits(frame)
        #expect(traits.registers == 9 && traits.bits == 0)
        #expect(traits.spans.map(\.range) == [try range(3, 6), try range(14, 3)])
        #expect(traits.spans.map(\.isWrite) == [false, true])
    }

    @Test("an exception cannot be forced on a malformed request, which the protocol refuses; that is no bite")
    func exceptionOnMalformed() throws {
        let faults = FaultInjector()
        var rule = FaultRule("busy", .request(.exception(.serverDeviceBusy)))
        rule.times = 2
        try faults.add(rule)
        var story = DeviceStory(DeviceBehavior(faults: faults))
        let connection = story.connect()
        for request in [
            "00 01 |00 00 |00 06 |01 |03 |00 00 |00 7E", "00 02 |00 00 |00 02 |01 |63",
            "00 03 |00 00 |00 06 |01 |03 |00 00 |00 01", "00 04 |00 00 |00 06 |01 |03 |00 00 |00 01",
        ] {
            story.send(bytes(request), on: connection)
        }
        // Function 63 is nobody's: the device is asked, so the fault can speak for it.
        let answers = story.received.map { hex($0.bytes.part(7, 9)) }
        #expect(answers == ["83 03", "e3 06", "83 06", "03 02"] && faults.counts == ["busy": 2])
    }
}
