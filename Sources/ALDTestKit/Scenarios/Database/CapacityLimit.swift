import ALDCore
import Synchronization

/// Requests at a rising rate, each with a connection of its own, as programs without a pool make them, until there is no
/// place left for them: in the server, for their role, among the clients of a real PgBouncer, and in its pool. Where the
/// server or the role is what is too small, our pool then does its work with the few connections that it is granted.
///
/// What each of them says then, as it was met (PostgreSQL 15, PgBouncer 1.18):
///
/// | Place | SQLSTATE | Message |
/// |---|---|---|
/// | server (`max_connections`) | 53300 | `remaining connection slots are reserved for …` |
/// | role (`CONNECTION LIMIT`) | 53300 | `too many connections for role "…"` |
/// | pooler's clients (`max_client_conn`) | 08P01 | `no more connections allowed (max_client_conn)` |
/// | pooler's pool (`default_pool_size`) | 08P01 | `query_wait_timeout` |
struct CapacityLimit: ScenarioWork {
    enum Place: String, CaseIterable {
        case server
        case role
        case clients = "pooler's clients"
        case pool = "pooler's pool"

        /// Whether our pool works there, too. Before a pooler it does all the time.
        var isForOurPool: Bool { self == .server || self == .role }
    }

    /// Connections that the server or the pooler grants.
    var connections = 10
    /// Connections to the server that the pooler shares out when it is them that are few.
    var poolSize = 2
    private static let rates: [Double] = [10, 50, 100, 500, 1000]

    func run(_ run: ScenarioRun) async throws {
        try await run.withMeteredDatabase { database in
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
            // To take all connections of somebody's server would harm whoever else uses it.
            guard await run.host.cluster != nil else {
                return run.doubt("the server is not ours, so its connections were left to others")
            }
            return try await withRole(run, "", database) { limited in
                try await occupied(run, limited) { try await body(limited) }
            }
        case .role: return try await withRole(run, "CONNECTION LIMIT \(connections)", database, body)
        case .clients: limits.maximumClients = connections
        case .pool: (limits.poolSize, limits.queryWaitTimeout) = (poolSize, 1)
        }
        try await PgBouncer.run(before: try ProxiedDatabase.connectionString(of: database), limits: limits) {
            try await body($0.configuration)
        }
    }

    /// Has `body` run with a role that is no superuser: for those the server keeps places of their own.
    private func withRole(
        _ run: ScenarioRun, _ limit: String, _ database: PostgresConfiguration,
        _ body: (PostgresConfiguration) async throws -> Void
    ) async throws {
        let name = "limited_" + String(run.seed % 1_000_000)
        let password = String(run.seed, radix: 36)
        try await execute("CREATE ROLE \(name) LOGIN PASSWORD '\(password)' \(limit)", database)
        try await withCleanup {
            try await body(database.withRole(name, password: password))
        } cleanup: {
            try await execute("DROP ROLE \(name)", database)
        }
    }

    /// A server that has more places than this is not filled.
    private static let mostPlaces = 500

    /// Has `body` run while others hold all connections of the server but ``connections``.
    private func occupied(
        _ run: ScenarioRun, _ database: PostgresConfiguration, _ body: () async throws -> Void
    ) async throws {
        let time = SystemTime()
        var held: [PostgresConnection] = []
        try await withCleanup {
            do {
                while held.count < Self.mostPlaces {
                    held.append(
                        try await PostgresConnection.connect(
                            database, deadline: run.patience, time: time, logger: TestDatabase.quiet))
                }
                return run.doubt("the server has more than \(Self.mostPlaces) places, which were not filled")
            } catch let error as PostgresError where error.code == .tooManyConnections {
                for _ in 0..<min(connections, held.count) { await held.removeLast().close() }
            }
            run.note("connections of others", count: held.count)
            try await body()
        } cleanup: {
            for connection in held { await connection.close() }
        }
    }

    /// How many connections this place grants at the same time.
    func capacity(of place: Place) -> Int { place == .pool ? poolSize : connections }

    private func search(_ place: Place, _ run: ScenarioRun, _ database: PostgresConfiguration) async throws {
        var account = CapacityAccount(place: place)
        // Who has to wait for a connection waits for those before it: so long that the pooler's patience ends.
        let work: Duration = place == .pool ? .milliseconds(100) : .milliseconds(20)
        for rate in Self.rates.map({ $0 * run.scale }) {
            let tally = CapacityTally()
            let loop = OpenLoop(
                rate: rate, duration: run.duration / (Self.rates.count * Place.allCases.count),
                clients: connections * 4)
            let report = try await loop.run { _, _ in
                try await tally.count { try await Self.request(database, lasting: work) }
            }
            run.note("\(place.rawValue): \(Int(rate)) per second", report.latency)
            account.stages.append(
                CapacityAccount.Stage(
                    rate: rate, servedPerSecond: report.throughput, refused: tally.refused, others: tally.others))
            run.sample("\(place.rawValue): served per second", report.throughput, .perSecond)
            if let error = tally.example { run.say("\(place.rawValue): \(error)") }
            if tally.refused > 0 { break }
        }
        do {
            try await eventually("there is room again") { await Self.isServed(database) }
            account.isServedAfterwards = true
        } catch let problem as NeverHappened {
            run.say("\(place.rawValue): \(problem)")
        }
        account.granted = try await granted(place, database)
        if place.isForOurPool { account.pool = try await poolLoad(run, database) }
        account.note(run)
    }

