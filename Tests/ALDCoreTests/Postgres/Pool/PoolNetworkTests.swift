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
            try await NetworkNamespace.with { network in
                try await PgBouncer.run(
                    before: server.connectionString, prefix: network.prefix, address: network.inside
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
            try await NetworkNamespace.with { network in
                try await PgBouncer.run(
                    before: server.connectionString, prefix: network.prefix, address: network.inside
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
        let deadline = MonotonicInstant.soon(.seconds(2))
        return try await Punctuality.measured(deadline + PostgresConnection.cancellationGrace) {
            try await failure {
                try await pool.withConnection(holder: "busy", deadline: .patience) { connection in
                    _ = try await connection.query("SELECT pg_sleep(60)", deadline: deadline)
                }
            }
        }
    }
}

/// Two ends of a cable: one here, the other one in a network namespace. Gone afterwards, whatever happened.
struct NetworkNamespace: Sendable {
    let name: String
    /// The address at the other end.
    let inside: String
    private let outside: String

    /// In front of a command that is to run there.
    var prefix: [String] { ["ip", "netns", "exec", name] }

    static func isAvailable() async -> Bool {
        guard geteuid() == 0 else { return false }
        do {
            let name = "ald" + String(UInt32.random(in: 0...UInt32.max), radix: 36)
            let added = try await ChildProcess.run("/usr/bin/env", ["ip", "netns", "add", name])
            guard added.exitCode == 0 else { return false }
            return try await ChildProcess.run("/usr/bin/env", ["ip", "netns", "delete", name]).exitCode == 0
        } catch {
            return false
        }
    }

    static func with(_ body: (NetworkNamespace) async throws -> Void) async throws {
        // A small network of four addresses, out of a block that is reserved for tests of benchmarks (RFC 2544).
        let network = Int.random(in: 0..<(1 << 15)) * 4
        let base = "198.\(18 + (network >> 16)).\((network >> 8) & 255)."
        let namespace = NetworkNamespace(
            name: "ald" + String(UInt32.random(in: 0...UInt32.max), radix: 36), inside: base + "\((network & 255) + 2)",
            outside: base + "\((network & 255) + 1)")
        try await withCleanup {
            try await namespace.create()
            try await body(namespace)
        } cleanup: {
            // With the namespace goes its end of the cable, and with that end the other one.
            try await run(["netns", "delete", namespace.name])
        }
    }

    private func create() async throws {
        let (here, there) = (name + "h", name + "t")
        try await Self.run(["netns", "add", name])
        try await Self.run(["link", "add", here, "type", "veth", "peer", "name", there, "netns", name])
        try await Self.run(["address", "add", outside + "/30", "dev", here])
        try await Self.run(["link", "set", here, "up"])
        try await Self.run(["-n", name, "address", "add", inside + "/30", "dev", there])
        try await Self.run(["-n", name, "link", "set", there, "up"])
    }

    /// Whatever is sent from there disappears without a word.
    func swallowAnswers(_ doesSwallow: Bool) async throws {
        try await Self.run(["-n", name, "route", doesSwallow ? "add" : "delete", "blackhole", outside + "/32"])
    }

    private static func run(_ arguments: [String]) async throws {
        let result = try await ChildProcess.run("/usr/bin/env", ["ip"] + arguments)
        try #require(result.exitCode == 0, "ip \(arguments.joined(separator: " ")): \(result.transcript)")
    }
}
