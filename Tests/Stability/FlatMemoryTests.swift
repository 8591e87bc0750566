import ALDCore
import ALDTestKit
import Foundation
import Logging
import Modbus
import NIOCore
import XCTest

/// A client that runs for months must not grow. It is watched in a process of its own, since other tests leave their
/// memory behind in theirs: the test starts its own bundle again, and there it measures.
final class FlatMemoryTests: XCTestCase {
    private static let marker = "ALD_MEMORY_CHILD"
    private static let allowedGrowth = 1_000_000

    func test_requestsWithOnePercentFaults_memoryStaysFlatAndNoValueIsWrong() async throws {
        guard FileManager.default.fileExists(atPath: "/proc/self/statm") else {
            throw XCTSkip("memory is read from /proc/self/statm, which only Linux has")
        }
        if ProcessInfo.processInfo.environment[Self.marker] != nil {
            try await measure(requests: Gate.rounds(50_000, nominal: 1_000_000))
        } else {
            let bundle = try XCTUnwrap(CommandLine.arguments.first { $0.hasSuffix(".xctest") })
            let name = "Stability.FlatMemoryTests/test_requestsWithOnePercentFaults_memoryStaysFlatAndNoValueIsWrong"
            let child = try await ChildProcess.run(
                bundle, [name], environment: [Self.marker: "1"], endsWithin: .seconds(Gate.isSlow ? 1_800 : 180))
            XCTAssertEqual(child.exitCode, 0, child.transcript)
            let report = child.output.filter { $0.hasPrefix("memory:") }
            XCTAssertEqual(report.count, 1, child.transcript)
            print(report.joined())
        }
    }

    private func measure(requests: Int) async throws {
        let seed = TestSeed.draw()
        let peer = FaultyPeer()
        var configuration = ModbusClient.Configuration(host: "127.0.0.1", port: try await peer.start(seed: seed))
        configuration.window = 4
        configuration.progressTimeout = .milliseconds(200)
        configuration.backoff = .milliseconds(1)
        configuration.backoffCap = .milliseconds(10)
        let client = try ModbusClient(
            configuration: configuration, logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })

        // Caches and the allocator's arenas fill up at first.
        try await read(requests * 2 / 5, with: client)
        let before = Self.residentBytes()
        try await read(requests * 3 / 5, with: client)
        let after = Self.residentBytes()
        await client.close()
        try await peer.stop()

        let faults = peer.faults.values.reduce(0, +)
        print("memory: \(before) bytes, then \(after); \(requests) requests, \(faults) faults \(peer.faults)")
        XCTAssertLessThanOrEqual(after - before, Self.allowedGrowth)
        XCTAssertGreaterThan(faults, requests / 200)
        for fault in FaultyPeer.Fault.allCases { XCTAssertNotNil(peer.faults[fault], "\(fault) never happened") }
    }

    /// Many reads by four tasks; what comes must be right, and after each failure the next must be possible.
    private func read(_ count: Int, with client: ModbusClient) async throws {
        let (right, wrong) = await withTaskGroup(of: (Int, Int).self) { group in
            for task in 0..<4 {
                group.addTask {
                    var (right, wrong) = (0, 0)
                    for number in 0..<(count / 4) {
                        guard
                            let range = AddressRange(start: UInt16((number * 7 + task) % 900), count: 1 + number % 125),
                            let data = try? await client.read(
                                .holdingRegisters, range, deadline: .now() + .milliseconds(100))
                        else { continue }
                        if data == .registers((Int(range.start)..<range.end).map { UInt16($0) }) {
                            right += 1
                        } else {
                            wrong += 1
                        }
                    }
                    return (right, wrong)
                }
            }
            return await group.reduce(into: (0, 0)) { $0 = ($0.0 + $1.0, $0.1 + $1.1) }
        }
        XCTAssertEqual(wrong, 0)
        // One fault can cost all four requests under way, never more.
        XCTAssertGreaterThan(right, count * 9 / 10)
    }

    private static func residentBytes() -> Int {
        let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE)) : 0
    }
}
