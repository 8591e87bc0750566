import ALDTestKit
import Modbus
import NIOCore
import XCTest

/// Our client against the servers of other people. Each has habits of its own; with all of them it must bring the right
/// values, report the right exceptions, and never hang.
final class ForeignServerTests: XCTestCase {
    func test_libmodbus_everyFunctionBringsWhatItHolds() async throws {
        try await makeCalls(InteropCall.everyBasicFunctionAndRefusedWrites, to: .libmodbus)
    }

    func test_pymodbus_everyFunctionBringsWhatItHolds() async throws {
        try await makeCalls(InteropCall.everyBasicFunctionAndRefusedWrites, to: .pymodbus)
    }

    func test_pyModbusTCP_everyFunctionBringsWhatItHolds() async throws {
        try await makeCalls(InteropCall.everyBasicFunctionAndRefusedWrites, to: .pyModbusTCP)
    }

    func test_modbusTK_everyFunctionBringsWhatItHolds() async throws {
        try await makeCalls(InteropCall.everyBasicFunctionAndRefusedWrites, to: .modbusTK)
    }

    func test_uModbus_everyFunctionBringsWhatItHolds() async throws {
        try await makeCalls(InteropCall.everyBasicFunction, to: .uModbus)
    }

    /// What a write reached before its first bad address stays written: an exception does not promise that nothing
    /// happened, with this device.
    func test_uModbusRefusingAWriteHalfWay_isReportedAsItsExceptionAlthoughHalfIsWritten() async throws {
        var calls = InteropCall.predicted(InteropCall.refusedWrites)
        calls[1].expected = "ok 0"
        calls[3].expected = "ok 1"
        try await makeCalls(calls, to: .uModbus)
    }

    func test_libmodbus_everyWindowBringsEveryValue() async throws { try await everyWindow(.libmodbus) }
    func test_pyModbusTCP_everyWindowBringsEveryValue() async throws { try await everyWindow(.pyModbusTCP) }
    func test_uModbus_everyWindowBringsEveryValue() async throws { try await everyWindow(.uModbus) }
    func test_modbusTK_everyWindowBringsEveryValue() async throws { try await everyWindow(.modbusTK) }

    /// pymodbus answers only the first of several requests that arrive in one segment. What is answered must be right,
    /// the rest must fail as unanswered reads do, and the client must be as good as before.
    func test_pymodbusDroppingRequestsBehindTheFirst_bringsNoWrongValueAndHarmsNothing() async throws {
        try await ForeignServer.pymodbus.serve { port in
            for window in [4, 16] {
                // Whether requests share a segment is up to the operating system.
                var lost = 0
                for _ in 0..<20 where lost == 0 {
                    try await self.withClient(port: port, window: window, progressTimeout: .milliseconds(300)) {
                        client in
                        let plan = try Self.scatteredPlan()
                        let result = await client.run(plan, deadline: .now() + .seconds(20))
                        lost = plan.requests.count - self.rightResults(result, "pymodbus, window \(window)")
                        for case .failure(let error) in result.results {
                            XCTAssertEqual(error.code, .connectionClosed(mayHaveExecuted: true), "\(error)")
                        }
                        try await self.expectUsable(client)
                    }
                }
                XCTAssertGreaterThan(lost, 0, "the habit this test is about is gone")
            }
        }
    }

    func test_libmodbusRefusingOneOfManyRequestsUnderWay_bringsAllOthers() async throws {
        try await ForeignServer.libmodbus.serve { port in
            for window in [4, 16] {
                try await self.withClient(port: port, window: window) { client in
                    let outcomes = await withTaskGroup(of: (UInt16, String).self) { group in
                        for index in 0..<UInt16(40) {
                            let address = index == 20 ? 10_000 : index
                            group.addTask {
                                (index, await Self.send(.read(.holdingRegisters, AddressRange(address)), with: client))
                            }
                        }
                        return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
                    }
                    for index in 0..<UInt16(40) {
                        XCTAssertEqual(outcomes[index], index == 20 ? "exception 2" : "ok \(index)", "window \(window)")
                    }
                    XCTAssertEqual(client.statistics.connects, 1)
                }
            }
        }
    }

    private func makeCalls(_ calls: [InteropCall], to server: ForeignServer) async throws {
        try await server.serve { port in
            try await self.withClient(port: port) { client in
                for call in calls {
                    let outcome = await Self.send(call.request, with: client)
                    XCTAssertEqual(outcome, call.expected, "\(server.rawValue), \(call.words ?? "\(call.request)")")
                }
                XCTAssertEqual(client.statistics.connects, 1, "exceptions must not cost the connection")
            }
        }
    }

    private func everyWindow(_ server: ForeignServer) async throws {
        try await server.serve { port in
            for window in [1, 4, 16] {
                try await self.withClient(port: port, window: window) { client in
                    let plan = try Self.scatteredPlan()
                    let result = await client.run(plan, deadline: .now() + .seconds(20))
                    let right = self.rightResults(result, "\(server.rawValue), window \(window)")
                    XCTAssertEqual(right, plan.requests.count, "\(server.rawValue), window \(window)")
                    XCTAssertEqual(client.statistics.retries, 0)
                }
            }
        }
    }

    private func expectUsable(_ client: ModbusClient) async throws {
        let written = await Self.send(.writeRegister(address: 7, value: 4_711), with: client)
        XCTAssertEqual(written, "ok")
        let read = await Self.send(.read(.holdingRegisters, AddressRange(7)), with: client)
        XCTAssertEqual(read, "ok 4711")
    }

    /// 240 requests over all tables, each of its own size, so that no answer can pass for another.
    static func scatteredPlan() throws -> ReadPlan {
        var planner = ReadPlanner()
        planner.allowsHoles = false
        return try planner.plan(
            DataTable.allCases.flatMap { table in
                (0..<60).compactMap { index in
                    AddressRange(start: UInt16(index * 130), count: 1 + index * 2).map { ReadSpan(table, $0) }
                }
            })
    }

    /// How many of the results are there; fails when one of them is not what ``IndexTables`` hold.
    private func rightResults(_ result: PlanResult, _ story: String) -> Int {
        var count = 0
        for (request, result) in zip(result.plan.requests, result.results) {
            guard case .success(let data) = result else { continue }
            count += 1
            let addresses = Int(request.range.start)..<request.range.end
            if request.table.isBits {
                XCTAssertEqual(data.bits, addresses.map { $0 & 1 == 1 }, "\(story), \(request.range)")
            } else {
                XCTAssertEqual(data.registers, addresses.map { UInt16($0) }, "\(story), \(request.range)")
            }
        }
        return count
    }

    private func withClient(
        port: Int, window: Int = 1, progressTimeout: Duration = .seconds(5),
        _ body: (ModbusClient) async throws -> Void
    ) async throws {
        var configuration = ModbusClient.Configuration(host: "127.0.0.1", port: port)
        configuration.window = window
        configuration.progressTimeout = progressTimeout
        let client = try ModbusClient(configuration: configuration, logger: TestDatabase.quiet)
        do {
            try await body(client)
        } catch {
            await client.close()
            throw error
        }
        await client.close()
    }

    private static func send(_ request: ModbusRequest, with client: ModbusClient) async -> String {
        do {
            return InteropCall.words(of: .success(try await client.send(request, deadline: .now() + .seconds(20))))
        } catch {
            return InteropCall.words(of: .failure(error))
        }
    }
}
