import ALDCore
import ALDTestKit
import Foundation
import Modbus
import XCTest

/// The database is stopped without warning while a machine is recorded into it.
final class DatabaseFailureTests: XCTestCase {
    func test_databaseStoppedImmediatelyAndStartedAgain_nothingIsLostOrDoubled() async throws {
        let map = try RegisterMap(file: Repository.machine51)
        let server = ModbusServer(device: SimulatedPLC(map, seed: 1), logger: TestDatabase.quiet)
        let port = try await server.start()
        try await TestDatabase.withPrivateServer { postgres, lease in
            let database = lease.configuration
            let cluster = try XCTUnwrap(lease.directory)
            try await withTemporaryDirectory { directory in
                try await RecordingRig.record(
                    map, fromPort: port, into: database, directory: directory, period: .milliseconds(20)
                ) { rig in
                    try await eventually("landing") { rig.writer.statistics.landed > 1000 }
                    let pid = try TestDatabase.serverProcess(in: cluster)
                    // SIGQUIT is what an immediate shutdown sends: no checkpoint, sessions cut off in mid-statement.
                    kill(pid, SIGQUIT)
                    try await eventually("the server is gone") { ChildProcess.isFinished(pid) }

                    let before = rig.writer.statistics.accepted
                    try await eventually("acceptance goes on") { rig.writer.statistics.accepted > before + 2000 }
                    XCTAssertGreaterThan(rig.writer.statistics.spooled, 1000)
                    try await eventually("the failure is shown") { rig.writer.statistics.lastFault != nil }

                    try await postgres.stop()
                    _ = try await postgres.start()
                    try await eventually("the backlog has landed") {
                        rig.writer.statistics.landed > before + 2000 && rig.writer.statistics.lastFault == nil
                    }
                }
            }
            let rows = try await TestDatabase.number("SELECT count(*) FROM ald.parameter_value_history", database)
            let distinct = try await TestDatabase.number(
                "SELECT count(DISTINCT (parameter_id, sampled_at)) FROM ald.parameter_value_history", database)
            let inLedger = try await TestDatabase.number(
                """
                SELECT coalesce(sum(row_count), 0) - (SELECT count(*) FROM ald.collection_gaps) FROM ald.ingest_batches
                """, database)
            XCTAssertEqual(rows, distinct, "rows were doubled")
            XCTAssertEqual(rows, inLedger, "ledger and rows disagree")
            XCTAssertEqual(rows % 51, 0, "half a cycle landed")
        }
        await server.stop()
    }
}
