import ALDTestKit
import Foundation
import Testing

@testable import ALDCore

/// A network that swallows packets, between the pool and a PgBouncer in a network namespace of its own.
@Suite(
    .serialized,
    .enabled(if: PgBouncer.isRequired, "PgBouncer is not installed; .ci/setup --tests does it"),
    .enabled("needs root and network namespaces") { await NetworkNamespace.isAvailable() })
struct PoolNetworkTests {
    @Test func droppedPackets() async throws {
        try await ServerHands.withServer { server in
            try await NetworkNamespace.run { namespace in
                let network = try await NetworkCable(into: namespace)
                try await PgBouncer.run(
                    before: server.connectionString, prefix: namespace.prefix, address: network.inside
                ) { pooler in
                    try await PoolRig.withPool(pooler.configuration) {
                        $0.pingAfter = .zero
                        $0.pingTimeout = .milliseconds(50)
                        $0.connectTimeout = .milliseconds(500)
                        $0.timeoutsUntilOpen = 100
                    } _: { pool in
                        #expect(try await PoolRig.ask(pool) == 1)
                        try await network.swallowAnswers(true)
                        // Half-open first: the connection is there, its peer is not.
                        let error = try await PoolRig.refusal(pool)
                        #expect(error.code == .timedOut && pool.statistics.deadAtLease == 1, "\(error)")
                        try await eventually("a connect has failed") {
                            let error = try await PoolRig.refusal(pool, within: .milliseconds(300))
                            return error.pool?.reason == .unanswered
                        }
                        try await network.swallowAnswers(false)
                        #expect(try await PoolRig.ask(pool) == 1, "whole again")
                    }
                }
            }
        }
    }
}

extension PoolNetworkTests {
    /// Half-open in the middle of a statement: its holder is told at his deadline and the grace for a confirmation that
    /// cannot come, those who wait for his connection at theirs, and the pool is whole when the network is.
    @Test func aHolderInMidStatement() async throws {
        try await ServerHands.withServer { server in
            try await NetworkNamespace.run { namespace in
                let network = try await NetworkCable(into: namespace)
                try await PgBouncer.run(
                    before: server.connectionString, prefix: namespace.prefix, address: network.inside
                ) { pooler in
                    try await PoolRig.withPool(pooler.configuration) {
                        $0.maximumConnections = 1
                        $0.connectTimeout = .milliseconds(500)
                        $0.timeoutsUntilOpen = 100
                    } _: { pool in
                        async let holder = Self.hold(pool)
                        try await eventually("the statement runs") {
                            try await TestDatabase.number(
                                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'",
                                server.configuration) > 0
                        }
                        try await network.swallowAnswers(true)
                        let error = try await PoolRig.refusal(pool)
                        #expect(
                            error.code == .poolExhausted && error.pool?.oldestLease?.holder.name == "busy", "\(error)")
                        let (outcome, punctuality) = try await holder
                        #expect(outcome.code == .timedOut && outcome.effect == .unknown, "\(outcome)")
                        #expect(punctuality.isKept, "\(punctuality)")
                        try await network.swallowAnswers(false)
                        #expect(try await PoolRig.ask(pool) == 1, "whole again")
                        #expect(pool.statistics.closes[.unclean] == 1)
                    }
                }
            }
        }
    }

    private static func hold(_ pool: ConnectionPool) async throws -> (PostgresError, Punctuality) {
        let deadline = MonotonicInstant.soon(.seconds(8))
        return try await Punctuality.measured(deadline + PostgresConnection.cancellationGrace) {
            try await failure {
                try await pool.withConnection(holder: "busy", deadline: .patience) { connection in
                    _ = try await connection.query("SELECT pg_sleep(60)", deadline: deadline)
                }
            }
        }
    }
}
