import ALDCore
import Logging

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

    func run(_ run: ScenarioRun) async throws {
        try await run.host.withDatabase { database in
            let directory = try await run.host.directory()
            try await withTemporaryDirectory(in: directory) { directory in
                switch trouble {
                case .foreignKey: try await strangers(run, database, directory)
                case .refused, .slow, .everything: try await record(run, database, directory)
                }
            }
        }
    }

    private func record(_ run: ScenarioRun, _ database: PostgresConfiguration, _ directory: String) async throws {
        let map = try Machine51.map()
        let book = LogBook()
        try await ControllerWay.wired.with(map, seed: run.seed) { bench in
            try await ProxiedDatabase.run(before: database, seed: run.seed) { proxy, proxied in
                let recorded = try await RecordingRig.record(
                    map, fromPort: bench.port, into: proxied, directory: directory, period: .milliseconds(50),
                    logger: book.logger(), configure: { $0.attemptTimeout = .milliseconds(400) }
                ) { rig in
                    try await eventually("recording has begun") { rig.writer.statistics.landed > 0 }
                    let failed = rig.writer.statistics.failedAttempts
                    try await run.fault("\(trouble)") {
                        try await begin(proxy, database)
                        run.note("breaker opened", count: try await watch(rig, run) ? 1 : 0)
                        let failures = rig.writer.statistics.failedAttempts - failed
                        run.note("attempts per second", Double(failures) / run.duration.inSeconds, .perSecond)
                        run.note("failures noticed", count: failures)
                        try await end(proxy, database)
                        return failures
                    }
                    let healed = run.time.now
                    try await eventually("everything has landed", within: .seconds(60)) {
                        rig.writer.statistics.spooled == 0
                    }
                    run.note("recovery", run.time.now - healed)
                }
                try await judge(recorded, run, database)
            }
        }
        run.note("errors logged", count: book.count(.warning))
    }

    /// Looks at what goes on for as long as the trouble lasts.
    ///
    /// - Returns: whether the breaker was ever open.
    private func watch(_ rig: RecordingRig, _ run: ScenarioRun) async throws -> Bool {
        let end = run.time.now + run.duration
        var opened = false
        while run.time.now < end {
            try await run.time.sleep(for: .milliseconds(20))
            let statistics = rig.writer.statistics
            opened = opened || statistics.breaker == .open
            run.sample("spooled", Double(statistics.spooled), .count)
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

    private func end(_ proxy: FaultProxy, _ database: PostgresConfiguration) async throws {
        proxy.heal()
        guard trouble == .everything else { return }
        try await execute(
            "DROP TRIGGER no_space ON ald_history.ingest_batches; DROP FUNCTION ald_history.no_space()", database)
    }

    private func execute(_ script: String, _ database: PostgresConfiguration) async throws {
        try await TestDatabase.withConnection(database) { _ = try await $0.execute(script: script, deadline: $1) }
    }

    private func judge(
        _ recorded: RecordingRig.Summary, _ run: ScenarioRun, _ database: PostgresConfiguration
    ) async throws {
        let rows = try await TestDatabase.number("SELECT count(*) FROM ald.parameter_value_history", database)
        run.note("rows", count: rows)
        run.note("lost", count: recorded.collection.rows - rows)
        run.note("refused acceptances", count: recorded.collection.missedSpool)
    }

    // MARK: Strangers

    /// Both of them, and nobody else.
    private static func namesStrangers(_ words: String) -> Bool {
        guard let place = words.firstRange(of: "not registered: ") else { return false }
        return words[place.upperBound...].prefix { $0.isNumber || $0 == "," || $0 == " " } == "9, 10"
    }

    /// Two of ten parameters are not in the database.
    private func strangers(_ run: ScenarioRun, _ database: PostgresConfiguration, _ directory: String) async throws {
        let book = LogBook()
        var options = WriterRig.Options(directory: directory, database: database)
        (options.strangers, options.logger) = (2, book.logger())
        let promises = Promises()
        try await run.fault("foreign key") {
            try await WriterRig.run(options, promises: promises) { rig in
                let end = run.time.now + run.duration
                var refused = 0
                // As many as wait and cannot land are enough.
                while run.time.now < end, promises.acceptedCount < 20_000 {
                    do throws(SpoolError) { try await rig.append(10, kind: .history) } catch { refused += 1 }
                    try await run.time.sleep(for: .milliseconds(5))
                }
                run.note("refused acceptances", count: refused)
                let good = promises.acceptedCount * 8 / 10
                try await eventually("the good rows have landed") { rig.writer.statistics.landed >= good }
                run.note("good rows missing", count: max(0, good - rig.writer.statistics.landed))
                let words = [rig.writer.statistics.heldBecause ?? ""] + book.lines.map(\.text)
                run.note("bad rows not identified", count: words.contains(where: Self.namesStrangers) ? 0 : 2)
                return rig.writer.statistics.spooled
            }
        }
        // Once they are registered, all of it lands.
        (options.strangers, options.logger) = (0, TestDatabase.quiet)
        let audit = try await WriterRig.run(options, promises: promises) { rig in
            try await rig.drain()
            return try await rig.audit()
        }
        for problem in audit.problems { run.fail(problem) }
        run.note("lost", count: promises.acceptedCount - audit.rows)
    }
}
