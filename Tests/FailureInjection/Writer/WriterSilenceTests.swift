import ALDCore
import ALDTestKit
import Foundation
import Synchronization
import XCTest

/// A writer falls silent in the middle of a `COPY`: its process is stopped, or its cable is pulled, and the server hears
/// of neither. Whoever else writes for the same machine must not wait for it.
final class WriterSilenceTests: SharedServerTestCase {
    /// Many times what the buffers between writer and server hold of a delivery without the server reading it.
    private static let rows = 20_000

    private static func copiesOpen(_ database: PostgresConfiguration) async throws -> Int {
        try await TestDatabase.number(
            """
            SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
                AND wait_event = 'ClientRead' AND query LIKE '%COPY ald_history%'
            """, database)
    }

    /// Another writer of the same machine lands a few rows and many, each at the first attempt.
    private static func landBeside(
        _ silent: () async throws -> Bool, _ promises: Promises, _ directory: String, _ database: PostgresConfiguration
    ) async throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        let options = WriterRig.Options(directory: directory, database: database)
        try await WriterRig.run(options, promises: promises) { rig in
            for rows in [3, 5000, 3] {
                try await rig.append(rows, kind: .history)
                try await rig.drain(within: options.writer.attemptTimeout)
            }
            XCTAssertEqual(rig.writer.statistics.failedAttempts, 0)
        }
        let isSilent = try await silent()
        XCTAssertTrue(isSilent, "it was silent all the time, and its COPY open")
    }

    func test_processStoppedInTheMiddleOfACopy_anotherWriterOfItsMachineLandsWithinItsDeadline() async throws {
        let database = try await Self.database()
        try await withTemporaryDirectory { directory in
            let chain = try WriterChain(directory: directory, machine: 1, database: database)
            // The day has its partition, so that the COPY is not refused at its first row.
            _ = try await chain.live { $0.appends = 1 }
            let result = try await chain.live { order in
                (order.appends, order.callers, order.rows) = (1, 1, Self.rows)
                (order.failPoint, order.count, order.stops) = (.copyWritten, 1, true)
            } _: { child in
                let silent = {
                    let copies = try await Self.copiesOpen(database)
                    return copies == 1 && Self.isStopped(child.processIdentifier)
                }
                try await eventually("it stops while the server reads its rows") { try await silent() }
                try await Self.landBeside(silent, chain.promises, directory + "/other", database)
                child.send(SIGCONT)
            }
            XCTAssertEqual(result.output.last, "done balanced landed \(Self.rows) letters 0 resurrected 0 lost 0")
            let audit = try await chain.audit()
            XCTAssertEqual(audit.problems, [])
            XCTAssertEqual(audit.rows, 3 + Self.rows + 5006)
        }
    }

    private static func isStopped(_ process: Int32) -> Bool {
        let content = FileManager.default.contents(atPath: "/proc/\(process)/stat") ?? Data()
        return String(decoding: content, as: UTF8.self).contains(") T ")
    }

    func test_cablePulledInTheMiddleOfACopy_anotherWriterOfItsMachineLandsWithinItsDeadline() async throws {
        let database = try await Self.database()
        let promises = Promises()
        try await FaultProxy.run(to: try ProxiedDatabase.socket(of: database)) { proxy in
            try await withTemporaryDirectory { directory in
                var options = WriterRig.Options(
                    directory: directory, database: ProxiedDatabase.through(proxy, database))
                options.writer.attemptTimeout = .seconds(1)
                options.pool.connectTimeout = .seconds(1)
                // Not by the first COPY, which would be refused: the day has no partition yet.
                let isPulled = Mutex(true)
                options.writer.failPoints = FailPoints { point in
                    let isFirst = isPulled.withLock { isPulled in
                        guard point == .copyWritten, !isPulled else { return false }
                        isPulled = true
                        return true
                    }
                    if isFirst { proxy.freeze() }
                }
                try await WriterRig.run(options, promises: promises) { rig in
                    try await rig.append(3, kind: .history)
                    try await rig.drain()
                    isPulled.withLock { $0 = false }
                    try await rig.append(Self.rows, kind: .history)
                    let silent = { try await Self.copiesOpen(database) == 1 }
                    try await eventually("the server waits for the rest of the rows") { try await silent() }
                    try await Self.landBeside(silent, promises, directory + "/other", database)
                    proxy.heal()
                    try await rig.drain()
                    let audit = try await LandingAudit(of: promises, machine: 1, in: database)
                    XCTAssertEqual(audit.problems, [])
                    XCTAssertEqual(audit.rows, 3 + Self.rows + 5006)
                }
            }
        }
    }
}
