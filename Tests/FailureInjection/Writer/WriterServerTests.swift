import ALDCore
import ALDTestKit
import Foundation
import XCTest

/// The server itself dies, freezes, hands over to a standby that lacks commits, or comes back as it was earlier, while
/// records are appended without a pause.
final class WriterServerTests: ClusterTestCase {
    /// The rig must see the fault, go on accepting, and land again after it.
    private static func during(
        _ story: String, _ rig: WriterRig, _ disturb: () async throws -> Void, _ repair: () async throws -> Void
    ) async throws {
        let before = rig.writer.statistics
        try await disturb()
        try await eventually("\(story): the failure is seen, \(rig.writer.statistics)") {
            rig.writer.statistics.failedAttempts > before.failedAttempts
        }
        try await rig.keepAccepting()
        try await repair()
        try await eventually("\(story): records land again, \(rig.writer.statistics)") {
            rig.writer.statistics.landed > before.landed + 200 && rig.writer.statistics.lastFault == nil
        }
    }

    func test_serverKilledStoppedFrozenAndRestarted_nothingIsLostOrDoubled() async throws {
        try await withCluster { cluster, directory in
            let promises = Promises()
            let database = try cluster.configuration(database: Self.database)
            try await WriterRig.run(Self.options(directory, database), promises: promises) { rig in
                try await rig.withLoad(waitingAtMost: 4000) {
                    try await rig.landMore()
                    for round in 0..<Gate.rounds(2, nominal: 40) {
                        try await Self.during("kill -9, round \(round)", rig) {
                            try await cluster.kill()
                        } _: {
                            try await cluster.start()
                        }
                        try await Self.during("stop -m immediate, round \(round)", rig) {
                            try await cluster.stop(.immediate)
                        } _: {
                            try await cluster.start()
                        }
                        try await Self.during("frozen, round \(round)", rig) {
                            cluster.freeze()
                        } _: {
                            cluster.thaw()
                        }
                        try await cluster.stop(.fast)
                        try await cluster.start()
                        try await rig.landMore()
                    }
                }
                try await rig.drain()
                let problems = try await rig.audit().problems
                XCTAssertEqual(problems, [])
                XCTAssertEqual(rig.writer.statistics.accepted, promises.acceptedCount)
            }
        }
    }

    func test_failOverToAStandbyThatLacksCommits_theForgottenAreSentAgain() async throws {
        try await withCluster { primary, directory in
            let standby = try await primary.copy(.standby, port: 5502)
            try await standby.start()
            let database = try PostgresCluster.primary(of: primary, standby, database: Self.database)
            let promises = Promises()
            try await WriterRig.run(Self.options(directory, database), promises: promises) { rig in
                let lost = try await rig.withLoad {
                    try await rig.landMore(300)
                    try await Self.detach(standby, from: primary)
                    let before = rig.writer.statistics.landed
                    try await rig.landMore(600)
                    let lost = rig.writer.statistics.landed - before
                    try await primary.kill()
                    try await standby.promote()
                    try await rig.landMore(300)
                    return lost
                }
                try await rig.drain()
                let audit = try await LandingAudit(
                    of: promises, machine: 1, in: try standby.configuration(database: Self.database))
                XCTAssertEqual(audit.problems, [])
                XCTAssertGreaterThanOrEqual(
                    rig.writer.statistics.resurrected, lost - 100, "what the standby lacked was confirmed before")
            }
        }
    }

    func test_serverRestoredToAnEarlierPoint_theForgottenAreSentAgain() async throws {
        try await withCluster { server, directory in
            let promises = Promises()
            let database = try server.configuration(database: Self.database)
            var options = Self.options(directory, database)
            let copy = try await WriterRig.run(options, promises: promises) { rig in
                try await rig.withLoad {
                    try await rig.landMore(300)
                    let copy = try await server.copy(.backup, port: server.port)
                    try await rig.landMore(600)
                    try await server.stop(.immediate)
                    return copy
                }
            }
            // The writer's process ends, too, and the next one finds a database that is younger than its spool.
            try await copy.start()
            options.directory = directory
            try await WriterRig.run(options, promises: promises) { rig in
                try await rig.withLoad { try await rig.landMore(300) }
                try await rig.drain()
                let problems = try await rig.audit().problems
                XCTAssertEqual(problems, [])
                XCTAssertGreaterThan(rig.writer.statistics.resurrected, 0)
            }
        }
    }

    func test_serverRestoredWhileNobodyWrites_theNextRecordBringsTheForgottenBack() async throws {
        try await withCluster { server, directory in
            let promises = Promises()
            let database = try server.configuration(database: Self.database)
            try await WriterRig.run(Self.options(directory, database), promises: promises) { rig in
                for _ in 0..<50 { try await rig.append() }
                try await rig.drain()
                let copy = try await server.copy(.backup, port: server.port)
                for _ in 0..<50 { try await rig.append() }
                try await rig.drain()
                // The connection ends while it is idle: no delivery ever fails.
                try await server.stop(.immediate)
                try await copy.start()
                try await rig.append()
                try await rig.drain()
                let problems = try await rig.audit().problems
                XCTAssertEqual(problems, [])
                XCTAssertEqual(rig.writer.statistics.resurrected, 150)
            }
        }
    }
}
