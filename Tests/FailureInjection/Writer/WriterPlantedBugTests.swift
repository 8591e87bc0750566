import ALDCore
import ALDTestKit
import Foundation
import Synchronization
import XCTest

/// The audit that all stories end with finds what it looks for: each of these writers has a bug that was put there.
final class WriterPlantedBugTests: SharedServerTestCase {
    private struct BuggySink: ForwardingSink {
        enum Bug: Sendable {
            /// Says "landed" of every other delivery before anything has landed.
            case acknowledgesBeforeCommit
            /// Sends what is in doubt again under a name of its own.
            case renamesOnRetry
            /// Takes nothing for forgotten.
            case neverReconciles
            /// Loses the last reading of every delivery that has several.
            case dropsTheTail
        }

        let sink: any BatchSink
        let bug: Bug
        let deliveries = Counter()

        final class Counter: Sendable {
            private let value = Mutex(0)
            func next() -> Int {
                value.withLock { value in
                    value += 1
                    return value
                }
            }
        }

        func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
            let number = deliveries.next()
            switch bug {
            case .acknowledgesBeforeCommit where number.isMultiple(of: 2): return batches.map { _ in .landed }
            case .renamesOnRetry:
                do throws(SinkFault) {
                    return try await sink.deliver(batches, deadline: deadline)
                } catch {
                    guard error.faultClass == .inDoubt else { throw error }
                    let renamed = batches.map { batch in
                        var batch = batch
                        batch.id.number += 1 << 40
                        return batch
                    }
                    return try await sink.deliver(renamed, deadline: SystemTime().now + .seconds(10))
                }
            case .dropsTheTail:
                var batches = batches
                if let last = batches.indices.last, case .history(let rows) = batches[last].records, rows.count > 1 {
                    batches[last].records = .history(rows.dropLast())
                }
                return try await sink.deliver(batches, deadline: deadline)
            default: return try await sink.deliver(batches, deadline: deadline)
            }
        }

        func missing(
            of batches: [BatchHeader], deadline: MonotonicInstant
        ) async throws(SinkFault) -> [BatchHeader]? {
            bug == .neverReconciles ? [] : try await sink.missing(of: batches, deadline: deadline)
        }
    }

    /// What the audit says of a writer with this bug that was disturbed.
    private func audit(
        _ bug: BuggySink.Bug?, _ disturb: @escaping @Sendable (FaultProxy, WriterRig) async throws -> Void
    ) async throws -> LandingAudit {
        let database = try await Self.database()
        return try await withTemporaryDirectory { directory in
            try await FaultProxy.run(to: try ProxiedDatabase.socket(of: database)) { proxy in
                var options = WriterRig.Options(
                    directory: directory, database: ProxiedDatabase.through(proxy, database))
                if let bug { options.around = { BuggySink(sink: $0, bug: bug) } }
                return try await WriterRig.run(options, promises: Promises()) { rig in
                    try await rig.withLoad {
                        try await rig.landMore(200)
                        try await disturb(proxy, rig)
                        proxy.heal()
                        try await rig.landMore(200)
                    }
                    try await rig.drain()
                    return try await LandingAudit(of: rig.promises, machine: 1, in: database)
                }
            }
        }
    }

    func test_acknowledgingBeforeTheCommit_isFound() async throws {
        let audit = try await audit(.acknowledgesBeforeCommit) { _, _ in }
        XCTAssertFalse(audit.missing.isEmpty, "\(audit)")
    }

    func test_losingTheTailOfADelivery_isFound() async throws {
        let audit = try await audit(.dropsTheTail) { _, _ in }
        XCTAssertFalse(audit.missing.isEmpty, "\(audit)")
    }

    func test_anotherNameOnRetry_isFound() async throws {
        let audit = try await audit(.renamesOnRetry) { proxy, rig in
            for round in 0..<10 {
                let cuts = proxy.evidence.cuts
                proxy.set(.cut(after: round, .reset), .downstream)
                try await eventually("it is cut") { proxy.evidence.cuts > cuts }
                proxy.heal()
                try await rig.landMore(20)
            }
        }
        XCTAssertFalse(audit.doubled.isEmpty, "\(audit)")
    }

    func test_notReconciling_isFound() async throws {
        let forget: @Sendable (FaultProxy, WriterRig) async throws -> Void = { proxy, rig in
            try await TestDatabase.withConnection(rig.options.database) { connection, deadline in
                _ = try await connection.execute(
                    script: """
                        CREATE TEMPORARY TABLE gone AS
                        SELECT xmin::text AS x FROM ald_history.ingest_batches GROUP BY xmin::text
                        ORDER BY max(applied_at) LIMIT 5;
                        DELETE FROM ald_history.parameter_value_history WHERE xmin::text IN (SELECT x FROM gone);
                        DELETE FROM ald_history.collection_gaps WHERE xmin::text IN (SELECT x FROM gone);
                        SET session_replication_role = replica;
                        DELETE FROM ald_history.process_events WHERE xmin::text IN (SELECT x FROM gone);
                        DELETE FROM ald_history.ingest_batches WHERE xmin::text IN (SELECT x FROM gone);
                        """, deadline: deadline)
            }
            proxy.reset()
        }
        let without = try await audit(.neverReconciles, forget)
        XCTAssertFalse(without.missing.isEmpty, "\(without)")
        let with = try await audit(nil, forget)
        XCTAssertEqual(with.problems, [])
    }
}
