import ALDCore
import Logging
import Synchronization

/// Terminals at a database in which somebody holds tables: statements take as long as the lock lasts, as they do behind a
/// forgotten transaction.
struct LockedTables: ScenarioWork {
    enum Place: Sendable {
        /// What a start asks for.
        case metadata
        /// What Terminals 2 and 3 poll.
        case commands
        /// What every delivery needs.
        case ledger

        /// What somebody has to wait for, or the lock has hit nobody.
        var polled: [String] {
            switch self {
            case .metadata: ["ald.component_parameters"]
            case .commands: ["ald.parameter_control_commands", "ald.recipe_commands"]
            case .ledger: ["ald_history.ingest_batches"]
            }
        }

        /// What is locked besides.
        var others: [String] { self == .commands ? ["ald.process_executions"] : [] }
    }

    var place: Place
    /// At least so long, and until it has been felt at each table for most of that, ``mostExtension`` longer at the most.
    var lock: Duration
    /// Recorders at the same time, each with a machine of its own.
    var recorders = 1
    var unheeded: [RunOption: String] { [.duration: "what counts is the lock", .scale: "what counts is the lock"] }

    func run(_ run: ScenarioRun) async throws {
        let map = try Machine51.map()
        let book = LogBook()
        try await run.withMeteredDatabase { database in
            try await ControllerWay.wired.with(map, seed: run.seed) { bench in
                try await record(run, bench, database, book).note(run)
            }
        }
        run.note("delays logged", count: book.lines.count { $0.level >= .warning })
        for line in book.lines.prefix(3) where line.level >= .warning { run.say(line.text) }
    }

    private enum Part: Sendable {
        case recorder(LockedTerminals.Recorder)
        case recipes(LockedTerminals.Recipes?)
    }

    private func record(
        _ run: ScenarioRun, _ bench: ControllerBench, _ database: PostgresConfiguration, _ book: LogBook
    ) async throws -> LockedTerminals {
        let (stage, meter) = (LockStage(expected: recorders), CycleMeter())
        // A delivery is a statement, and those behind the lock are among them.
        defer { run.note("statement", meter.deliveries) }
        return try await withThrowingTaskGroup(of: Part.self) { group in
            for machine in 1...Int32(recorders) {
                group.addTask {
                    .recorder(try await record(machine, run, bench, database, book, stage, meter))
                }
            }
            group.addTask { .recipes(try await disturb(run, bench, database, stage)) }
            return try await group.reduce(into: LockedTerminals(expected: recorders, recorders: [])) { all, part in
                switch part {
                case .recorder(let recorder): all.recorders.append(recorder)
                case .recipes(let recipes): all.recipes = recipes
                }
            }
        }
    }

    // MARK: Terminal 1

    private func record(
        _ machine: Int32, _ run: ScenarioRun, _ bench: ControllerBench, _ database: PostgresConfiguration,
        _ book: LogBook, _ stage: LockStage, _ meter: CycleMeter
    ) async throws -> LockedTerminals.Recorder {
        try await withTemporaryDirectory(in: run.host.directory()) { directory in
            // Before the start, when that is what is slow.
            if place == .metadata { try await eventually("the lock is held") { stage.isLocked } }
            let began = run.time.now
            let watch = Mutex((probe: Int?.none, goesOn: false, recovery: Duration.zero))
            let summary = try await RecordingRig.record(
                bench.device.registerMap, machine: machine, fromPort: bench.port, into: database, directory: directory,
                period: .milliseconds(500), logger: book.logger(), meter: meter,
                configure: { $0.attemptTimeout = .seconds(1) }
            ) { rig in
                try await eventually("recording has begun", within: .seconds(60)) { rig.writer.statistics.landed > 0 }
                if place == .metadata { run.note("start", run.time.now - began) }
                let probe = stage.count { rig.collection.statistics.cycles }
                stage.arrive()
                try await eventually("the lock is gone", within: .seconds(60)) { stage.isOver }
                let (healed, cycles) = (run.time.now, rig.collection.statistics.cycles)
                try await eventually("everything has landed", within: .seconds(60)) {
                    rig.writer.statistics.spooled == 0
                }
                let recovery = run.time.now - healed
                var goesOn = true
                do {
                    try await eventually("it still records") { rig.collection.statistics.cycles > cycles }
                } catch is NeverHappened {
                    goesOn = false
                }
                watch.withLock { $0 = (probe: probe, goesOn: goesOn, recovery: recovery) }
            }
            let seen = watch.withLock(\.self)
            return LockedTerminals.Recorder(
                accepted: summary.collection.rows,
                recorded: try await RecordedRows(of: machine, in: database),
                missed: summary.collection.missedPLC + summary.collection.missedSpool,
                connectionTimeouts: summary.pool.timeouts,
                cyclesBehindLock: seen.probe.flatMap { stage.counted($0) }, goesOn: seen.goesOn,
                recovery: seen.recovery)
        }
    }

    // MARK: Who holds the tables, and who polls them

    /// Holds the lock once everybody is there, or before, and has recipes and commands executed meanwhile where these are
    /// polled.
    private func disturb(
        _ run: ScenarioRun, _ bench: ControllerBench, _ database: PostgresConfiguration, _ stage: LockStage
    ) async throws -> LockedTerminals.Recipes? {
        if place != .metadata { try await eventually("all record", within: .seconds(60)) { stage.isComplete } }
        guard place == .commands else {
            try await hold(run, database, stage)
            stage.end()
            return nil
        }
        return try await withTemporaryDirectory(in: run.host.directory()) { directory in
            let map = bench.device.registerMap
            let result = Mutex(LockedTerminals.Recipes?.none)
            try await RecipeRig.run(map, seed: run.seed, in: database, directory: directory) { rig in
                let recipes = try await ask(run, map, rig, database, stage)
                result.withLock { $0 = recipes }
            }
            return result.withLock(\.self)
        }
    }

