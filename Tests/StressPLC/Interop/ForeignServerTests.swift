import ALDTestKit
import Modbus
import NIOCore
import XCTest

/// Our client against the servers of other people. Each has habits of its own; with all of them it must bring the right
/// values, report the right exceptions, and never hang.
final class ForeignServerTests: XCTestCase {
    func test_libmodbus_everyFunctionBringsWhatItHolds() async throws {
        try await makeCalls(
            Self.basic + Self.maskAndExchange + Self.exchanges + InteropCall.refusedExchange, to: .libmodbus)
    }

    func test_pymodbus_everyFunctionBringsWhatItHolds() async throws {
        try await makeCalls(Self.basic + Self.maskAndExchange + Self.exchanges, to: .pymodbus)
    }

    func test_pyModbusTCP_everyFunctionBringsWhatItHolds() async throws {
        let exchanges = Self.maskAndExchange.filter { $0.request.function == .readWriteMultipleRegisters }
        let identification = InteropCall(
            request: .readDeviceIdentification(.basic), expected: "ok 0=Foreign 1=PEER 2=1.0")
        try await makeCalls(
            Self.basic + exchanges + InteropCall.exchangeOfTheSame + [identification], to: .pyModbusTCP)
    }

    func test_modbusTK_everyFunctionBringsWhatItHolds() async throws {
        try await makeCalls(Self.basic + Self.maskAndExchange + InteropCall.largestExchange, to: .modbusTK)
    }

    func test_uModbus_everyFunctionBringsWhatItHolds() async throws {
        let unknown = InteropCall(request: .readExceptionStatus, expected: "exception 1")
        try await makeCalls(InteropCall.everyBasicFunction + [unknown], to: .uModbus)
    }

    /// Functions that are about the device, not about its tables. Files and queues are stubs in pymodbus.
    func test_pymodbus_tellsWhatItIs() async throws {
        let files = [FileRecordRange(file: 4, start: 1, count: 10)].compactMap { $0 }
        let written = [FileRecord(file: 4, start: 1, values: [1, 2])].compactMap { $0 }
        try await makeCalls(
            [
                InteropCall(request: .readExceptionStatus, expected: "ok 0"),
                InteropCall(request: .diagnostics(.returnQueryData, data: [0xA537]), expected: "ok 42295"),
                InteropCall(request: .getCommEventCounter, expected: "ok 0"),
                InteropCall(request: .reportServerID, expected: "ok 466f726569676e2d504545522d312e30ff"),
                InteropCall(request: .readDeviceIdentification(.basic), expected: "ok 0=Foreign 1=PEER 2=1.0"),
                InteropCall(request: .readFIFOQueue(address: 5), expected: "ok 0 1 2 3"),
                InteropCall(
                    request: .readFileRecords(files),
                    expected: "ok 21317 21078 17746 8260 21837 19801 8274 17731 20306 17454"),
                InteropCall(request: .writeFileRecords(written), expected: "ok"),
            ], to: .pymodbus)
    }

    func test_libmodbus_tellsWhatItIs() async throws {
        try await ForeignServer.libmodbus.serve { port in
            try await self.withClient(port: port) { client in
                let bytes = try await client.readServerID(deadline: .now() + .seconds(20))
                // Identifier 180, running, and then its name with its version.
                XCTAssertEqual(Array(bytes.prefix(5)), [0xB4, 0xFF] + Array("LMB".utf8))
            }
        }
    }

    private static let exchanges = InteropCall.largestExchange + InteropCall.exchangeOfTheSame

    private static let basic = InteropCall.everyBasicFunctionAndRefusedWrites
    private static let maskAndExchange = InteropCall.predicted(InteropCall.maskAndExchange)

    /// pymodbus and pyModbusTCP write before they look at what is to be read: the exception does not promise that
    /// nothing was written.
    func test_pymodbusAndPyModbusTCPRefusingAnExchange_areReportedAsTheirExceptionAlthoughTheyWrote() async throws {
        var calls = InteropCall.refusedExchange
        calls[1].expected = "ok 1"
        try await makeCalls(calls, to: .pymodbus)
        try await makeCalls(calls, to: .pyModbusTCP)
    }

    /// pyModbusTCP takes 123 for the largest read of function 23, where §6.17 says 125.
    func test_pyModbusTCPRefusingTheLargestExchange_isReportedAsItsException() async throws {
        var calls = InteropCall.largestExchange
        calls[0].expected = "exception 3"
        try await makeCalls(calls, to: .pyModbusTCP)
    }

    /// modbus-tk reads before it writes, the other way round than §6.17 says: its answer is the old content.
    func test_modbusTKExchangingTheSameRegisters_bringsWhatWasThereBefore() async throws {
        var calls = InteropCall.exchangeOfTheSame
        calls[0].expected = "ok 5300 5301 5302 5303"
        try await makeCalls(calls, to: .modbusTK)
    }

