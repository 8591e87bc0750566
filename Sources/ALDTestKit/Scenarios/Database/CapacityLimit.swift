import ALDCore
import Synchronization

/// Requests at a rising rate, each with a connection of its own, as programs without a pool make them, until the server has
/// no connection left for them.
struct CapacityLimit: ScenarioWork {
    /// Connections that the server grants.
    var connections = 10
    private static let rates: [Double] = [10, 50, 100, 500, 1000]

    func run(_ run: ScenarioRun) async throws {
        try await run.host.withDatabase { database in
            let role = "limited_" + String(run.seed % 1_000_000)
            try await execute("CREATE ROLE \(role) LOGIN CONNECTION LIMIT \(connections)", database)
            try await withCleanup {
                try await search(run, try ProxiedDatabase.connecting(as: role, database))
            } cleanup: {
                try await execute("DROP ROLE \(role)", database)
            }
        }
    }

    private func search(_ run: ScenarioRun, _ database: PostgresConfiguration) async throws {
        let tally = CapacityTally()
        var served = 0.0
        for rate in Self.rates {
            let loop = OpenLoop(
                rate: rate * run.scale, duration: run.duration / Self.rates.count, clients: connections * 4)
            let report = try await loop.run { _, _ in try await tally.count { try await Self.request(database) } }
            run.note("\(Int(rate)) per second", report.latency)
            let seconds = max(loop.duration.inSeconds, 0.001)
            served = max(served, Double(report.succeeded) / seconds)
            run.sample("served per second", Double(report.succeeded) / seconds, .perSecond)
            if tally.recognised > 0 {
                run.note("limit met at", rate, .perSecond)
                break
            }
        }
        run.note("served per second", served, .perSecond)
        run.note("capacity errors recognised", count: tally.recognised)
        run.note("other errors", count: tally.others.count)
        for error in tally.others.prefix(3) { run.say(error) }
        if let error = tally.example { run.say(error) }
        try await eventually("there is room again") {
            try await Self.request(database)
            return true
        }
        run.note("served after the limit", count: 1)
    }

    /// Connects, works for a moment, disconnects.
    private static func request(_ database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) { connection, deadline in
            _ = try await connection.query("SELECT pg_sleep(0.02)::text", deadline: deadline)
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
            let isCapacity = (error as? PostgresError)?.code == .tooManyConnections
            state.withLock { state in
                if isCapacity { state.recognised += 1 } else { state.others.append("\(error)") }
                if isCapacity { state.example = "\(error)" }
            }
            throw error
        }
    }
}
