import ALDTestKit
import Modbus
import XCTest

/// The clients of other people against our server: what they print must be what it holds.
final class ForeignClientTests: XCTestCase {
    func test_libmodbus_everyFunctionBringsWhatWeHold() async throws {
        try await makeCalls(Self.basic + Self.maskAndExchange + [Self.serverID], with: .libmodbus)
    }

    func test_pymodbus_everyFunctionBringsWhatWeHold() async throws {
        // pymodbus takes the last byte for the run indicator, tmodbus the second.
        let serverID = InteropCall(request: .reportServerID, expected: "ok 41ff4c")
        try await makeCalls(Self.basic + Self.maskAndExchange + Self.further + [serverID], with: .pymodbus)
    }

    func test_pyModbusTCP_everyFunctionBringsWhatWeHold() async throws {
        let exchanges = Self.maskAndExchange.filter { $0.request.function == .readWriteMultipleRegisters }
        let identification = Self.further.filter { $0.request.function == .encapsulatedInterface }
        try await makeCalls(Self.basic + exchanges + identification, with: .pyModbusTCP)
    }

    func test_tmodbus_everyFunctionBringsWhatWeHold() async throws {
        let serverID = InteropCall(request: .reportServerID, expected: "ok 41")
        try await makeCalls(Self.basic + Self.maskAndExchange + Self.further + [serverID], with: .tmodbus)
    }

    private static let basic = InteropCall.everyBasicFunctionAndRefusedWrites
    private static let maskAndExchange =
        InteropCall.predicted(InteropCall.maskAndExchange) + InteropCall.refusedExchange
        + InteropCall.largestExchange + InteropCall.exchangeOfTheSame
    private static let serverID = InteropCall(request: .reportServerID, expected: "ok 41ff4c44")

    /// What the device of ``withServer(_:)`` answers to the functions beside those of the tables.
    private static let further = [
        InteropCall(request: .readExceptionStatus, expected: "ok 90"),
        InteropCall(request: .diagnostics(.returnQueryData, data: [0xA537]), expected: "ok 42295"),
        InteropCall(request: .readFileRecords(records(4, 10, 3)), expected: "ok 10 11 12"),
        InteropCall(request: .writeFileRecords(written(4, 11, [700, 800])), expected: "ok"),
        InteropCall(request: .readFileRecords(records(4, 10, 4)), expected: "ok 10 700 800 13"),
        InteropCall(request: .readFileRecords(records(4, 99, 2)), expected: "exception 2"),
        InteropCall(request: .readFIFOQueue(address: 1_200), expected: "ok 7 8 9"),
        InteropCall(request: .readFIFOQueue(address: 5), expected: "exception 2"),
        InteropCall(request: .readDeviceIdentification(.basic), expected: "ok 0=ALD 1=TableDevice 2=1.0"),
    ]

    private static func records(_ file: UInt16, _ start: UInt16, _ count: Int) -> [FileRecordRange] {
        [FileRecordRange(file: file, start: start, count: count)].compactMap { $0 }
    }

    private static func written(_ file: UInt16, _ start: UInt16, _ values: [UInt16]) -> [FileRecord] {
        [FileRecord(file: file, start: start, values: values)].compactMap { $0 }
    }

    private func makeCalls(_ calls: [InteropCall], with client: ForeignClient) async throws {
        try await withServer { port in
            let results = try await client.results(of: calls.compactMap(\.words), port: port)
            XCTAssertEqual(results.count, calls.count)
            for (call, result) in zip(calls, results) {
                XCTAssertEqual(result, call.expected, "\(client.rawValue), \(call.words ?? "")")
            }
        }
    }

    /// Function 11 counts what was executed: not itself, and no exception.
    func test_everyClientThatKnowsTheEventCounter_readsHowManyRequestsWereExecuted() async throws {
        for client in [ForeignClient.pymodbus, .tmodbus] {
            let calls = ["counter", "read holding 0 1", "read holding 10000 1", "counter", "write coil 3 1", "counter"]
            try await withServer { port in
                let results = try await client.results(of: calls, port: port)
                XCTAssertEqual(results, ["ok 0", "ok 0", "exception 2", "ok 1", "ok", "ok 2"], client.rawValue)
            }
        }
    }

