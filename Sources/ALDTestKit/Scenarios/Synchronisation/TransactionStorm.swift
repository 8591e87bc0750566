import ALDCore

/// More and more sessions at the same moment that write for several machines: overlapping readings in any order, few and
/// many, events and gaps, two batches that somebody else delivers the other way round, and commands. None may wait for
/// another in a circle, and none may overwrite what is newer.
struct TransactionStorm: ScenarioWork {
    static let crowds = [2, 5, 10, 20, 50, 100]

    /// How a test leaves some out, or tries others.
    var crowds = Self.crowds
    var machines: Int32 = 3
    /// How long all of a crowd may take until it is in the middle of a transaction.
    var patience = Duration.seconds(20)
    /// How a test plants a pool that is too small.
    var mostConnections = Int.max
    /// How a test plants a bug in the database: done before the storm, and beside it.
    var before: @Sendable (PostgresConfiguration) async throws -> Void = { _ in }
    var beside: @Sendable (PostgresConfiguration) async throws -> Void = { _ in }
    var unheeded: [RunOption: String] { [.scale: "the crowds are those of the requirement"] }

    func run(_ run: ScenarioRun) async throws {
        try await run.withMeteredDatabase { database in
            let crowds = try await possible(run, database)
            var configuration = PoolConfiguration()
            configuration.maximumConnections = min(mostConnections, max(1, crowds.max() ?? 1))
            configuration.maximumConcurrentConnects = 10
            let pool = try ConnectionPool(
                configuration: database.withApplicationName(StormWatch.name), pool: configuration,
                logger: TestDatabase.quiet)
            let plant = StormPlant(machines: machines, pool)
            try await plant.register(in: database)
            try await before(database)
            var account = StormAccount()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pool.run() }
                try await withThrowingTaskGroup(of: Void.self) { besides in
                    besides.addTask { try await beside(database) }
                    for (stage, crowd) in crowds.enumerated() {
                        try await storm(crowd, stage, run, plant, pool, database, &account)
                    }
                    try await besides.waitForAll()
                }
                group.cancelAll()
                try await group.waitForAll()
            }
            try await plant.takeTheRest(in: database)
            try await account.judge(run, plant, database)
        }
    }

    /// The crowds that this server has room for. Whoever had to wait for a connection would be in no transaction.
    private func possible(_ run: ScenarioRun, _ database: PostgresConfiguration) async throws -> [Int] {
        // Beside those that look there may be one that is about to end.
        let spare = 8
        let room = try await TestDatabase.number(
            """
            SELECT current_setting('max_connections')::int8
                - CASE WHEN current_setting('is_superuser')::bool THEN 0
                    ELSE current_setting('superuser_reserved_connections')::int8 END
                - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') - \(spare)
            """, database)
        let impossible = crowds.filter { $0 > room }
        if !impossible.isEmpty {
            let names = impossible.map(String.init).joined(separator: " and ")
            run.doubt(
                "the server has room for \(room) more sessions, so \(names) transactions at a time were not tried: "
                    + "raise max_connections, or unset ALD_DATABASE_URL")
        }
        return crowds.filter { $0 <= room }
    }

    private func storm(
        _ crowd: Int, _ stage: Int, _ run: ScenarioRun, _ plant: StormPlant, _ pool: ConnectionPool,
        _ database: PostgresConfiguration, _ account: inout StormAccount
    ) async throws {
        let (gathering, watch) = (StormWatch(), StormWatch())
        @Sendable func generator(_ number: Int) -> SeededGenerator {
            SeededGenerator(seed: run.seed &+ UInt64(stage) << 32 &+ UInt64(number))
        }
        try await gathering.gather(crowd, patience: patience, run, database) { client in
            var random = generator(client)
            try await plant.perform(.landing(using: &random), by: client, using: &random, deadline: run.patience)
        }
        account.inFlight[crowd] = gathering.most
        account.wrongCurrentValues += try await Self.wrongCurrentValues(in: database)
        let timeouts = pool.statistics.timeouts
        let loop = ClosedLoop(clients: crowd, duration: run.duration / crowds.count)
        let report = try await watch.looking(run, database) {
            try await loop.run { client, number in
                var random = generator(crowd + number)
                try await plant.perform(.next(using: &random), by: client, using: &random, deadline: run.patience)
            }
        }
        account.wrongCurrentValues += try await Self.wrongCurrentValues(in: database)
        run.note("\(crowd) at a time", report.latency)
        run.note("\(crowd) at a time: transactions per second", report.throughput, .perSecond)
        run.note("\(crowd) at a time: waits given up", count: pool.statistics.timeouts - timeouts)
        if let mean = watch.mean { run.note("\(crowd) at a time: in flight on average", mean, .count) }
        run.sample("transactions per second", report.throughput, .perSecond)
        account.succeeded += report.succeeded
        account.failed += report.failed
        if let error = report.firstError { run.say(error) }
    }

    /// Current values that are not the newest of the history. Nobody may write while it looks.
    private static func wrongCurrentValues(in database: PostgresConfiguration) async throws -> Int {
        try await TestDatabase.number(
            """
            SELECT count(*) FROM (
                SELECT DISTINCT ON (machine_id, parameter_id) machine_id, parameter_id, sampled_at, value
                FROM ald_history.parameter_value_history ORDER BY machine_id, parameter_id, sampled_at DESC) h
            FULL JOIN ald.component_parameter_values v USING (machine_id, parameter_id)
            WHERE (h.sampled_at, h.value) IS DISTINCT FROM (v.sampled_at, v.value)
            """, database)
    }
}

