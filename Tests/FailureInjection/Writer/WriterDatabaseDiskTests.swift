import ALDCore
import ALDTestKit
import Foundation
import ScenarioCase
import XCTest

/// The disk of the database is full, not that of the spool.
final class WriterDatabaseDiskTests: ClusterTestCase {
    /// First no table can grow, then there is no room for the server's log and it ends.
    func test_databasesDiskFull_acceptanceGoesOnAndEverythingLandsWhenThereIsRoom() async throws {
        try await Self.skippingUnavailable {
            try await SmallDisk.run(bytes: 192 << 20) { disk in
                try await withCluster(on: disk.path) { server, directory in
                    let answers = Answers()
                    var options = Self.options(directory, try server.configuration(database: Self.database))
                    // Nothing here is silent: who waits longer than usual waits for a busy machine.
                    options.writer.attemptTimeout = .seconds(10)
                    options.around = { answers.listening(to: $0) }
                    try await WriterRig.run(options, promises: Promises()) { rig in
                        try await rig.withLoad {
                            try await rig.landMore()
                            // A file of the log that has room for all that is tried in vain.
                            try await Self.execute("SELECT pg_switch_wal()", on: server)
                            // It is made when something is written to it. On a full disk that would end the server, and no
                            // table would ever be refused.
                            try await rig.landMore(200)
                            try await Self.whileFull(disk, server, rig, answers)
                            try await rig.landMore(200)
                        }
                        try await rig.drain()
                        let audit = try await rig.audit()
                        XCTAssertEqual(audit.problems, [])
                        XCTAssertGreaterThanOrEqual(audit.found, rig.promises.acceptedCount)
                        XCTAssertEqual(audit.deadLetters, 0)
                        XCTAssertEqual(rig.writer.statistics.accepted, rig.promises.acceptedCount)
                        XCTAssertEqual(rig.writer.statistics.lost, 0)
                    }
                }
            }
        }
    }

    private static func whileFull(
        _ disk: SmallDisk, _ server: PostgresCluster, _ rig: WriterRig, _ answers: Answers
    ) async throws {
        try await disk.filled {
            try await eventually("no table can grow, \(rig.writer.statistics)") { answers.faults.contains(.resource) }
            XCTAssertEqual(answers.faults, [.resource])
            try await rig.keepAccepting()
            try await eventually("the log cannot grow, either") {
                do {
                    try await execute("SELECT pg_switch_wal()", on: server)
                } catch is PostgresError {
                    // It may have ended before it could say so.
                }
                return !answers.faults.isDisjoint(with: [.inDoubt, .unsent])
            }
            try await rig.keepAccepting()
            XCTAssertTrue(rig.writer.statistics.isBalanced)
            // Whatever is left of it.
            try await server.kill()
        }
        try await server.start()
    }
}
