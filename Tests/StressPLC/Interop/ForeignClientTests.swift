import ALDTestKit
import Modbus
import XCTest

/// The clients of other people against our server: what they print must be what it holds.
final class ForeignClientTests: XCTestCase {
    func test_libmodbus_everyFunctionBringsWhatWeHold() async throws { try await everyFunction(.libmodbus) }
    func test_pymodbus_everyFunctionBringsWhatWeHold() async throws { try await everyFunction(.pymodbus) }
    func test_pyModbusTCP_everyFunctionBringsWhatWeHold() async throws { try await everyFunction(.pyModbusTCP) }
    func test_tmodbus_everyFunctionBringsWhatWeHold() async throws { try await everyFunction(.tmodbus) }

    private func everyFunction(_ client: ForeignClient) async throws {
        try await withServer { port in
            let calls = InteropCall.everyBasicFunctionAndRefusedWrites
            let results = try await client.results(of: calls.compactMap(\.words), port: port)
            XCTAssertEqual(results.count, calls.count)
            for (call, result) in zip(calls, results) {
                XCTAssertEqual(result, call.expected, "\(client.rawValue), \(call.words ?? "")")
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
        let server = ModbusServer(device: IndexDevice(), logger: TestDatabase.quiet)
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
