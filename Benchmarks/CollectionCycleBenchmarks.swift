import ALDCore
import ALDTestKit
import Modbus
import XCTest

/// How long one collection cycle takes, from the first byte sent to the controller to the fsync of its rows.
final class CollectionCycleBenchmarks: XCTestCase {
    /// The requirement for 100 parameters (cycle p95 below 100 ms at 1 Hz and at 10 Hz) must hold for 51.
    func test_cycleOf51ParametersOverLoopback_p95IsBelowTheRequirement() async throws {
        let map = try RegisterMap(file: Repository.machine51)
        let server = ModbusServer(device: SimulatedPLC(map, seed: 1), logger: TestDatabase.quiet)
        let port = try await server.start()
        try await TestDatabase.withDatabase { lease in
            try await withTemporaryDirectory { directory in
                try await RecordingRig.record(
                    map, fromPort: port, into: lease.configuration, directory: directory, period: .milliseconds(20)
                ) { rig in
                    try await eventually("300 cycles", within: .seconds(60)) { rig.collection.statistics.cycles >= 300 }
                    let statistics = rig.collection.statistics
                    let report = [("cycle", statistics.cycleTime), ("jitter", statistics.jitter)].map {
                        name, histogram in
                        "\(name) p50 \(histogram.percentile(50)) p95 \(histogram.percentile(95)) max \(histogram.max)"
                    }
                    print("51 parameters, 4 requests, loopback: " + report.joined(separator: "; "))
                    XCTAssertLessThan(statistics.cycleTime.percentile(95), .milliseconds(100))
                }
            }
        }
        await server.stop()
    }

    /// The aims for 1000 parameters in an optimised program on an idle machine: cycle p95 below 20 ms, jitter p99.9 below
    /// 5 ms.
    func test_cycleOf1000ParametersOverLoopback_p95KeepsItsBound() async throws {
        let map = try GeneratedMachine.registerMap(parameters: 1000, seed: 1)
        let server = ModbusServer(device: SimulatedPLC(map, seed: 1), logger: TestDatabase.quiet)
        let port = try await server.start()
        try await TestDatabase.withDatabase { lease in
            try await withTemporaryDirectory { directory in
                try await RecordingRig.record(
                    map, fromPort: port, into: lease.configuration, directory: directory, period: .milliseconds(100)
                ) { rig in
                    let cycles = Gate.rounds(60, nominal: 1000)
                    try await eventually("\(cycles) cycles", within: .seconds(200)) {
                        rig.collection.statistics.cycles >= cycles
                    }
                    let statistics = rig.collection.statistics
                    print(
                        "1000 parameters: cycle p50 \(statistics.cycleTime.percentile(50)) p95 "
                            + "\(statistics.cycleTime.percentile(95)) max \(statistics.cycleTime.max); jitter p99.9 "
                            + "\(statistics.jitter.percentile(99.9))")
                    #if DEBUG
                        XCTAssertLessThan(statistics.cycleTime.percentile(95), .milliseconds(100))
                    #else
                        XCTAssertLessThan(statistics.cycleTime.percentile(95), .milliseconds(20))
                        XCTAssertLessThan(statistics.jitter.percentile(99.9), .milliseconds(5))
                    #endif
                }
            }
        }
        await server.stop()
    }
}
