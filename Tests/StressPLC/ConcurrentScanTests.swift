import ALDCore
import ALDTestKit
import Modbus
import NIOCore
import XCTest

/// Several terminals read one simulated machine over Modbus TCP while others write to it.
final class ConcurrentScanTests: XCTestCase {
    func test_tenReadersAndTwoWriters_nobodyEverSeesHalfOfAValue() async throws {
        let map = try RegisterMap(file: Repository.machine51)
        let device = SimulatedPLC(map, seed: 11)
        let server = ModbusServer(device: device, logger: TestDatabase.quiet)
        let port = try await server.start()
        let heater = try map.parameter(named: "Chamber Heater.temperature")
        // The two bit patterns share no word: any mixture of them is neither.
        let allowed: Set<Double> = [Double(Float(1.0e-3)), Double(Float(999.5))]

        try await withThrowingTaskGroup(of: Void.self) { group in
            for value in allowed {
                group.addTask {
                    try await Self.withPLC(map, port) { plc in
                        for _ in 0..<200 {
                            try await plc.write(value, to: heater.id, deadline: SystemTime().now + .seconds(10))
                        }
                    }
                }
            }
            try await group.waitForAll()
            for _ in 0..<10 {
                group.addTask {
                    try await Self.withPLC(map, port) { plc in
                        for _ in 0..<100 {
                            let seen = try await plc.readSetPoint(
                                of: heater.id, deadline: SystemTime().now + .seconds(10))
                            XCTAssertTrue(allowed.contains(seen), "torn value \(seen)")
                        }
                    }
                }
            }
            for value in allowed {
                group.addTask {
                    try await Self.withPLC(map, port) { plc in
                        for _ in 0..<500 {
                            try await plc.write(value, to: heater.id, deadline: SystemTime().now + .seconds(10))
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        XCTAssertEqual(server.statistics.malformedHeaders, 0)
        await server.stop()
    }

    func test_aScanOverTheWire_saysWhatTheMachineSays() async throws {
        let map = try RegisterMap(file: Repository.machine51)
        // On a clock that stands still the machine holds still too, so both ways must agree to the last bit that
        // single precision carries.
        let still = ManualTime()
        let device = SimulatedPLC(map, seed: 3, time: still)
        still.advance(by: .seconds(100))
        let server = ModbusServer(device: device, logger: TestDatabase.quiet)
        let port = try await server.start()
        let direct = try await device.scan(deadline: still.now).readings
        try await Self.withPLC(map, port) { plc in
            let wired = try await plc.scan(deadline: SystemTime().now + .seconds(10)).readings
            XCTAssertEqual(wired.count, direct.count)
            for (wire, memory) in zip(wired, direct) {
                XCTAssertEqual(wire.parameter, memory.parameter)
                let isInteger = map[wire.parameter]?.dataType == .int32
                let expected = try XCTUnwrap(memory.value)
                XCTAssertEqual(try XCTUnwrap(wire.value), isInteger ? expected.rounded() : Double(Float(expected)))
            }
            XCTAssertEqual(plc.plan.requests.count, 4)
        }
        await server.stop()
    }

    private static func withPLC(
        _ map: RegisterMap, _ port: Int, _ body: @Sendable (ModbusPLC) async throws -> Void
    ) async throws {
        let client = try ModbusClient(
            configuration: .init(host: "127.0.0.1", port: port), logger: TestDatabase.quiet)
        try await withCleanup {
            try await body(try ModbusPLC(map, client: client))
        } cleanup: {
            await client.close()
        }
    }
}
