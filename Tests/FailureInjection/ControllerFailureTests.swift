import ALDCore
import ALDTestKit
import Foundation
import Modbus
import XCTest

/// The controller fails in the ways controllers fail; recording notices, counts and goes on.
final class ControllerFailureTests: XCTestCase {
    /// - Parameter period: so long that a moment without a processor costs few instants.
    private func withRig(
        port: Int, _ map: RegisterMap, period: Duration, _ body: @Sendable (RecordingRig) async throws -> Void
    ) async throws {
        try await TestDatabase.withDatabase { lease in
            try await withTemporaryDirectory { directory in
                try await RecordingRig.record(
                    map, fromPort: port, into: lease.configuration, directory: directory, period: period, body)
            }
        }
    }

    func test_controllerGoneAndBack_recordingResumesWithinFiveSecondsAndTheGapIsCounted() async throws {
        let map = try RegisterMap(file: Repository.machine51)
        let device = SimulatedPLC(map, seed: 1)
        let server = ModbusServer(device: device, logger: TestDatabase.quiet)
        let port = try await server.start()
        try await withRig(port: port, map, period: .milliseconds(500)) { rig in
            try await eventually("recording") { rig.collection.statistics.cycles >= 3 }
            await server.stop()
            try await eventually("the failure is noticed") { rig.collection.statistics.missedPLC >= 4 }

            let again = ModbusServer(
                configuration: .init(port: port), device: device, logger: TestDatabase.quiet)
            try await again.start()
            let (back, before) = (ContinuousClock.now, rig.collection.statistics.cycles)
            try await eventually("recording again") { rig.collection.statistics.cycles > before }
            XCTAssertLessThan(ContinuousClock.now - back, .seconds(5))
            // Counted while it records: what is missed from here on is another gap.
            let missed = rig.collection.statistics.missedPLC
            try await eventually("everything landed") { rig.writer.statistics.spooled == 0 }
            // A controller that goes, or comes, in the middle of a scan leaves part of it, and no other scan has lost a value.
            let withoutValue = "FROM ald.parameter_value_history WHERE quality = \(Quality.bad.rawValue)"
            let scans = try await TestDatabase.number(
                "SELECT count(DISTINCT sampled_at) \(withoutValue)", rig.database)
            XCTAssertLessThanOrEqual(scans, 2)
            let rows = try await TestDatabase.number("SELECT count(*) \(withoutValue)", rig.database)
            XCTAssertEqual(rows, rig.collection.statistics.badRows)
            let recorded = try await TestDatabase.number(
                "SELECT sum(instants) FROM ald.collection_gaps WHERE cause = 'plc'", rig.database)
            XCTAssertGreaterThanOrEqual(recorded, missed)
            await again.stop()
        }
    }

    func test_controllerThatAcceptsAndNeverAnswers_everyInstantIsAGapInTime() async throws {
        let map = try RegisterMap(file: Repository.machine51)
        let silent = try SilentListener()
        defer { silent.close() }
        try await withRig(port: silent.port, map, period: .seconds(1)) { rig in
            try await eventually("ten instants") { rig.collection.statistics.missedPLC >= 10 }
            let statistics = rig.collection.statistics
            XCTAssertEqual(statistics.cycles, 0)
            // A read that never ends must not cost the instants after it.
            XCTAssertLessThanOrEqual(statistics.missedLate, statistics.missedPLC / 5)
            try await eventually("a gap landed") {
                try await TestDatabase.number("SELECT count(*) FROM ald.collection_gaps", rig.database) >= 1
            }
        }
    }
}
