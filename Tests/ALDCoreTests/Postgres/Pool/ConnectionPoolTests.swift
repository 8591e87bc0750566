import ALDTestKit
import Foundation
import Logging
import ServiceLifecycle
import Synchronization
import Testing

@testable import ALDCore

/// The pool and a real server.
@Suite(.serialized, .place)
struct ConnectionPoolTests {
    /// Starts a server of its own, runs a pool on it, and stops both whatever happens.
    private func withPool(
        _ change: (inout PoolConfiguration) -> Void = { _ in },
        _ body: @Sendable (ConnectionPool, LocalPostgres) async throws -> Void
    ) async throws {
        var settings = PoolConfiguration()
        settings.initialBackoff = .milliseconds(20)
        settings.maximumBackoff = .milliseconds(200)
        change(&settings)
        try await withServer { server, configuration in
            let pool = try ConnectionPool(configuration: configuration, pool: settings, logger: TestPlace.logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                try await body(pool, server)
                group.cancelAll()
                try await group.waitForAll()
            }
            #expect(pool.statistics.total == 0)
        }
    }

    /// The cluster in the suite's directory: created by the first test, started and stopped by each.
    private func withServer(_ body: (LocalPostgres, PostgresConfiguration) async throws -> Void) async throws {
        let server = LocalPostgres(directory: try TestPlace.directory("pool"), logger: TestPlace.logger)
        let configuration = try await server.start()
        try await withCleanup {
            try await body(server, configuration)
        } cleanup: {
            try await server.stop()
        }
    }

    private func ask(_ pool: ConnectionPool, _ holder: String = "test") async throws -> Int {
        try await pool.withConnection(holder: holder, deadline: .patience) { connection in
            let result = try await connection.query("SELECT 1 AS one", deadline: .patience)
            return try result.first?.decode("one", as: Int.self) ?? 0
        }
    }