    /// modbus-tk answers a request that it cannot take apart with two bytes that have no header. Nobody can tell what
    /// follows them, so the connection is given up, and the next request is as good as ever.
    func test_modbusTKAnsweringWithoutHeader_costsTheConnectionAndNothingElse() async throws {
        try await ForeignServer.modbusTK.serve { port in
            try await self.withClient(port: port) { client in
                let short = ModbusRequest.raw(RawRequest(.readHoldingRegisters, [0, 0, 0], isWrite: false))
                let outcome = await Self.send(short, with: client, patience: .seconds(3))
                XCTAssertTrue(outcome.hasPrefix("error"), outcome)
                try await self.expectUsable(client)
                XCTAssertEqual(client.statistics.poisonedStreams, 1)
                XCTAssertEqual(client.statistics.reconnects, 1)
            }
        }
    }

    /// pymodbus answers a request that it cannot take apart with `80 01`, the exception of function 0.
    func test_pymodbusAnsweringWithFunctionZero_failsThatRequestAndKeepsTheConnection() async throws {
        try await ForeignServer.pymodbus.serve { port in
            try await self.withClient(port: port) { client in
                let short = ModbusRequest.raw(RawRequest(.readHoldingRegisters, [0, 0, 0], isWrite: false))
                let outcome = await Self.send(short, with: client)
                XCTAssertTrue(outcome.hasPrefix("error"), outcome)
                XCTAssertEqual(client.statistics.malformedReplies, 1)
                try await self.expectUsable(client)
                XCTAssertEqual(client.statistics.reconnects, 0)
            }
        }
    }

    /// libmodbus sleeps half a second over a request with a bad quantity, and then throws away whatever has arrived
    /// behind it. Those reads come on the next connection.
    func test_libmodbusFlushingRequestsBehindABadQuantity_losesNoReadForGood() async throws {
        try await ForeignServer.libmodbus.serve { port in
            try await self.withClient(port: port, window: 4, progressTimeout: .seconds(3)) { client in
                let tooMany = ModbusRequest.raw(RawRequest(.readHoldingRegisters, [0, 0, 0, 126], isWrite: false))
                async let refused = Self.send(tooMany, with: client)
                async let first = Self.send(.read(.holdingRegisters, AddressRange(1)), with: client)
                async let second = Self.send(.read(.holdingRegisters, AddressRange(2)), with: client)
                let outcomes = await [refused, first, second]
                XCTAssertEqual(outcomes, ["exception 3", "ok 1", "ok 2"])
                try await self.expectUsable(client)
            }
        }
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

    /// The client finds out by itself what each server can take, and makes what it lost on the way once more.
    func test_everyServer_theWindowThatTheClientFindsBringsEveryValue() async throws {
        for server in ForeignServer.allCases {
            try await server.serve { port in
                try await self.withClient(port: port, window: nil, progressTimeout: .seconds(5)) { client in
                    let plan = try Self.scatteredPlan()
                    let result = await client.run(plan, deadline: .now() + .seconds(20))
                    let right = self.rightResults(result, "\(server.rawValue), own window")
                    XCTAssertEqual(right, plan.requests.count, "\(server.rawValue): \(client.statistics)")
                    try await self.expectUsable(client)
                }
            }
        }
    }

    /// pymodbus answers only the first of several requests that arrive in one segment. The rest is asked for again, so
    /// every value comes, and every value is right.
    func test_pymodbusDroppingRequestsBehindTheFirst_bringsEveryValueAndHarmsNothing() async throws {
        try await ForeignServer.pymodbus.serve { port in
            for window in [4, 16] {
                // Whether requests share a segment is up to the operating system.
                var lost = 0
                for _ in 0..<20 where lost == 0 {
                    try await self.withClient(port: port, window: window, progressTimeout: .seconds(1)) {
                        client in
                        let plan = try Self.scatteredPlan()
                        let result = await client.run(plan, deadline: .now() + .seconds(20))
                        XCTAssertEqual(self.rightResults(result, "pymodbus, window \(window)"), plan.requests.count)
                        lost = client.statistics.remade + client.statistics.retries
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
        port: Int, window: Int? = 1, progressTimeout: Duration = .seconds(5),
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

    private static func send(
        _ request: ModbusRequest, with client: ModbusClient, patience: TimeAmount = .seconds(20)
    ) async -> String {
        do {
            return InteropCall.words(of: .success(try await client.send(request, deadline: .now() + patience)))
        } catch {
            return InteropCall.words(of: .failure(error))
        }
    }
}
