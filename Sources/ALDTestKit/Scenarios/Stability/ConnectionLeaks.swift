import ALDCore
import Foundation
import Logging
import Modbus

/// Connections that are used, lost and made again, over and over. What is judged: there are never more of them than there
/// may be, none stays half-closed, and at the end the process holds what it held at the beginning.
struct ConnectionLeaks: ScenarioWork {
    enum Kind: Sendable {
        /// Of a pool to the database; in every other round all of them are ended by the server.
        case database
        /// To the controller, which goes away in every other round.
        case controller
    }

    var kind: Kind

    var unheeded: [RunOption: String] { [.scale: "the operations are those of the requirement"] }

    /// The requirement's number, for its hours; fewer when there are only seconds.
    private static let operations = 21_600
    private static let shortOperations = 1200
    private static let clients = 4

    private struct Pace {
        var rounds: Int
        var operations: Int

        /// A round every ten seconds, or twelve.
        init(_ duration: Duration) {
            let total = duration >= .hours(1) ? ConnectionLeaks.operations : ConnectionLeaks.shortOperations
            rounds = max(12, Int(duration.inSeconds / 10))
            operations = max(1, total / rounds)
        }
    }

    func run(_ run: ScenarioRun) async throws {
        // Threads and what libraries open once belong to the baseline.
        switch kind {
        case .database: try await run.host.withDatabase { try await queries(run, $0) }
        case .controller: try await reads(run)
        }
    }

    /// Has `operation` done by several at once, round by round, disturbs every other round, and looks after each.
    private func rounds(
        _ run: ScenarioRun, _ operation: @escaping @Sendable () async throws -> Void,
        disturb: () async throws -> Int, look: () async throws -> Int, _ account: inout ConnectionAccount
    ) async throws {
        let (pace, beginning) = (Pace(run.duration), run.time.now)
        var bites = 0
        try await run.fault("connections are lost") {
            for round in 0..<pace.rounds {
                try await run.time.sleep(until: beginning + run.duration * round / pace.rounds)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for client in 0..<Self.clients {
                        let own = (pace.operations + client) / Self.clients
                        group.addTask { for _ in 0..<own { try await operation() } }
                    }
                    try await group.waitForAll()
                }
                account.operations += pace.operations
                if round % 2 == 1 { bites += try await disturb() }
                // In the same state each time: after an operation, with what that needs.
                try await operation()
                let open = try await look()
                run.sample(account.kind, Double(open), .count)
                account.look(open: open, halfClosed: ProcessProbe.sockets(in: .closeWait), at: run.elapsed.inSeconds)
            }
            return bites
        }
    }

    // MARK: Database

    private static let pool = "ald.leaks"
    private static let bound = 5

    private func queries(_ run: ScenarioRun, _ database: PostgresConfiguration) async throws {
        let sessions = "FROM pg_stat_activity WHERE datname = current_database() AND application_name = '\(Self.pool)'"
        // What the way to this server needs once is there now.
        _ = try await TestDatabase.number("SELECT count(*) \(sessions)", database)
        var account = ConnectionAccount(kind: "database connections", before: ProcessProbe())
        var settings = PoolConfiguration()
        settings.maximumConnections = Self.bound
        (settings.initialBackoff, settings.maximumBackoff) = (.milliseconds(10), .milliseconds(100))
        let pool = try ConnectionPool(
            configuration: database.withApplicationName(Self.pool), pool: settings, logger: TestDatabase.quiet)
        account = try await withThrowingTaskGroup(of: Void.self) { [account] pooling in
            var account = account
            pooling.addTask { try await pool.run() }
            try await rounds(
                run, { try await Self.query(pool, run) },
                disturb: {
                    try await TestDatabase.number(
                        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) \(sessions)", database)
                }, look: { try await TestDatabase.number("SELECT count(*) \(sessions)", database) }, &account)
            pooling.cancelAll()
            try await pooling.waitForAll()
            return account
        }
        account.left = try await Self.left(run) {
            try await TestDatabase.number("SELECT count(*) \(sessions)", database)
        }
        account.after = ProcessProbe()
        account.note(run)
    }

    /// One that was ended while it lay in the pool is found out by whoever uses it first; the second attempt has another.
    private static func query(_ pool: ConnectionPool, _ run: ScenarioRun) async throws {
        var attempts = 0
        while true {
            do {
                let deadline = run.patience
                return try await pool.withConnection(holder: "leaks", lane: .reader, deadline: deadline) { connection in
                    _ = try await connection.query("SELECT 1", deadline: deadline)
                }
            } catch let error as PostgresError where error.isOutage && attempts < 10 {
                attempts += 1
            }
        }
    }

    /// How many are still there when there should be none.
    private static func left(_ run: ScenarioRun, _ count: () async throws -> Int) async throws -> Int {
        try await run.leftovers("all connections are closed", count)
    }

    // MARK: Controller

    private func reads(_ run: ScenarioRun) async throws {
        // What the first connection of a process opens once for all others belongs to the baseline.
        _ = try await Self.withController(run) { _, plc in try await Self.read(plc, run) }
        let baseline = ConnectionAccount(kind: "controller connections", before: ProcessProbe())
        let (seen, left) = try await Self.withController(run) { server, plc in
            var account = baseline
            try await rounds(
                run, { try await Self.read(plc, run) },
                disturb: {
                    let accepted = server.statistics.accepted
                    await server.strike(.reboot(.milliseconds(20)))
                    try await Self.read(plc, run)
                    return server.statistics.accepted - accepted
                }, look: { server.statistics.open }, &account)
            return account
        }
        var account = seen
        account.left = left
        account.after = ProcessProbe()
        account.note(run)
    }

    /// Runs `body` with a controller and a client of it, then closes both.
    ///
    /// - Returns: what `body` does, and how many connections the controller still has when its client is closed.
    private static func withController<Result: Sendable>(
        _ run: ScenarioRun, _ body: (ModbusServer, ModbusPLC) async throws -> Result
    ) async throws -> (Result, left: Int) {
        let map = try GeneratedMachine.registerMap(parameters: 20, seed: run.seed)
        var behavior = DeviceBehavior.ideal
        // With it the device can restart.
        behavior.faults = FaultInjector(seed: run.seed)
        let server = SimulatedPLC(map, seed: run.seed).makeServer(behavior: behavior)
        let port = try await server.start()
        return try await withCleanup {
            var reach = ModbusClient.Configuration(host: "127.0.0.1", port: port)
            (reach.backoff, reach.backoffCap) = (.milliseconds(5), .milliseconds(50))
            let client = try ModbusClient(configuration: reach, logger: TestDatabase.quiet)
            let result = try await withCleanup {
                try await body(server, ModbusPLC(map, client: client))
            } cleanup: {
                await client.close()
            }
            return (result, try await left(run) { server.statistics.open })
        } cleanup: {
            await server.stop()
        }
    }

    /// Until it succeeds: a controller that restarts is away for a moment.
    private static func read(_ plc: ModbusPLC, _ run: ScenarioRun) async throws {
        let patience = run.patience
        while true {
            do throws(PLCError) {
                _ = try await plc.scan(deadline: run.time.now + .seconds(2))
                return
            } catch {
                guard run.time.now < patience else { throw error }
                try await run.time.sleep(for: .milliseconds(5))
            }
        }
    }
}