    /// The one foreign client that has several requests under way on one connection.
    func test_tmodbusWithoutWaitingForAnswers_bringsEveryValue() async throws {
        try await withServer { port in
            let calls = InteropCall.predicted(
                try ForeignServerTests.scatteredPlan().requests.map { .read($0.table, $0.range) })
            let results = try await ForeignClient.tmodbus.results(
                of: calls.compactMap(\.words), port: port, together: true)
            XCTAssertEqual(results, calls.map(\.expected))
        }
    }

    func test_mbpoll_printsWhatWeHoldAndWritesWhatItIsTold() async throws {
        try await withServer { port in
            for table in ["3", "4"] {
                let values = try await self.mbpoll(port, ["-t", table, "-r", "9875", "-c", "125"])
                XCTAssertEqual(values, Array(9875..<10_000))
            }
            for table in ["0", "1"] {
                let values = try await self.mbpoll(port, ["-t", table, "-r", "0", "-c", "125"])
                XCTAssertEqual(values, (0..<125).map { $0 & 1 })
            }
            _ = try await self.mbpoll(port, ["-t", "4", "-r", "20"], writing: ["11", "22", "33"])
            let written = try await self.mbpoll(port, ["-t", "4", "-r", "19", "-c", "5"])
            XCTAssertEqual(written, [19, 11, 22, 33, 23])
            _ = try await self.mbpoll(port, ["-t", "0", "-r", "20"], writing: ["1", "1", "0"])
            let bits = try await self.mbpoll(port, ["-t", "0", "-r", "19", "-c", "5"])
            XCTAssertEqual(bits, [1, 1, 1, 0, 1])
            let beyond = try await self.runMbpoll(port, ["-t", "4", "-r", "10000", "-c", "1"])
            XCTAssertNotEqual(beyond.exitCode, 0)
            XCTAssertTrue(beyond.transcript.contains("Illegal data address"), beyond.transcript)
        }
    }

    /// The values that mbpoll prints as lines of `[address]:` and value; signed beyond 32767.
    private func mbpoll(_ port: Int, _ arguments: [String], writing values: [String] = []) async throws -> [Int] {
        let result = try await runMbpoll(port, arguments, writing: values)
        XCTAssertEqual(result.exitCode, 0, result.transcript)
        return result.output.compactMap { line in
            guard line.hasPrefix("["), let end = line.firstIndex(of: ":") else { return nil }
            return line[line.index(after: end)...].split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) }
        }
    }

    private func runMbpoll(
        _ port: Int, _ arguments: [String], writing values: [String] = []
    ) async throws -> ChildResult {
        let found = try await ChildProcess.run("/bin/sh", ["-c", "command -v mbpoll"])
        guard let program = found.output.first else { throw ForeignPeers.missing("mbpoll") }
        return try await ChildProcess.run(
            program,
            ["-m", "tcp", "-p", String(port), "-a", "1", "-0", "-1", "-o", "10"] + arguments + ["127.0.0.1"]
                + (values.isEmpty ? [] : ["--"] + values))
    }

    private func withServer(_ body: (_ port: Int) async throws -> Void) async throws {
        var configuration = TableDevice.Configuration(size: IndexTables.size, pattern: .index)
        configuration.exceptionStatus = 0x5A
        configuration.serverID = ServerID(identifier: [0x41], additionalData: [0x4C, 0x44])
        configuration.files = [4: Array(0..<100)]
        configuration.queues = [1_200: [7, 8, 9]]
        let server = ModbusServer(device: try TableDevice(configuration), logger: TestDatabase.quiet)
        let port = try await server.start()
        do {
            try await body(port)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }
}
