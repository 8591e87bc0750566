import ALDCore
import Logging
import Synchronization

/// A machine is recorded while the database is in trouble: the failures are noticed and logged, acceptance goes on, and
/// when the trouble is over everything lands.
struct BackgroundWrites: ScenarioWork {
    enum Trouble: Sendable {
        /// Connections are reset, and new ones refused.
        case refused
        /// Every answer comes later than anybody waits.
        case slow
        /// Readings of parameters that the database does not know.
        case foreignKey
        /// The server has no space for a single row.
        case everything
    }

    var trouble: Trouble
    /// How a test plants a bug between writer and database.
    var around: @Sendable (any BatchSink) -> any BatchSink = { $0 }

    /// At which the machine is read; a scale changes it.
    private static let period = Duration.milliseconds(50)

    /// - Throws: ``ImpossibleLoad`` for a scale with which no machine is read.
    private static func period(_ run: ScenarioRun) throws -> Duration {
        let (period, shortest) = (Self.period / run.scale, Duration.milliseconds(1))
        guard period >= shortest else {
            throw ImpossibleLoad(
                description:
                    "a machine is read every \(shortest) at the most: the scale of \(run.scenario.id) is at most "
                    + "\(Int(Self.period / shortest))")
        }
        return period
    }

    func run(_ run: ScenarioRun) async throws {
        let period = try Self.period(run)
        for way in ControllerWay.allCases {
            let account = try await run.host.withDatabase { database in
                try await withTemporaryDirectory(in: run.host.directory()) { directory in
                    try await record(run, way, database, directory, every: period)
                }
            }
            account.note(run, way)
        }
    }

    /// Of so many parameters the database does not know the last ones.
    private static let (parameters, strangers) = (10, 2)

    private func map(_ run: ScenarioRun) throws -> RegisterMap {
        guard trouble == .foreignKey else { return try Machine51.map() }
        return try GeneratedMachine.registerMap(parameters: Self.parameters, seed: run.seed)
    }

    /// What the database is told of the machine before the trouble is over.
    private func registered(_ map: RegisterMap) throws -> RegisterMap {
        guard trouble == .foreignKey else { return map }
        return try RegisterMap(
            parameters: map.parameters.dropLast(Self.strangers), wordOrder: map.wordOrder)
    }

    private func record(
        _ run: ScenarioRun, _ way: ControllerWay, _ database: PostgresConfiguration, _ directory: String,
        every period: Duration
    ) async throws -> OutageAccount {
        let map = try map(run)
        // What is done once must not need the patience that deliveries have here.
        let sink = PostgresSink(
            pool: try ConnectionPool(configuration: database, logger: TestDatabase.quiet),
            registration: RecordingRig.registration(of: try registered(map)), logger: TestDatabase.quiet)
        try await TestDatabase.withConnection(database) { try await sink.prepare(on: $0, deadline: $1) }
        let book = LogBook()
        let suffered = Mutex(OutageAccount())
        let recorded = try await way.with(map, seed: run.seed, pace: .inTurn) { bench in
            try await ProxiedDatabase.run(before: database, seed: run.seed) { proxy, proxied in
                try await bench.withClient(logger: book.logger()) { plc in
                    try await RecordingRig.record(
                        from: plc, registered: registered(map), into: proxied, directory: directory,
                        period: period, logger: book.logger(), around: around,
                        configure: { ($0.attemptTimeout, $0.hold) = (.milliseconds(400), .milliseconds(100)) }
                    ) { rig in
                        let account = try await suffer(run, way, rig, proxy, database)
                        suffered.withLock { $0 = account }
                    }
                }
            }
        }
        var account = suffered.withLock(\.self)
        (account.accepted, account.refused) = (recorded.collection.rows, recorded.collection.missedSpool)
        account.recorded = try await RecordedRows(in: database)
        account.warnings = book.count(.warning)
        account.words += book.lines.map(\.text)
        return account
    }