/// What simultaneous transactions have come to.
struct StormAccount: Sendable {
    var succeeded = 0
    var failed = 0
    /// The most transactions that were under way at a time, by the crowd they were of.
    var inFlight: [Int: Int] = [:]
    var deadlocks = 0
    var wrongCurrentValues = 0
    /// What was done, as those who did it were told.
    var tally = StormPlant.Tally()
    /// Commands that the database has.
    var commands = 0
    /// Commands that nobody has taken.
    var waiting = 0
    /// One for each machine.
    var audits: [LandingAudit] = []

    /// What the transactions of a crowd that were under way at a time are noted as.
    static func inFlight(_ crowd: Int) -> String { "\(crowd) at a time: in flight" }

    /// Asks the database what there is when all sessions of the storm have ended: a session says what it knows of
    /// deadlocks at its end at the latest.
    mutating func judge(_ run: ScenarioRun, _ plant: StormPlant, _ database: PostgresConfiguration) async throws {
        deadlocks = try await Self.deadlocks(run, database)
        let all = "SELECT count(*) FROM ald.parameter_control_commands"
        commands = try await TestDatabase.number(all, database)
        waiting = try await TestDatabase.number(all + " WHERE status IN ('pending', 'claimed')", database)
        tally = plant.tally
        for machine in plant.machines {
            audits.append(try await LandingAudit(of: machine.promises, machine: machine.number, in: database))
        }
        note(run)
        run.sometimes("a batch is copied", tally.copies > 0)
        run.sometimes("two deliver the same batches in different order", tally.pairs > 0)
        run.sometimes("a command is taken", !tally.taken.isEmpty)
        run.sometimes("events and gaps land", audits.contains { $0.events > 0 } && audits.contains { $0.gaps > 0 })
    }

    /// All that the sessions of this database have met, when they have ended.
    static func deadlocks(_ run: ScenarioRun, _ database: PostgresConfiguration) async throws -> Int {
        let left = try await run.leftovers("every session has ended") {
            try await TestDatabase.number(
                "SELECT count(*) FROM pg_stat_activity WHERE \(TestDatabase.otherSessions)", database)
        }
        if left > 0 { run.doubt("\(left) sessions have not ended and may know of deadlocks") }
        return try await TestDatabase.deadlocks(in: database)
    }

    /// Of those that were asked for. One may be too late to be begun, but not unheard.
    var lostOrDoubledCommands: Int {
        max(0, tally.asked - commands) + waiting + tally.taken.values.reduce(0) { $0 + $1 - 1 }
    }

    func note(_ run: ScenarioRun) {
        run.note("transactions", count: succeeded)
        run.note("success", Double(succeeded) / Double(max(1, succeeded + failed)), .ratio)
        for (crowd, most) in inFlight.sorted(by: { $0.key < $1.key }) { run.note(Self.inFlight(crowd), count: most) }
        run.note("database deadlocks", count: deadlocks)
        run.note("wrong current values", count: wrongCurrentValues)
        run.note("copied batches", count: tally.copies)
        run.note("batches delivered by two", count: tally.pairs * 2)
        run.note("commands", count: tally.asked)
        run.note("commands lost or doubled", count: lostOrDoubledCommands)
        LandingAudit.note(audits, run)
    }
}

extension LandingAudit {
    /// Notes what is lost or doubled of several machines: one cannot make up for another.
    static func note(_ audits: [LandingAudit], _ run: ScenarioRun, as name: String = "lost or doubled") {
        for problem in audits.flatMap(\.problems) { run.fail(problem) }
        run.note("records", count: audits.reduce(0) { $0 + $1.promised })
        run.note(name, count: audits.reduce(0) { $0 + $1.lostOrDoubled })
    }
}
