import ALDCore
import ALDTestKit
import Foundation
import XCTest

/// What an outage costs a real process: nothing at the front, no memory, and no delay of fresh data afterwards.
final class WriterOutageTests: SharedServerTestCase {
    func test_databaseGone_acceptanceGoesOnWithoutMemoryAndFreshDataComesFirstAfterwards() async throws {
        let database = try await Self.database()
        try await withTemporaryDirectory { directory in
            let chain = try WriterChain(directory: directory, machine: 1, database: database)
            try await FaultProxy.run(to: directory + "/nobody") { proxy in
                chain.go(by: ProxiedDatabase.through(proxy, database))
                let most = Gate.isSlow ? 3_000_000 : 60_000
                let result = try await chain.live { order in
                    (order.rows, order.callers, order.waitingAtMost) = (20, 4, .max)
                    order.appends = most / order.rows
                    // Many small files, as many as a long outage fills; or files of a size that is used.
                    order.segmentBytes = Gate.isSlow ? 16 << 20 : 204_800
                    // 1000 records a second: a tenth of what two cores have taken that had ten times as much to do.
                    order.landsWithin = max(300, most / 1000)
                } _: { child in
                    // Everything that is ever accepted waits: what the process has in memory must not grow with it.
                    try await eventually("the first third is accepted", within: .seconds(600)) {
                        child.output.count > most / 60
                    }
                    let before = try Self.residentBytes(child.processIdentifier)
                    try await eventually("everything is accepted", within: .seconds(600)) {
                        child.output.count > most / 20
                    }
                    let after = try Self.residentBytes(child.processIdentifier)
                    XCTAssertLessThan(
                        after - before, 16 << 20, "\(before) bytes with a third of the records, \(after) with all")
                    proxy.retarget(try ProxiedDatabase.socket(of: database))
                }
                XCTAssertEqual(result.exitCode, 0, result.transcript.suffix(300).description)
                XCTAssertTrue(result.output.last?.hasPrefix("done balanced") ?? false, "\(result.output.suffix(2))")
                XCTAssertEqual(chain.promises.acceptedCount, most / 20 * 20)
            }
            chain.go(by: nil)
            try await chain.drain()
            let audit = try await chain.audit()
            XCTAssertEqual(audit.problems, [])
        }
    }

    func test_afterAnOutage_freshDataDoesNotWaitForTheBacklog() async throws {
        let database = try await Self.database()
        try await withTemporaryDirectory { directory in
            try await FaultProxy.run(to: directory + "/nobody") { proxy in
                let options = WriterRig.Options(
                    directory: directory, database: ProxiedDatabase.through(proxy, database))
                try await WriterRig.run(options, promises: Promises()) { rig in
                    for _ in 0..<Gate.rounds(400, nominal: 20_000) { try await rig.append(100, kind: .history) }
                    let backlog = rig.writer.statistics.spooled
                    try await eventually("the outage is known") { rig.writer.statistics.lastFault != nil }
                    proxy.retarget(try ProxiedDatabase.socket(of: database))
                    try await eventually("the first have landed") { rig.writer.statistics.landed > 0 }
                    // What is accepted now is in the database while most of the backlog is not.
                    let fresh = try await rig.append(3, kind: .gaps)
                    let question = """
                        SELECT count(*) FROM ald_history.collection_gaps WHERE detail = 'gap \(fresh.lowerBound)'
                        """
                    try await eventually("fresh data lands, \(rig.writer.statistics)") {
                        try await TestDatabase.number(question, database) == 1
                    }
                    XCTAssertGreaterThan(rig.writer.statistics.spooled, backlog / 4)
                    try await rig.drain()
                    let audit = try await LandingAudit(of: rig.promises, machine: 1, in: database)
                    XCTAssertEqual(audit.problems, [])
                }
            }
        }
    }

    private static func residentBytes(_ process: Int32) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
        let kilobytes = line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }
        return try XCTUnwrap(kilobytes) * 1024
    }
}