    /// The trouble, and what is after it.
    private func suffer(
        _ run: ScenarioRun, _ way: ControllerWay, _ rig: RecordingRig, _ proxy: FaultProxy,
        _ database: PostgresConfiguration
    ) async throws -> OutageAccount {
        try await eventually("recording has begun") { rig.writer.statistics.landed > 0 }
        var account = OutageAccount()
        let failed = rig.writer.statistics.failedAttempts
        try await run.fault("\(trouble), \(way.rawValue)") {
            let began = run.time.now
            try await begin(proxy, database)
            account.breakerOpened = try await watch(rig, run, way)
            account.lasted = run.time.now - began
            account.failures = rig.writer.statistics.failedAttempts - failed
            if trouble == .foreignKey { try await judgeStrangers(rig, database, &account) }
            try await end(proxy, database, rig.plc.registerMap)
            return trouble == .foreignKey ? account.waiting : account.failures
        }
        // Recording goes on: what is accepted from now on has not suffered.
        let (healed, suffered) = (run.time.now, rig.writer.statistics.accepted)
        do {
            try await eventually("all of it has landed", within: .seconds(60)) {
                rig.writer.statistics.landed >= suffered
            }
            account.recovery = run.time.now - healed
        } catch is NeverHappened {
            // The account says it.
        }
        return account
    }

    /// Those whose parameters are registered land beside the others, which are named.
    private func judgeStrangers(
        _ rig: RecordingRig, _ database: PostgresConfiguration, _ account: inout OutageAccount
    ) async throws {
        let known = Self.parameters - Self.strangers
        let good = "SELECT count(*) FROM ald.parameter_value_history WHERE parameter_id <= \(known)"
        let expected = rig.collection.statistics.rows / Self.parameters * known
        do {
            try await eventually("the good rows have landed") {
                try await TestDatabase.number(good, database) >= expected
            }
        } catch is NeverHappened {
            // The count says it.
        }
        account.goodMissing = max(0, expected - (try await TestDatabase.number(good, database)))
        let statistics = rig.writer.statistics
        (account.waiting, account.words) = (statistics.spooled, [statistics.heldBecause ?? ""])
        account.strangers = Set(rig.plc.registerMap.parameters.suffix(Self.strangers).map(\.id.rawValue))
    }

    /// Looks at what goes on for as long as the trouble lasts.
    ///
    /// - Returns: whether the breaker was ever open.
    private func watch(_ rig: RecordingRig, _ run: ScenarioRun, _ way: ControllerWay) async throws -> Bool {
        let end = run.time.now + run.duration
        var opened = false
        while run.time.now < end {
            try await run.time.sleep(for: .milliseconds(20))
            let statistics = rig.writer.statistics
            opened = opened || statistics.breaker == .open
            run.sample("\(way.rawValue): spooled", Double(statistics.spooled), .count)
        }
        return opened
    }

    private func begin(_ proxy: FaultProxy, _ database: PostgresConfiguration) async throws {
        var late = StreamFaults()
        late.latency = .milliseconds(800)
        switch trouble {
        case .refused: proxy.down()
        case .slow: proxy.set(late, .downstream)
        case .foreignKey: break
        case .everything:
            try await execute(
                """
                CREATE FUNCTION ald_history.no_space() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'could not extend file: no space left on device' USING ERRCODE = '53100'; END $$;
                CREATE TRIGGER no_space BEFORE INSERT ON ald_history.ingest_batches
                    FOR EACH STATEMENT EXECUTE FUNCTION ald_history.no_space()
                """, database)
        }
    }

    private func end(_ proxy: FaultProxy, _ database: PostgresConfiguration, _ map: RegisterMap) async throws {
        switch trouble {
        case .refused, .slow: proxy.heal()
        case .foreignKey:
            try await TestDatabase.withConnection(database) { connection, deadline in
                _ = try await RecordingRig.registration(of: map)
                    .register(connection, updatesExisting: false, deadline: deadline)
            }
        case .everything:
            try await execute(
                "DROP TRIGGER no_space ON ald_history.ingest_batches; DROP FUNCTION ald_history.no_space()", database)
        }
    }

    private func execute(_ script: String, _ database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) { _ = try await $0.execute(script: script, deadline: $1) }
    }
}
