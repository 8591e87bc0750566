import ALDCore
import Synchronization

/// Requests at a rising rate, each with a connection of its own, as programs without a pool make them, until there is no
/// place left for them: in the server, among the clients of a real PgBouncer, and in its pool.
///
/// What each of them says then, as it was met (PostgreSQL 15, PgBouncer 1.18):
///
/// | Place | SQLSTATE | Message |
/// |---|---|---|
/// | server | 53300 | `too many connections for role "…"` |
/// | pooler's clients (`max_client_conn`) | 08P01 | `no more connections allowed (max_client_conn)` |
/// | pooler's pool (`default_pool_size`) | 08P01 | `query_wait_timeout` |
struct CapacityLimit: ScenarioWork {
    enum Place: String, CaseIterable {
        case server
        case clients = "pooler's clients"
        case pool = "pooler's pool"
    }

    /// Connections that the server or the pooler grants.
    var connections = 10
    /// Connections to the server that the pooler shares out when it is them that are few.
    var poolSize = 2
    private static let rates: [Double] = [10, 50, 100, 500, 1000]

    func run(_ run: ScenarioRun) async throws {
        try await run.host.withDatabase { database in
            for place in Place.allCases {
                try await limited(place, run, database) { try await search(place, run, $0) }
            }
        }
    }

    /// Has `body` run with a way to the database on which this place is the one that is too small.
    private func limited(
        _ place: Place, _ run: ScenarioRun, _ database: PostgresConfiguration,
        _ body: @escaping @Sendable (PostgresConfiguration) async throws -> Void
    ) async throws {
        var limits = PgBouncer.Limits()
        switch place {
        case .server:
            let role = "limited_" + String(run.seed % 1_000_000)
            try await execute("CREATE ROLE \(role) LOGIN CONNECTION LIMIT \(connections)", database)
            return try await withCleanup {
                try await body(try ProxiedDatabase.connecting(as: role, database))
            } cleanup: {
                try await execute("DROP ROLE \(role)", database)
            }
        case .clients: limits.maximumClients = connections
        case .pool: (limits.poolSize, limits.queryWaitTimeout) = (poolSize, 1)
        }
        try await PgBouncer.run(before: try ProxiedDatabase.connectionString(of: database), limits: limits) {
            try await body($0.configuration)
        }
    }

    private func search(_ place: Place, _ run: ScenarioRun, _ database: PostgresConfiguration) async throws {
        let tally = CapacityTally()
        let name = place.rawValue
        // Who has to wait for a connection waits for those before it: so long that the pooler's patience ends.
        let work: Duration = place == .pool ? .milliseconds(100) : .milliseconds(20)
        var served = 0.0
        for rate in Self.rates {
            let loop = OpenLoop(
                rate: rate * run.scale, duration: run.duration / (Self.rates.count * Place.allCases.count),
                clients: connections * 4)
            let report = try await loop.run { _, _ in
                try await tally.count { try await Self.request(database, lasting: work) }
            }
            run.note("\(name): \(Int(rate)) per second", report.latency)
            let seconds = max(loop.duration.inSeconds, 0.001)
            served = max(served, Double(report.succeeded) / seconds)
            run.sample("\(name): served per second", Double(report.succeeded) / seconds, .perSecond)
            if tally.recognised > 0 {
                run.note("\(name): limit met at", rate, .perSecond)
                break
            }
        }
        run.note("\(name): served per second", served, .perSecond)
        run.note("\(name): capacity errors", count: tally.recognised)
        run.note("\(name): other errors", count: tally.others.count)
        for error in tally.others.prefix(3) { run.say("\(name): \(error)") }
        if let error = tally.example { run.say("\(name): \(error)") }
        try await eventually("there is room again") {
            try await Self.request(database, lasting: .zero)
            return true
        }
        run.note("\(name): served after the limit", count: 1)
    }

    /// Connects, works for a moment, disconnects.
    private static func request(_ database: PostgresConfiguration, lasting work: Duration) async throws {
        try await TestDatabase.withConnection(database) { connection, deadline in
            _ = try await connection.query("SELECT pg_sleep($1)::text", [.float8(work.inSeconds)], deadline: deadline)
        }
    }

    private func execute(_ script: String, _ database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) { _ = try await $0.execute(script: script, deadline: $1) }
    }
}

/// Errors by what they mean.
private final class CapacityTally: Sendable {
    private let state = Mutex((recognised: 0, example: String?.none, others: [String]()))

    var recognised: Int { state.withLock(\.recognised) }
    var example: String? { state.withLock(\.example) }
    var others: [String] { state.withLock(\.others) }

    func count(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch {
            let refusal = (error as? PostgresError).flatMap { $0.code == .tooManyConnections ? $0 : nil }
            state.withLock { state in
                if let refusal {
                    state.recognised += 1
                    state.example = "SQLSTATE \(refusal.sqlState?.rawValue ?? "unknown"): \(refusal)"
                } else {
                    state.others.append("\(error)")
                }
            }
            throw error
        }
    }
}