    /// Longer than the lock lasts, in steps of which many fit in.
    private var running: Recipe { Self.waiting(for: lock + .seconds(1), named: "under way") }
    private var waiting: Recipe { Self.waiting(for: .seconds(1), named: "behind the lock") }

    private static func waiting(for duration: Duration, named name: String) -> Recipe {
        let steps = Int32((duration.inSeconds * 4).rounded(.up))
        return Recipe(name: name, steps: (1...max(1, steps)).map { RecipeStep(id: $0, .wait(.milliseconds(250))) })
    }

    private func ask(
        _ run: ScenarioRun, _ map: RegisterMap, _ recipes: RecipeRig, _ database: PostgresConfiguration,
        _ stage: LockStage
    ) async throws -> LockedTerminals.Recipes {
        let (first, second) = (try await recipes.store(running), try await recipes.store(waiting))
        // Steps of a run that has ended meanwhile count as well.
        let probe = stage.count {
            let status = recipes.service.status
            return status.completed * running.steps.count + Int(status.progress?.completedSteps ?? 0)
        }
        let channel = CommandChannel(rate: 10)
        try await channel.serve(map, run, database, through: database) { terminals in
            try await recipes.start(first)
            try await eventually("the recipe runs") { recipes.service.status.phase == .running }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await hold(run, database, stage) }
                try await eventually("the lock is held") { stage.isLocked }
                // What is asked for behind the lock waits with it.
                group.addTask { _ = try await recipes.start(second) }
                for number in 0..<20 { try await channel.insert(1, from: number, terminals[0], database) }
                try await group.waitForAll()
            }
            stage.end()
            try await channel.judge(run, terminals, database)
        }
        run.note("commands lost", count: Int(run.value("events lost") ?? 1))
        let commands = "SELECT count(*) FROM ald.recipe_commands WHERE "
        _ = try await run.leftovers("every recipe has ended", within: .seconds(60)) {
            try await TestDatabase.number(commands + "finished_at IS NULL", database)
        }
        if let problem = recipes.service.status.lastProblem { run.say(problem) }
        return LockedTerminals.Recipes(
            asked: 2, succeeded: try await TestDatabase.number(commands + "status = 'succeeded'", database),
            stepsBehindLock: stage.counted(probe) ?? 0)
    }

    // MARK: The lock

    /// How much longer than asked for the lock may be held.
    private static let mostExtension: Duration = .seconds(15)

    private func hold(_ run: ScenarioRun, _ database: PostgresConfiguration, _ stage: LockStage) async throws {
        let names = place.polled + place.others
        try await run.fault("\(names.joined(separator: ", ")) locked for \(DurationText.short(lock))") {
            try await TestDatabase.withConnection(database) { connection, deadline in
                try await Self.lock(names, connection, deadline)
                stage.lock()
                let end = run.time.now + lock
                var waiting = place.polled.map { _ in 0 }
                var waitingSince = place.polled.map { _ in MonotonicInstant?.none }
                func isFelt() -> Bool {
                    waitingSince.allSatisfy { $0.map { run.time.now - $0 > lock * 3 / 4 } ?? false }
                }
                while run.time.now < end || !isFelt() && run.time.now < end + Self.mostExtension {
                    try await run.time.sleep(for: .milliseconds(50))
                    let rows = try await connection.query(Self.waiters, [.textArray(place.polled)], deadline: deadline)
                    for (index, row) in rows.enumerated() {
                        let count = Int(try row.decode(0, as: Int64.self))
                        waiting[index] = max(waiting[index], count)
                        if count > 0 { waitingSince[index] = waitingSince[index] ?? run.time.now }
                    }
                }
                stage.unlock()
                _ = try await connection.execute(script: "COMMIT", deadline: deadline)
                // A table at which nobody waited was locked in vain.
                return waiting.min() ?? 0
            }
        }
    }

    /// Begins a transaction that has all of the tables. It takes one after the other, and whoever has one of them may wait
    /// for another: it gives up before the server takes that for a deadlock and ends one of the two.
    private static func lock(
        _ names: [String], _ connection: PostgresConnection, _ deadline: MonotonicInstant
    ) async throws {
        let script = """
            BEGIN; SET LOCAL lock_timeout = '200ms';
            LOCK TABLE \(names.joined(separator: ", ")) IN ACCESS EXCLUSIVE MODE
            """
        try await eventually("the tables are locked") {
            do {
                _ = try await connection.execute(script: script, deadline: deadline)
                return true
            } catch let error as PostgresError where error.sqlState == .lockNotAvailable {
                _ = try await connection.execute(script: "ROLLBACK", deadline: deadline)
                return false
            }
        }
    }

    /// How many wait for each of some tables, in their order.
    private static let waiters = """
        SELECT count(l.relation) FROM unnest($1::text[]) WITH ORDINALITY AS t(name, number)
        LEFT JOIN pg_locks l ON NOT l.granted AND l.relation = t.name::regclass
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        GROUP BY t.number ORDER BY t.number
        """
}
