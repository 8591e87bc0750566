import ALDCore
import ALDTestKit
import Foundation
import Modbus
import XCTest

/// A controller of yours, which is only read: `ALD_REAL_PLC=host:port`, its register map in `ALD_MACHINE`, its unit in
/// `ALD_PLC_UNIT`. Not one register is written.
final class HardwareTests: XCTestCase {
    func test_theControllerOfALD_REAL_PLC_isReadByThreeTerminalsAtTheSameTime() async throws {
        guard let hardware = try Hardware(ProcessInfo.processInfo.environment) else {
            throw XCTSkip("no controller; ALD_REAL_PLC=host:port names one, which is only read")
        }
        let report = try await Self.readByThree(hardware)
        XCTAssertEqual(report.dropped, 0)
        // PLC-CA-01 and PLC-PS-01: all parameters in half a second for each hundred.
        let map = try RegisterMap(file: hardware.machine)
        let p95 = report.latency.percentile(95)
        XCTAssertLessThan(p95, .milliseconds(500 * max(1, (map.parameters.count + 99) / 100)))
        print("three terminals, \(map.parameters.count) parameters: \(report.succeeded) scans, p95 \(p95)")
    }

    /// The same reading, of a simulated machine: what runs at a controller once a year is right all year.
    func test_aServedMachine_isReadByThreeTerminalsAtTheSameTime() async throws {
        let map = try RegisterMap(file: Repository.machine51)
        let device = SimulatedPLC(map, seed: 5)
        let server = ModbusServer(device: device, logger: TestDatabase.quiet)
        let port = try await server.start()
        try await withCleanup {
            _ = try await Self.readByThree(try XCTUnwrap(Hardware(["ALD_REAL_PLC": "127.0.0.1:\(port)"])))
        } cleanup: {
            await server.stop()
        }
        XCTAssertGreaterThan(server.statistics.requests, 0)
    }

    func test_anAddressThatIsNone_isRefusedAndNamed() throws {
        XCTAssertNil(try Hardware([:]))
        let six = try XCTUnwrap(Hardware(["ALD_REAL_PLC": "[::1]:502", "ALD_PLC_UNIT": "7", "ALD_MACHINE": "m.csv"]))
        XCTAssertEqual(six, Hardware(host: "::1", port: 502, unit: 7, machine: "m.csv"))
        for (name, text) in [
            ("ALD_REAL_PLC", "plc"), ("ALD_REAL_PLC", ":502"), ("ALD_REAL_PLC", "plc:0"), ("ALD_REAL_PLC", "plc:65536"),
            ("ALD_PLC_UNIT", "256"),
        ] {
            let environment = ["ALD_REAL_PLC": "plc:502"].merging([name: text]) { $1 }
            XCTAssertThrowsError(try Hardware(environment)) {
                XCTAssert("\($0)".contains("\(name) is “\(text)”"), "\($0)")
            }
        }
    }

    /// Ten reads a second each for as long as the requirement says under `ALD_SLOW`: every one succeeds, and every
    /// parameter has a value.
    private static func readByThree(_ hardware: Hardware) async throws -> OpenLoop.Report {
        let map = try RegisterMap(file: hardware.machine)
        let loop = OpenLoop(rate: 10, duration: Gate.isSlow ? .seconds(300) : .seconds(2), clients: 1)
        let configuration = ModbusClient.Configuration(
            host: hardware.host, port: hardware.port, unit: UnitID(hardware.unit))
        let report = try await withThrowingTaskGroup(of: OpenLoop.Report.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    let client = try ModbusClient(
                        configuration: configuration, logger: TestDatabase.quiet)
                    return try await withCleanup {
                        let plc = try ModbusPLC(map, client: client)
                        return try await loop.run { _, _ in
                            let scan = try await plc.scan(deadline: SystemTime().now + .seconds(10))
                            let missing = scan.readings.count { $0.value == nil }
                            if missing > 0 { throw Hardware.Refused(description: "\(missing) values are missing") }
                        }
                    } cleanup: {
                        await client.close()
                    }
                }
            }
            return try await group.reduce(into: OpenLoop.Report()) { $0.add($1) }
        }
        XCTAssertEqual(report.failed, 0, report.firstError ?? "")
        XCTAssertGreaterThan(report.succeeded, 0)
        return report
    }
}

/// Where a controller of yours is.
private struct Hardware: Equatable {
    struct Refused: Error, CustomStringConvertible {
        var description: String
    }

    var host: String
    var port: Int
    var unit: UInt8
    var machine: String

    init(host: String, port: Int, unit: UInt8, machine: String) {
        (self.host, self.port, self.unit, self.machine) = (host, port, unit, machine)
    }

    /// `nil` when `ALD_REAL_PLC` is not set.
    init?(_ environment: [String: String]) throws {
        guard let text = environment["ALD_REAL_PLC"] else { return nil }
        guard let colon = text.lastIndex(of: ":"), colon > text.startIndex,
            let port = Int(text[text.index(after: colon)...]), (1...65_535).contains(port)
        else { throw Refused(description: "ALD_REAL_PLC is “\(text)”; write host:port, for instance 192.168.0.10:502") }
        let unit = environment["ALD_PLC_UNIT"] ?? "1"
        guard let number = UInt8(unit) else {
            throw Refused(description: "ALD_PLC_UNIT is “\(unit)”; a unit is a number from 0 to 255")
        }
        let host = text[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
        self.init(
            host: host, port: port, unit: number, machine: environment["ALD_MACHINE"] ?? Repository.machine51)
    }
}
