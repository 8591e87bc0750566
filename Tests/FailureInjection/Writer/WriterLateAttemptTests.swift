import ALDCore
import ALDTestKit
import Foundation
import Synchronization
import XCTest

/// An attempt that nobody waits for any more reaches the server when its batch has long been cut: because a pooler, a
/// switch or a frozen process had it. It must find its name closed.
final class WriterLateAttemptTests: SharedServerTestCase {
    /// Keeps the first delivery with a bad record to itself and says that nobody knows what became of it.
    private final class HesitantSink: ForwardingSink {
        let sink: any BatchSink
        let kept = Mutex<[Batch]?>(nil)

        init(sink: any BatchSink) {
            self.sink = sink
        }

        func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
            let isKept = kept.withLock { kept in
                guard kept == nil, batches.contains(where: Self.isBad) else { return false }
                kept = batches
                return true
            }
            if isKept { throw SinkFault(.inDoubt, "nothing was heard") }
            return try await sink.deliver(batches, deadline: deadline)
        }

        private static func isBad(_ batch: Batch) -> Bool {
            if case .history(let rows) = batch.records { rows.contains { $0.value == -1 } } else { false }
        }
    }

    /// - Parameter rows: few are sent by a call, many are copied.
    private func arrivesLate(rows: Int) async throws {
        let database = try await Self.database()
        try await withTemporaryDirectory { directory in
            let hesitant = Mutex<HesitantSink?>(nil)
            var options = WriterRig.Options(directory: directory, database: database)
            (options.poisonEvery, options.copiedRows) = (Int64(rows) - 2, 100)
            options.around = { sink in
                let made = HesitantSink(sink: sink)
                hesitant.withLock { $0 = made }
                return made
            }
            try await WriterRig.run(options, promises: Promises()) { rig in
                try await rig.append(rows, kind: .history)
                try await rig.drain()
                XCTAssertEqual(rig.writer.statistics.deadLettered, 1)
                // The rule that it broke is gone when the first attempt gets there.
                try await TestDatabase.withConnection(database) { connection, deadline in
                    _ = try await connection.execute(
                        script: "ALTER TABLE ald_history.parameter_value_history DROP CONSTRAINT not_minus_one",
                        deadline: deadline)
                }
                let sink = try XCTUnwrap(hesitant.withLock(\.self))
                let late = try XCTUnwrap(sink.kept.withLock(\.self))
                let landings = try await sink.sink.deliver(late, deadline: SystemTime().now + .seconds(30))
                XCTAssertEqual(landings, [.collision])
                let audit = try await rig.audit()
                XCTAssertEqual(audit.problems, [])
                XCTAssertEqual([audit.rows, audit.deadLetters], [rows - 1, 1])
            }
        }
    }

    func test_callThatArrivesAfterItsBatchWasCut_landsNothing() async throws { try await arrivesLate(rows: 9) }

    func test_copyThatArrivesAfterItsBatchWasCut_landsNothing() async throws { try await arrivesLate(rows: 3000) }
}
