import ALDCore
import ALDTestKit
import XCTest

/// Many producers share one writer and one database.
final class ConcurrentWritersTests: XCTestCase {
    func test_tenProducersAtFullSpeed_everyRowLandsExactlyOnce() async throws {
        try await TestDatabase.withDatabase { lease in
            try await withTemporaryDirectory { directory in
                let (time, logger) = (SystemTime(), TestDatabase.quiet)
                let spool = try Spool(directory: directory)
                let pool = try ConnectionPool(
                    configuration: lease.configuration, pool: PoolConfiguration(), time: time, logger: logger)
                let registration = MachineRegistration(machine: 1, name: "ALD-1", entries: Self.parameters)
                let writer = try BatchWriter(
                    spool: spool,
                    sink: PostgresSink(pool: pool, registration: registration, time: time, logger: logger),
                    time: time, logger: logger)
                try await withThrowingTaskGroup(of: Void.self) { services in
                    services.addTask { try await pool.run() }
                    services.addTask { try await writer.run() }
                    try await self.produce(writer, start: time.wallClock)
                    try await eventually("everything landed") { writer.statistics.spooled == 0 }
                    services.cancelAll()
                }
                XCTAssertEqual(writer.statistics.accepted, 10 * 60 * 50)
                XCTAssertEqual(writer.statistics.landed, writer.statistics.accepted)
                XCTAssertEqual(writer.statistics.failedAttempts, 0, writer.statistics.lastFault ?? "")
                try spool.close()
            }
            let rows = try await TestDatabase.number(
                "SELECT count(*) FROM ald.parameter_value_history", lease.configuration)
            let distinct = try await TestDatabase.number(
                "SELECT count(DISTINCT (parameter_id, sampled_at)) FROM ald.parameter_value_history",
                lease.configuration)
            XCTAssertEqual(rows, 10 * 60 * 50)
            XCTAssertEqual(distinct, rows)
        }
    }

    /// Fifty of each producer.
    private static let parameters = (0..<10).flatMap { producer in
        (1...50).map { row in
            MachineRegistration.Entry(
                id: Int32(producer * 100 + row), component: "Producer \(producer)", name: "row \(row)", unit: "V",
                dataType: "float", minimum: 0, maximum: 50, readLocation: "", writeLocation: nil)
        }
    }

    /// Ten producers, sixty batches each, fifty rows a batch; producer and row make the parameter, the batch the time.
    private func produce(_ writer: BatchWriter, start: Timestamp) async throws {
        try await withThrowingTaskGroup(of: Void.self) { producers in
            for producer in 0..<10 {
                producers.addTask {
                    for batch in 0..<60 {
                        let rows = (0..<50).map { row in
                            HistoryRow(
                                parameter: ParameterID(rawValue: Int32(producer * 100 + row + 1)),
                                time: start.advanced(by: .milliseconds(batch)), value: Double(row), quality: .good)
                        }
                        try await writer.append(.history(rows), machine: 1)
                    }
                }
            }
            try await producers.waitForAll()
        }
    }
}
