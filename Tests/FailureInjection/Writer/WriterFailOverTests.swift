import ALDCore
import ALDTestKit
import Foundation
import Synchronization
import XCTest

/// A delivery is under way, and its writer cannot know whether it has landed, when a standby takes over.
final class WriterFailOverTests: ClusterTestCase {
    /// Both servers have one address, which leads to the new one in the end.
    ///
    /// - Parameters:
    ///   - rows: of the delivery in doubt; many are copied.
    ///   - point: where the answer to it is cut off.
    ///   - follows: whether the standby has got the delivery; where not, it lacks some that were confirmed, too.
    private func failOver(rows: Int, cutAt point: FailPoint, follows: Bool) async throws {
        try await withCluster { primary, directory in
            let standby = try await primary.copy(.standby, port: 5502)
            try await standby.start()
            let database = try primary.configuration(database: Self.database)
            try await ProxiedDatabase.run(before: database) { proxy, proxied in
                let isDue = Mutex(false)
                let answers = Answers()
                var options = Self.options(directory, proxied)
                options.copiedRows = 20
                options.around = { answers.listening(to: $0) }
                options.writer.failPoints = FailPoints { passed in
                    let isNow = isDue.withLock { isDue in
                        defer { if passed == point { isDue = false } }
                        return isDue && passed == point
                    }
                    if isNow { proxy.set(.cut(after: 0, .timeout), .downstream) }
                }
                try await WriterRig.run(options, promises: Promises()) { rig in
                    try await rig.append(rows, kind: .history)
                    try await rig.drain()
                    let common = try await Self.batchesInLedger(of: primary)
                    try await eventually("the standby follows") {
                        try await Self.batchesInLedger(of: standby) == common
                    }
                    if !follows { try await Self.detach(standby, from: primary) }
                    for _ in 0..<5 { try await rig.append() }
                    try await rig.drain()
                    let confirmed = try await Self.batchesInLedger(of: primary)
                    let landed = rig.writer.statistics.landed

                    isDue.withLock { $0 = true }
                    try await rig.append(rows, kind: .history)
                    for server in follows ? [primary, standby] : [primary] {
                        try await eventually("it is committed") {
                            try await Self.batchesInLedger(of: server) == confirmed + 1
                        }
                    }
                    try await eventually("nobody has heard of it") { answers.faults.contains(.inDoubt) }
                    XCTAssertEqual(rig.writer.statistics.landed, landed)
                    XCTAssertEqual(rig.writer.statistics.spooled, rows)

                    try await primary.kill()
                    try await rig.keepAccepting(5)
                    try await standby.promote()
                    proxy.retarget(try ProxiedDatabase.socket(of: standby.configuration(database: Self.database)))
                    proxy.heal()
                    try await rig.drain()

                    let end = Answers.Answer.landing(follows ? .known : .landed)
                    XCTAssertEqual(answers.doubts, [.init(before: [.fault(.inDoubt)], end: end)])
                    XCTAssertEqual(rig.writer.statistics.resurrected, follows ? 0 : 15, "of those that were confirmed")
                    XCTAssertEqual(rig.writer.statistics.accepted, rig.promises.acceptedCount)
                    let audit = try await LandingAudit(
                        of: rig.promises, machine: 1, in: try standby.configuration(database: Self.database))
                    XCTAssertEqual(audit.problems, [])
                    XCTAssertEqual(audit.found, rig.promises.acceptedCount)
                }
            }
        }
    }

    func test_failOverInDoubt_whatTheStandbyHasIsNotLandedAgain() async throws {
        try await failOver(rows: 3, cutAt: .sendBefore, follows: true)
    }

    func test_failOverInDoubt_whatTheStandbyLacksLandsThere() async throws {
        try await failOver(rows: 30, cutAt: .copyWritten, follows: false)
    }
}
