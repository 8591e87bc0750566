import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// The pool before a real PgBouncer in transaction mode.
@Suite(.serialized, .place, .enabled(if: PgBouncer.isRequired, "PgBouncer is not installed; .ci/setup --tests does it"))
struct PoolerTests {
    /// A server, a pooler before it, and a pool before that.
    private func withPooler(
        _ limits: PgBouncer.Limits = PgBouncer.Limits(),
        _ change: @escaping @Sendable (inout PoolConfiguration) -> Void = { _ in },
        _ body: @escaping @Sendable (ConnectionPool, PgBouncer) async throws -> Void
    ) async throws {
        try await ServerHands.withServer { server in
            try await PgBouncer.run(before: server.connectionString, limits: limits) { pooler in
                try await PoolRig.withPool(pooler.configuration, change) { try await body($0, pooler) }
            }
        }
    }

    /// Fifty callers, ten connections to the pooler, two from there to the server: parameters, transactions with
    /// settings of their own, failures and scripts, and nobody sees anything of the others.
    @Test func manyCallersShareTwoSessionsOfTheServer() async throws {
        var limits = PgBouncer.Limits()
        limits.poolSize = 2
        try await withPooler(limits) { pool, _ in
            try await pool.withConnection(holder: "owner", deadline: .patience) { connection in
                try await connection.execute(script: "CREATE TABLE t(caller int, i int)", deadline: .patience)
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<50 {
                    group.addTask { try await Self.work(caller, pool) }
                }
                try await group.waitForAll()
            }
            let (rows, sessions) = try await pool.withConnection(holder: "auditor", deadline: .patience) { connection in
                let rows = try await connection.query("SELECT count(*) AS n FROM t", deadline: .patience)
                let sessions = try await connection.query(
                    "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database()",
                    deadline: .patience)
                return (try rows.first?.decode("n", as: Int64.self), try sessions.first?.decode("n", as: Int64.self))
            }
            #expect(rows == 250)
            #expect(sessions.map { $0 <= 2 } ?? false)
            #expect(pool.statistics.broken == 0, "an error is an answer: no connection was thrown away for it")
        }
    }

    private static func work(_ caller: Int, _ pool: ConnectionPool) async throws {
        for round in 0..<5 {
            try await pool.withConnection(holder: "caller", deadline: .patience) { connection in
                try await connection.execute(
                    script: """
                        BEGIN; SET LOCAL statement_timeout = '\(10_001 + caller)'; INSERT INTO t VALUES (\(caller), \(round))
                        """, deadline: .patience)
                let setting = try await connection.query(
                    "SELECT current_setting('statement_timeout') AS s, $1::int AS n", [.int4(Int32(round))],
                    deadline: .patience)
                #expect(try setting.first?.decode("s", as: String.self) == "\(10_001 + caller)ms")
                #expect(try setting.first?.decode("n", as: Int32.self) == Int32(round))
                try await connection.execute(script: "COMMIT", deadline: .patience)
            }
            let error = try await failure {
                try await pool.withConnection(holder: "clumsy", deadline: .patience) { connection in
                    _ = try await connection.query("SELECT 1 / $1::int", [.int4(0)], deadline: .patience)
                }
            }
            #expect(error.code == .queryFailed && error.sqlState?.rawValue == "22012")
        }
    }

    @Test func aPoolerWithoutPlaceForClients() async throws {
        var limits = PgBouncer.Limits()
        limits.maximumClients = 1
        try await withPooler(limits) { pool, pooler in
            try await TestDatabase.withConnection(pooler.configuration) { _, _ in
                let error = try await PoolRig.refusalAfterFailedConnect(pool)
                #expect(error.code == .tooManyConnections && error.pool?.reason == .saturated, "\(error)")
                #expect(error.cause?.sqlState == .protocolViolation, "PgBouncer's code for everything")
            }
            #expect(try await PoolRig.ask(pool) == 1, "whole again")
        }
    }

    /// The pooler's connections to the server are all in use: it turns the waiting client away by its own limit, and
    /// the pool gets a new connection as soon as there is room.
    @Test func aPoolerWhoseServerIsBusy() async throws {
        var limits = PgBouncer.Limits()
        limits.poolSize = 1
        limits.queryWaitTimeout = 1
        try await withPooler(limits) { pool, _ in
            try await pool.withConnection(holder: "slow", deadline: .patience) { busy in
                try await busy.execute(script: "BEGIN", deadline: .patience)
                let error = try await failure {
                    try await pool.withConnection(holder: "hasty", deadline: .soon(.seconds(20))) { connection in
                        _ = try await connection.query("SELECT 1", deadline: .patience)
                    }
                }
                #expect("\(error)".contains("query_wait_timeout"), "\(error)")
                // PgBouncer calls it an ERROR, and hangs up nonetheless.
                #expect(error.code == .tooManyConnections && error.effect == .notApplied, "\(error)")
                try await busy.execute(script: "ROLLBACK", deadline: .patience)
            }
            #expect(try await PoolRig.ask(pool) == 1, "whole again")
        }
    }

    /// SIGSTOP: what was open stays open for the kernel and is silent; so are new connections.
    @Test func aPoolerThatIsStopped() async throws {
        try await withPooler { settings in
            settings.pingAfter = .zero
            settings.pingTimeout = .milliseconds(50)
            settings.connectTimeout = .milliseconds(100)
        } _: { pool, pooler in
            #expect(try await PoolRig.ask(pool) == 1)
            pooler.process.send(SIGSTOP)
            let error = try await PoolRig.refusal(pool)
            #expect(error.code == .timedOut && pool.statistics.deadAtLease == 1, "\(error)")
            try await eventually("silence has opened the breaker") {
                _ = try await failure {
                    try await pool.withConnection(holder: "caller", deadline: .soon(.milliseconds(50))) { _ in }
                }
                return pool.statistics.breaker != .closed
            }
            pooler.process.send(SIGCONT)
            #expect(try await PoolRig.ask(pool) == 1, "whole again")
        }
    }
}
