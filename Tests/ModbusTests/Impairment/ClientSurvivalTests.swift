import ALDTestKit
import NIOCore
import Testing

@testable import Modbus

/// Our client against every fault our device knows: never wrong data, never dead.
@Suite("The client survives every fault", .serialized, .timeLimit(.minutes(5)))
struct ClientSurvivalTests {
    static let faults: [Fault] =
        [
            ReplyFault.wrongTransaction, .wrongUnit, .wrongFunction, .wrongProtocol, .lengthOff(by: -1),
            .lengthOff(by: -9), .lengthOff(by: 1), .lengthOff(by: 40), .length(0), .length(1), .length(255),
            .length(65_535), .byteCountOff(by: 1), .byteCountOff(by: -2), .paddingBits, .wrongEcho, .duplicate, .stale,
            .swap(within: .milliseconds(5)), .split(after: 3, pause: .milliseconds(2)),
            .split(after: 8, pause: .milliseconds(2)), .trickle(pause: .microseconds(100)), .junkBefore(1),
            .junkBefore(7), .junkBefore(300), .junkAfter(1), .junkAfter(9), .truncate(after: 0), .truncate(after: 5),
            .truncate(after: 10),
        ].map(Fault.reply)
        + [
            RequestFault.drop, .delay(.milliseconds(80)), .exception(.serverDeviceBusy),
            .exception(.serverDeviceFailure), .exception(.init(rawValue: 0x99)), .executeThenLose,
        ].map(Fault.request)
        + [
            ConnectionFault.finish, .reset, .halfClose, .stall(.milliseconds(60)), .freeze(.milliseconds(60)),
            .reboot(.milliseconds(30)),
        ].map(Fault.connection)
        + [ConnectFault.refuse, .acceptThenClose, .hang].map(Fault.connect)

    private static func configuration(_ port: Int) -> ModbusClient.Configuration {
        var configuration = ModbusClient.Configuration(host: "127.0.0.1", port: port)
        configuration.window = 4
        configuration.progressTimeout = .milliseconds(100)
        configuration.backoff = .milliseconds(1)
        configuration.backoffCap = .milliseconds(10)
        configuration.busyDelay = .milliseconds(2)
        return configuration
    }

    /// One read of 1…20 values at a random place, or a write; what comes back must be what is there.
    ///
    /// - Returns: whether an answer came.
    private static func call(
        _ client: ModbusClient, _ random: inout SeededGenerator, within patience: TimeAmount, seed: UInt64
    ) async -> Bool {
        let start = UInt16.random(in: 0...900, using: &random)
        let count = Int.random(in: 1...20, using: &random)
        let addresses = Int(start)..<Int(start) + count
        let deadline = NIODeadline.now() + patience
        do throws(ModbusError) {
            guard let range = AddressRange(start: start, count: count) else { return false }
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                let data = try await client.read(.discreteInputs, range, deadline: deadline)
                #expect(data == .bits(addresses.map { $0 % 3 == 0 }), "wrong data, seed \(seed)")
            case 1:
                // Everybody writes the same there: the address.
                try await client.write(
                    registers: start, addresses.map { UInt16($0) }, deadline: deadline)
            default:
                let data = try await client.read(.inputRegisters, range, deadline: deadline)
                #expect(data == .registers(addresses.map { UInt16($0) }), "wrong data, seed \(seed)")
            }
            return true
        } catch {
            return false
        }
    }

    @Test("zero wrong data while it bites, and alive when it has ended", arguments: faults)
    func survives(_ fault: Fault) async throws {
        let seed = TestSeed.draw("survives \(fault)")
        let injector = FaultInjector(seed: seed)
        let server = ModbusServer(
            device: MemoryDevice(), behavior: DeviceBehavior(faults: injector, seed: seed))
        let port = try await server.start()
        let client = try ModbusClient(configuration: Self.configuration(port))
        var rule = FaultRule("fault", fault)
        rule.probability = 0.3
        try injector.add(rule)
        // Connections are only made when one is lost.
        if case .connect = fault {
            var ends = FaultRule("ends", .connection(.reset))
            ends.probability = 0.2
            try injector.add(ends)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in UInt64(0)..<4 {
                group.addTask {
                    var random = SeededGenerator(seed: seed &+ caller)
                    for _ in 0..<15 { _ = await Self.call(client, &random, within: .milliseconds(150), seed: seed) }
                }
            }
            try await group.waitForAll()
        }
        var random = SeededGenerator(seed: seed)
        try await eventually("the fault has bitten, seed \(seed)") {
            if injector.count("fault") > 0 { return true }
            _ = await Self.call(client, &random, within: .milliseconds(150), seed: seed)
            return false
        }
        injector.clear()
        try await Self.readAgain(client, seed: seed)
        let statistics = client.statistics
        #expect(statistics.pending == 0, "seed \(seed)")
        await client.close()
        await server.stop()
    }

    /// Whatever faults have left behind, the client finds its way out of it alone, and twenty reads succeed. On a busy
    /// machine its short progress timeout may still end a connection: that many of them may fail, and no more.
    private static func readAgain(_ client: ModbusClient, seed: UInt64) async throws {
        let timeouts = client.statistics.progressTimeouts
        var (succeeded, failed) = (0, 0)
        while succeeded < 20 {
            let data = try? await client.read(.inputRegisters, AddressRange(7), deadline: .now() + .seconds(60))
            #expect(data == nil || data == .registers([7]), "wrong data, seed \(seed)")
            if data == nil { failed += 1 } else { succeeded += 1 }
            let allowed = client.statistics.progressTimeouts - timeouts
            try #require(failed <= allowed, "\(failed) reads failed, \(allowed) timeouts, seed \(seed)")
        }
    }

    @Test("a device that is slow, busy and faulty at once, for many rounds of chance")
    func everything() async throws {
        let seed = TestSeed.draw()
        let injector = FaultInjector(seed: seed)
        var behavior = DeviceBehavior(busy: .init(probability: 0.05), faults: injector, seed: seed)
        behavior.timing.latencyIn = .uniform(.zero ... .microseconds(500))
        behavior.timing.latencyOut = .logNormal(median: .microseconds(200), sigma: 1, atMost: .milliseconds(5))
        behavior.timing.perRegister = .microseconds(5)
        for (index, fault) in Self.faults.enumerated() {
            var rule = FaultRule("\(index)", fault)
            rule.probability = 0.004
            try injector.add(rule)
        }
        let server = ModbusServer(device: MemoryDevice(), behavior: behavior)
        let client = try ModbusClient(configuration: Self.configuration(try await server.start()))
        let answered = await withTaskGroup(of: Int.self) { group in
            for caller in UInt64(0)..<4 {
                group.addTask {
                    var random = SeededGenerator(seed: seed &+ caller)
                    var answered = 0
                    for _ in 0..<150 {
                        if await Self.call(client, &random, within: .milliseconds(200), seed: seed) { answered += 1 }
                    }
                    return answered
                }
            }
            return await group.reduce(0, +)
        }
        #expect(answered > 300, "seed \(seed)")
        #expect(injector.counts.count > 5, "seed \(seed): \(injector.counts)")
        injector.clear()
        try await Self.readAgain(client, seed: seed)
        await client.close()
        await server.stop()
    }
}