    /// Twice as many callers as connections are granted, of a pool that would like as many: those that are refused are a
    /// matter of the pool, no caller sees them.
    private func poolLoad(
        _ run: ScenarioRun, _ database: PostgresConfiguration
    ) async throws -> CapacityAccount.PoolLoad {
        var configuration = PoolConfiguration()
        configuration.maximumConnections = connections * 2
        let pool = try ConnectionPool(configuration: database, pool: configuration, logger: TestDatabase.quiet)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            let callers = connections * 2
            let report = try await ClosedLoop(clients: callers, operations: callers * 10).run { _, _ in
                let deadline = run.patience
                try await pool.withConnection(holder: "caller", lane: .reader, deadline: deadline) {
                    _ = try await $0.query("SELECT pg_sleep(0.01)::text", deadline: deadline)
                }
            }
            let statistics = pool.statistics
            group.cancelAll()
            try await group.waitForAll()
            return CapacityAccount.PoolLoad(
                asked: callers * 10, served: report.succeeded, used: statistics.connectsSucceeded,
                refused: statistics.connectsFailed, firstError: report.firstError)
        }
    }

    /// How many connections are granted one after the other, until the next is refused.
    private func granted(_ place: Place, _ database: PostgresConfiguration) async throws -> Int {
        let capacity = capacity(of: place)
        var granted = 0
        do {
            // Those of the load take a moment to be gone.
            try await eventually("all are free") {
                granted = try await Self.hold(database, after: 0, atMost: capacity + 5)
                return granted >= capacity
            }
        } catch is NeverHappened {
            // The number says it.
        }
        return granted
    }

    /// Holds connections, one more in each call.
    private static func hold(_ database: PostgresConfiguration, after held: Int, atMost most: Int) async throws -> Int {
        guard held < most else { return held }
        do {
            return try await TestDatabase.withConnection(database) { connection, deadline in
                // In a transaction the pooler has to keep its connection for us.
                _ = try await connection.execute(script: "BEGIN; SELECT 1", deadline: deadline)
                return try await hold(database, after: held + 1, atMost: most)
            }
        } catch let error as PostgresError where error.code == .tooManyConnections {
            return held
        }
    }

    /// Connects, works for a moment, disconnects.
    private static func request(_ database: PostgresConfiguration, lasting work: Duration) async throws {
        try await TestDatabase.withConnection(database) { connection, deadline in
            _ = try await connection.query("SELECT pg_sleep($1)::text", [.float8(work.inSeconds)], deadline: deadline)
        }
    }

    private static func isServed(_ database: PostgresConfiguration) async -> Bool {
        do {
            try await request(database, lasting: .zero)
            return true
        } catch {
            return false
        }
    }

    private func execute(_ script: String, _ database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) { _ = try await $0.execute(script: script, deadline: $1) }
    }
}

/// Errors by what they mean.
private final class CapacityTally: Sendable {
    private let state = Mutex((refused: 0, example: String?.none, others: [String]()))

    var refused: Int { state.withLock(\.refused) }
    var example: String? { state.withLock(\.example) }
    var others: [String] { state.withLock(\.others) }

    func count(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch {
            let refusal = (error as? PostgresError).flatMap { $0.code == .tooManyConnections ? $0 : nil }
            state.withLock { state in
                if let refusal {
                    state.refused += 1
                    state.example = "SQLSTATE \(refusal.sqlState?.rawValue ?? "unknown"): \(refusal)"
                } else {
                    state.others.append("\(error)")
                }
            }
            throw error
        }
    }
}

/// What a place that is too small has served and refused, rate by rate.
struct CapacityAccount: Sendable {
    struct Stage: Sendable {
        /// Requests per second.
        var rate: Double
        /// Until the last of them was: who waits in line is not served in the time in which it was asked.
        var servedPerSecond: Double
        /// With the capacity error.
        var refused: Int
        /// Whatever else was said instead of an answer.
        var others: [String] = []
    }

    var place: CapacityLimit.Place
    var stages: [Stage] = []
    /// Connections that were held at the same time when the next one was refused.
    var granted = 0
    var isServedAfterwards = false
    /// What our pool has done there; `nil` where that is not asked.
    var pool: PoolLoad?

    struct PoolLoad: Sendable {
        var asked: Int
        var served: Int
        /// Connections that it was granted, and refused.
        var used: Int
        var refused: Int
        var firstError: String?
    }

    func note(_ run: ScenarioRun) {
        let name = place.rawValue
        let (refused, others) = (stages.reduce(0) { $0 + $1.refused }, stages.flatMap(\.others))
        run.note("\(name): served per second", stages.map(\.servedPerSecond).max() ?? 0, .perSecond)
        run.note("\(name): other errors", count: others.count)
        for error in others.prefix(3) { run.say("\(name): \(error)") }
        run.note("\(name): connections granted", count: granted)
        run.note("\(name): served after the limit", count: isServedAfterwards ? 1 : 0)
        if let met = stages.first(where: { $0.refused > 0 }) {
            run.note("\(name): limit met at", met.rate, .perSecond)
            run.note("\(name): capacity errors", count: refused)
        } else {
            // Whether it is kept is said by what was granted: the load was just not enough to meet it.
            run.doubt("\(name): no request was refused in \(DurationText.short(run.duration)), which is too short")
        }
        guard let pool else { return }
        run.note("\(name): our pool's callers that failed", count: pool.asked - pool.served)
        run.note("\(name): our pool's connections", count: pool.used)
        run.note("\(name): our pool's refused connects", count: pool.refused)
        if let error = pool.firstError { run.say("\(name): our pool: \(error)") }
    }
}
