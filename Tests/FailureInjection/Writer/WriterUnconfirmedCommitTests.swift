import ALDCore
import ALDTestKit
import Foundation
import XCTest

/// A commit waits for a synchronous standby that is not there, until the wait is cancelled. What was delivered is then
/// committed on this server and nowhere else, and the server says so by a warning alone.
final class WriterUnconfirmedCommitTests: ClusterTestCase {
    /// Calls and copies whose wait is cancelled, and then a server in the place of this one that lacks them all.
    ///
    /// - Parameters:
    ///   - timeout: of an attempt.
    ///   - cancelsWait: what ends the wait, if the writer does not.
    private func withoutStandby(
        timeout: Duration, _ cancelsWait: @escaping @Sendable (PostgresCluster) async throws -> Void,
        _ check: @escaping @Sendable (Answers) -> Void
    ) async throws {
        try await withCluster { server, directory in
            let answers = Answers()
            var options = Self.options(directory, try server.configuration(database: Self.database))
            options.writer.attemptTimeout = timeout
            options.copiedRows = 20
            options.around = { answers.listening(to: $0) }
            try await WriterRig.run(options, promises: Promises()) { rig in
                try await rig.append(30, kind: .history)
                try await rig.drain()
                let copy = try await server.copy(.backup, port: server.port)
                let inCopy = rig.promises.acceptedCount
                try await Self.demandStandby(of: server, rig)
                try await cancelsWait(server)
                try await rig.drain()
                for rows in [3, 30] {
                    try await rig.append(rows, kind: .history)
                    try await cancelsWait(server)
                    try await rig.drain()
                }
                let onlyHere = rig.promises.acceptedCount - inCopy
                check(answers)
                var audit = try await rig.audit()
                XCTAssertEqual(audit.problems, [])
                XCTAssertEqual(rig.writer.statistics.resurrected, 0)

                try await server.stop(.immediate)
                try await copy.start()
                try await rig.append()
                try await rig.drain()
                audit = try await rig.audit()
                XCTAssertEqual(audit.problems, [])
                XCTAssertEqual(audit.found, rig.promises.acceptedCount)
                XCTAssertEqual(rig.writer.statistics.accepted, rig.promises.acceptedCount)
                XCTAssertEqual(rig.writer.statistics.resurrected, onlyHere, "what was committed nowhere else")
            }
        }
    }

    private static let waits = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = '\(database)'"

    /// Commits wait when the server's checkpointer has heard of it, which nobody is told but by one that waits.
    private static func demandStandby(of server: PostgresCluster, _ rig: WriterRig) async throws {
        try await execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", on: server)
        try await execute("SELECT pg_reload_conf()", on: server)
        let aside = try server.configuration(database: "postgres")
        try await eventually("a commit waits") {
            if rig.writer.statistics.spooled == 0 { try await rig.append(1, kind: .history) }
            return try await TestDatabase.number("SELECT count(*) \(waits)", aside) > 0
        }
    }

    func test_somebodyCancelsTheWaitForAStandby_theDeliveryCountsAndIsSentAgainWhenItIsForgotten() async throws {
        try await withoutStandby(timeout: .seconds(60)) { server in
            let aside = try server.configuration(database: "postgres")
            try await eventually("the commit waits, and its wait is cancelled") {
                try await TestDatabase.number(
                    "SELECT count(*) FILTER (WHERE pg_cancel_backend(pid)) \(Self.waits)", aside) > 0
            }
        } _: { answers in
            XCTAssertEqual(answers.faults, [])
        }
    }

    func test_theWriterGivesUpTheWaitForAStandby_theDeliveryIsInDoubtUntilTheLedgerKnowsIt() async throws {
        try await withoutStandby(timeout: .seconds(2)) { _ in
            // It does so by itself.
        } _: { answers in
            XCTAssertGreaterThanOrEqual(answers.doubts.count, 3)
            XCTAssertEqual(Set(answers.doubts), [.init(before: [.fault(.inDoubt)], end: .landing(.known))])
        }
    }
}
