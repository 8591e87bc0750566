import ALDCore
import ALDTestKit
import XCTest

/// What the pool costs those who use it. Only a release build says how much that is.
final class PoolBenchmarks: XCTestCase {
    private let clock = SystemTime()

    private func withPool(_ body: @Sendable (ConnectionPool) async throws -> Void) async throws {
        try await TestDatabase.withDatabase { lease in
            var settings = PoolConfiguration()
            settings.maximumConnections = 4
            settings.maximumWaiters = 10_000
            let pool = try ConnectionPool(
                configuration: lease.configuration, pool: settings, logger: TestDatabase.quiet)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                try await body(pool)
                group.cancelAll()
                try await group.waitForAll()
            }
        }
    }

    /// Batches, of which the fastest counts: what else the machine does only ever adds.
    func test_anUncontendedLeaseAndItsReleaseTakeLessThan2Microseconds() async throws {
        try await withPool { [clock] pool in
            let batch = 1000
            var best = Duration.seconds(1)
            for _ in 0..<100 {
                let start = clock.now
                let deadline = start + .seconds(60)
                for _ in 0..<batch { try await pool.withConnection(holder: "bench", deadline: deadline) { _ in } }
                best = min(best, (clock.now - start) / batch)
            }
            print("lease and release, uncontended: \(best.wholeNanoseconds) ns")
            XCTAssertEqual(pool.statistics.leases, 100 * batch)
            #if !DEBUG
                XCTAssertLessThan(best, .microseconds(2))
            #endif
        }
    }

    func test_tenThousandTasksAtOnceAreAllServed() async throws {
        try await withPool { [clock] pool in
            for tasks in [10, 1000, 10_000] {
                let start = clock.now
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<tasks {
                        group.addTask {
                            try await pool.withConnection(holder: "bench", deadline: start + .seconds(60)) { _ in }
                        }
                    }
                    try await group.waitForAll()
                }
                let each = (clock.now - start) / tasks
                print("\(tasks) tasks at once: \(each.wholeNanoseconds) ns each")
            }
            XCTAssertEqual(pool.statistics.leases, 11_010)
            XCTAssertEqual(pool.statistics.wait.count, 11_010)
        }
    }
}
