import ALDCore
import Logging
import Synchronization

/// Terminals at a database in which somebody holds a table: statements take as long as the lock lasts, as they do behind a
/// forgotten transaction.
struct LockedTables: ScenarioWork {
    enum Place: String, Sendable {
        /// What a start asks for.
        case metadata = "ald.component_parameters"
        /// What Terminal 3 polls.
        case commands = "ald.parameter_control_commands"
        /// What every delivery needs.
        case ledger = "ald_history.ingest_batches"
    }

    var place: Place
    /// At least so long, and until somebody has felt it for most of that, ``mostExtension`` longer at the most.
    var lock: Duration
    /// Recorders at the same time.
    var recorders = 1

    func run(_ run: ScenarioRun) async throws {
        let map = try Machine51.map()
        let book = LogBook()
        try await run.host.withDatabase { database in
            try await ControllerWay.wired.with(map, seed: run.seed) { bench in
                let summaries = try await record(run, bench, database, book)
                let rows = try await TestDatabase.number("SELECT count(*) FROM ald.parameter_value_history", database)
                run.note("lost or doubled", count: abs(rows - summaries.reduce(0) { $0 + $1.collection.rows }))
                run.note("terminals that stopped", count: recorders - summaries.count)
                run.note(
                    "collection missed",
                    count: summaries.reduce(0) { $0 + $1.collection.missedPLC + $1.collection.missedSpool })
            }
        }
        run.note("delays logged", count: book.lines.count { $0.level >= .warning })
        for line in book.lines.prefix(3) where line.level >= .warning { run.say(line.text) }
    }

    private func record(
        _ run: ScenarioRun, _ bench: ControllerBench, _ database: PostgresConfiguration, _ book: LogBook
    ) async throws -> [RecordingRig.Summary] {
        let stage = LockStage(expected: recorders)
        return try await withThrowingTaskGroup(of: RecordingRig.Summary?.self) { group in
            for _ in 0..<recorders {
                group.addTask {
                    try await withTemporaryDirectory(in: run.host.directory()) { directory in
                        // Before the start, when that is what is slow.
                        if place == .metadata { try await eventually("the lock is held") { stage.isLocked } }
                        let began = run.time.now
                        return try await RecordingRig.record(
                            bench.device.registerMap, fromPort: bench.port, into: database, directory: directory,
                            period: .milliseconds(500), logger: book.logger(),
                            configure: { $0.attemptTimeout = .seconds(1) }
                        ) { rig in
                            try await eventually("recording has begun", within: .seconds(60)) {
                                rig.writer.statistics.landed > 0
                            }
                            if place == .metadata { run.note("start", run.time.now - began) }
                            stage.arrive()
                            try await eventually("the lock is gone", within: .seconds(60)) { stage.isOver }
                            let healed = run.time.now
                            try await eventually("everything has landed", within: .seconds(60)) {
                                rig.writer.statistics.spooled == 0
                            }
                            run.note("recovery", run.time.now - healed)
                        }
                    }
                }
            }
            group.addTask {
                try await disturb(run, bench, database, stage)
                return nil
            }
            return try await group.reduce(into: []) { if let summary = $1 { $0.append(summary) } }
        }
    }

    /// Holds the lock once everybody is there, or before, and has commands executed meanwhile where these are polled.
    private func disturb(
        _ run: ScenarioRun, _ bench: ControllerBench, _ database: PostgresConfiguration, _ stage: LockStage
    ) async throws {
        if place != .metadata { try await eventually("all record", within: .seconds(60)) { stage.isComplete } }
        guard place == .commands else {
            try await hold(run, database, stage)
            return stage.end()
        }
        let channel = CommandChannel(rate: 10)
        try await channel.serve(bench.device.registerMap, run, database, through: database) { terminals in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await hold(run, database, stage) }
                // What is asked for behind the lock waits with it.
                for number in 0..<20 { try await channel.insert(1, from: number, terminals[0], database) }
                try await group.waitForAll()
            }
            try await channel.judge(run, terminals, database)
        }
        run.note("commands lost", count: Int(run.value("events lost") ?? 1))
        run.note("commands done", count: Int((run.value("events") ?? 0) - (run.value("events lost") ?? 0)))
        stage.end()
    }

    /// How much longer than asked for the lock may be held.
    private static let mostExtension: Duration = .seconds(15)

    private func hold(_ run: ScenarioRun, _ database: PostgresConfiguration, _ stage: LockStage) async throws {
        try await run.fault("\(place.rawValue) is locked for \(lock)") {
            try await TestDatabase.withConnection(database) { connection, deadline in
                _ = try await connection.execute(
                    script: "BEGIN; LOCK TABLE \(place.rawValue) IN ACCESS EXCLUSIVE MODE", deadline: deadline)
                stage.lock()
                let end = run.time.now + lock
                var waiting = 0
                var waitingSince: MonotonicInstant?
                func isFelt() -> Bool { waitingSince.map { run.time.now - $0 > lock * 3 / 4 } ?? false }
                while run.time.now < end || !isFelt() && run.time.now < end + Self.mostExtension {
                    try await run.time.sleep(for: .milliseconds(50))
                    let rows = try await connection.query(
                        """
                        SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '\(place.rawValue)'::regclass
                            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                        """, deadline: deadline)
                    waiting = max(waiting, Int(try rows.first?.decode(0, as: Int64.self) ?? 0))
                    if waiting > 0 { waitingSince = waitingSince ?? run.time.now }
                }
                _ = try await connection.execute(script: "COMMIT", deadline: deadline)
                return waiting
            }
        }
    }
}

/// Who is there and what is locked.
private final class LockStage: Sendable {
    private let state = Mutex((arrived: 0, isLocked: false, isOver: false))
    private let expected: Int

    init(expected: Int) {
        self.expected = expected
    }

    var isComplete: Bool { state.withLock(\.arrived) >= expected }
    var isLocked: Bool { state.withLock(\.isLocked) }
    var isOver: Bool { state.withLock(\.isOver) }

    func arrive() { state.withLock { $0.arrived += 1 } }
    func lock() { state.withLock { $0.isLocked = true } }
    func end() { state.withLock { $0.isOver = true } }
}