    @Test func fiftyCallersShareFourConnections() async throws {
        try await withPool {
            $0.maximumConnections = 4
        } _: { pool, _ in
            let sum = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<50 {
                    group.addTask {
                        var sum = 0
                        for _ in 0..<20 { sum += try await ask(pool) }
                        return sum
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(sum == 1000)
            let statistics = pool.statistics
            #expect(statistics.leases == 1000)
            #expect(statistics.total <= 4)
            #expect(statistics.leased == 0)
            #expect(statistics.broken == 0)
        }
    }

    @Test func anExhaustedPoolSaysWhoHoldsItsConnections() async throws {
        try await withPool {
            $0.maximumConnections = 1
        } _: { pool, _ in
            try await pool.withConnection(holder: "slow reader", deadline: .patience) { _ in
                let start = SystemTime().now
                let error = try await failure {
                    try await pool.withConnection(holder: "writer", deadline: .soon(.milliseconds(100))) { _ in }
                }
                #expect(error.code == .poolExhausted)
                #expect(error.message.contains("slow reader"))
                #expect(SystemTime().now - start >= .milliseconds(100))
            }
            #expect(pool.statistics.timeouts == 1)
        }
    }

    @Test func aWaitingCallerCanBeCancelled() async throws {
        try await withPool {
            $0.maximumConnections = 1
        } _: { pool, _ in
            try await pool.withConnection(holder: "first", deadline: .patience) { _ in
                let error = try await withThrowingTaskGroup(of: PostgresError.self) { group in
                    group.addTask {
                        try await failure {
                            try await pool.withConnection(holder: "second", deadline: .patience) { _ in }
                        }
                    }
                    while pool.statistics.waiting == 0 { await Task.yield() }
                    group.cancelAll()
                    return try #require(try await group.next())
                }
                #expect(error.code == .cancelled)
            }
            #expect(try await ask(pool) == 1)
        }
    }

    @Test func aConnectionWithAnOpenTransactionIsNotLentAgain() async throws {
        try await withPool {
            $0.maximumConnections = 1
        } _: { pool, _ in
            try await pool.withConnection(holder: "sloppy", deadline: .patience) { connection in
                try await connection.execute(script: "BEGIN", deadline: .patience)
            }
            try await pool.withConnection(holder: "next", deadline: .patience) { connection in
                #expect(await connection.transactionStatus == .idle)
            }
            #expect(pool.statistics.broken == 1)
        }
    }

    /// The server dies the hard way, with callers at work. Nobody touches the pool, and it serves again.
    @Test func thePoolIsWholeAgainAfterTheServerCameBack() async throws {
        try await withPool {
            $0.maximumConnections = 3
        } _: { pool, server in
            for _ in 0..<3 { #expect(try await ask(pool) == 1) }
            let directory = try TestPlace.directory("pool")
            let account = try LocalPostgresAccount.current()
            let binaries = try await LocalPostgresBinaries.find(
                given: nil, clusterVersion: nil, account: account, in: LocalPostgresBinaries.usualDirectories())
            let stopped = try await account.run(
                binaries.path("pg_ctl"), ["stop", "-m", "immediate", "-w", "-D", directory + "/data"])
            try #require(stopped.isSuccess, "\(stopped.output)")
            // Asked while the server is away, answered once it is back.
            async let answer = ask(pool, "patient")
            try await eventually("a connect has failed") { pool.statistics.connectsFailed > 0 }
            let error = try await failure {
                try await pool.withConnection(holder: "during", deadline: .soon(.milliseconds(50))) { _ in }
            }
            #expect([.connectionFailed, .serverStarting, .breakerOpen].contains(error.code), "\(error)")
            #expect(error.cause != nil)
            let started = try await account.run(
                binaries.path("pg_ctl"),
                ["start", "-w", "-D", directory + "/data", "-l", directory + "/log/start.log"])
            try #require(started.isSuccess, "\(started.output)")
            #expect(try await answer == 1)
            #expect(pool.statistics.total >= 1)
        }
    }

    @Test func aDatabaseThatDoesNotExistFailsCallersLongBeforeTheirDeadline() async throws {
        try await withPool { _, server in
            let string = try #require(await server.connectionString)
            let wrong = try PostgresConfiguration(connectionString: string).withDatabase("nowhere")
            let pool = try ConnectionPool(configuration: wrong, logger: TestPlace.logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                let start = SystemTime().now
                let error = try await failure {
                    try await pool.withConnection(holder: "x", deadline: .patience) { _ in }
                }
                #expect(error.code == .databaseMissing)
                #expect(error.cause?.sqlState == .databaseMissing)
                #expect(SystemTime().now - start < .seconds(30))
                group.cancelAll()
                try await group.waitForAll()
            }
        }
    }

    /// Every caller wants an earlier alarm than the one before him, and goes away again.
    @Test func onlyOneAlarmSleepsHoweverManyWereOrdered() async throws {
        let listener = try SilentListener()
        defer { listener.close() }
        let time = ManualTime()
        var settings = PoolConfiguration()
        settings.connectTimeout = .seconds(1000)
        let pool = try ConnectionPool(
            configuration: PostgresConfiguration(
                connectionString: "host=127.0.0.1 port=\(listener.port) user=x dbname=y"), pool: settings, time: time,
            logger: TestPlace.logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            try await withThrowingTaskGroup(of: Void.self) { callers in
                for number in 1...20 {
                    let deadline = time.now + .seconds(100 - number)
                    callers.addTask {
                        _ = try await failure {
                            try await pool.withConnection(holder: "\(number)", deadline: deadline) { _ in }
                        }
                    }
                    // The caller's own alarm and the pool's.
                    try await eventually("it waits") {
                        pool.statistics.waiting == number && time.sleeperCount == number + 1
                    }
                }
                callers.cancelAll()
                try await callers.waitForAll()
            }
            try await eventually("one alarm is left") { time.sleeperCount == 1 }
            group.cancelAll()
            try await group.waitForAll()
        }
        #expect(time.sleeperCount == 0)
    }

    @Test func withoutRunDeadlinesAreStillKept() async throws {
        let configuration = try PostgresConfiguration(connectionString: "host=127.0.0.1 user=x dbname=y")
        let pool = try ConnectionPool(configuration: configuration, logger: TestPlace.logger)
        let error = try await failure {
            try await pool.withConnection(holder: "early", deadline: .soon(.milliseconds(50))) { _ in }
        }
        #expect(error.code == .timedOut)
    }

    @Test func gracefulShutdownWaitsForTheHolderAndRefusesNewOnes() async throws {
        try await withServer { _, configuration in
            let pool = try ConnectionPool(configuration: configuration, logger: TestPlace.logger)
            let services = ServiceGroup(services: [pool], logger: TestPlace.logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await services.run() }
                try await pool.withConnection(holder: "last", deadline: .patience) { connection in
                    await services.triggerGracefulShutdown()
                    var refusal = PostgresError(.misuse, "not yet")
                    while refusal.code != .poolShutDown {
                        refusal = try await failure {
                            try await pool.withConnection(holder: "late", deadline: .soon(.milliseconds(1))) { _ in
                                throw PostgresError(.misuse, "served")
                            }
                        }
                    }
                    let result = try await connection.query("SELECT 1", deadline: .patience)
                    #expect(result.count == 1)
                }
                try await group.waitForAll()
            }
            #expect(pool.statistics.total == 0)
        }
    }

    @Test func cancellingTheRunClosesWhatIsLent() async throws {
        try await withPool { pool, _ in
            // A second pool, because the first one must outlive the test's body.
            let second = try ConnectionPool(configuration: pool.configuration, logger: TestPlace.logger)
            try await withThrowingTaskGroup(of: PostgresError?.self) { group in
                group.addTask {
                    try await withThrowingTaskGroup(of: Void.self) { inner in
                        inner.addTask { try await second.run() }
                        while second.statistics.leased == 0 { await Task.yield() }
                        inner.cancelAll()
                        try await inner.waitForAll()
                    }
                    return nil
                }
                group.addTask {
                    try await failure {
                        try await second.withConnection(holder: "busy", deadline: .patience) { connection in
                            _ = try await connection.query("SELECT pg_sleep(60)", deadline: .patience)
                        }
                    }
                }
                for try await error in group {
                    if let error { #expect([.connectionLost, .poolShutDown].contains(error.code), "\(error)") }
                }
            }
            #expect(second.statistics.total == 0)
        }
    }
    /// What metrics are made of: every lease, return, connect and failure, with its duration.
    @Test func anObserverLearnsOfEverything() async throws {
        let record = PoolEventRecord()
        try await withServer { _, configuration in
            let pool = try ConnectionPool(
                configuration: configuration, observer: record, logger: TestPlace.logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                #expect(try await ask(pool) == 1)
                _ = try await failure {
                    try await pool.withConnection(holder: "late", deadline: .soon(.zero)) { _ in }
                }
                pool.evictAll(reason: "test")
                try await eventually("it is closed") { pool.statistics.closed == 1 }
                group.cancelAll()
                try await group.waitForAll()
            }
        }
        let names = record.names
        #expect(names.prefix(3) == ["connected", "leased", "returned"])
        #expect(names.contains("failed") && names.contains("evicted") && names.contains("closed"), "\(names)")
    }
}

private final class PoolEventRecord: PoolObserver {
    private let events = Mutex<[PoolEvent]>([])

    /// The cases without their values.
    var names: [String] {
        events.withLock { events in events.map { String("\($0)".prefix { $0.isLetter }) } }
    }

    func poolDidObserve(_ event: PoolEvent) {
        events.withLock { $0.append(event) }
    }
}
