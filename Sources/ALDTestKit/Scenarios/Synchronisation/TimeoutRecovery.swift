import ALDCore

/// Deliveries that wait behind a lock until their timeout, ten at a time, and are repeated when the lock is gone: how
/// soon all of them have landed then, for each of the requirement's timeouts.
enum TimeoutRecovery {
    /// The requirement's, in seconds.
    static let timeouts = [1, 3, 5, 10]
    static let deliveries = 10
    /// In a run that is shorter than the nominal one timeouts are shorter, too, down to this part of them.
    private static let shortest = 0.1
    /// A delivery that is still under way so long after its timeout has none.
    private static let lateness = Duration.seconds(10)
    /// Not an origin that a spool draws.
    private static let origin: Int64 = 1

    /// What part of the requirement's timeouts a run of this length has, ``shortest``…1.
    static func part(of duration: Duration, nominal: Duration) -> Double {
        min(1, max(shortest, duration.inSeconds / max(nominal.inSeconds, 1)))
    }

    /// - Parameters:
    ///   - rig: gives machine, numbers and connections; its writer must have nothing to do.
    ///   - around: puts something between the deliveries and the sink.
    static func run(
        _ run: ScenarioRun, _ rig: WriterRig, around: (any BatchSink) -> any BatchSink,
        _ database: PostgresConfiguration
    ) async throws {
        let sink = around(
            PostgresSink(
                pool: rig.pool, registration: NumberedRecords.registration(machine: rig.options.machine),
                logger: TestDatabase.quiet))
        let part = part(of: run.duration, nominal: run.scenario.nominal)
        run.note("timeouts, part of the nominal ones", part, .ratio)
        for seconds in timeouts {
            var account = TimeoutAccount(nominal: seconds, timeout: .seconds(Double(seconds) * part))
            try await run.fault("deliveries time out after \(DurationText.short(account.timeout))") {
                let rollbacks = try await RollbackCount(in: database)
                try await connect(batches(Int64(seconds) * 2, rig), run, rig, sink, database)
                let held = batches(Int64(seconds) * 2 + 1, rig)
                account.attempts = try await timeOut(held.map(\.batch), after: account.timeout, run, sink, database)
                let healed = run.time.now
                try await land(held, run, sink, rig.promises)
                account.recovery = run.time.now - healed
                // A statement that met the lock was rolled back.
                return min(account.timedOut, try await rollbacks.read())
            }
            account.note(run)
        }
    }

    private typealias Delivery = (batch: Batch, numbers: Range<Int64>)

    private static func batches(_ round: Int64, _ rig: WriterRig) -> [Delivery] {
        (1...Int64(deliveries)).map { number in
            let numbers = rig.promises.take(20)
            let id = BatchID(origin: origin, number: round * 1000 + number)
            let records = NumberedRecords.records(numbers, .history)
            return (Batch(id: id, machine: rig.options.machine, records: records), numbers)
        }
    }

    private enum Part: Sendable {
        case attempt(TimeoutAccount.Attempt)
        case lockIsDue
    }

    /// Has the ledger locked while `body` runs. Should it throw, the lock goes with its connection.
    static func whileLocked<Result>(
        _ database: PostgresConfiguration, _ body: (_ unlock: () async throws -> Void) async throws -> Result
    ) async throws -> Result {
        try await TestDatabase.withConnection(database) { connection, deadline in
            _ = try await connection.execute(
                script: "BEGIN; LOCK TABLE ald_history.ingest_batches IN ACCESS EXCLUSIVE MODE", deadline: deadline)
            return try await body { _ = try await connection.execute(script: "COMMIT", deadline: deadline) }
        }
    }

    /// Lands all of them, each over a connection of its own: those that are to meet a lock must not wait for one.
    private static func connect(
        _ batches: [Delivery], _ run: ScenarioRun, _ rig: WriterRig, _ sink: any BatchSink,
        _ database: PostgresConfiguration
    ) async throws {
        try await whileLocked(database) { unlock in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await land(batches, run, sink, rig.promises) }
                try await eventually("each has a connection") { rig.pool.statistics.leased >= deliveries }
                try await unlock()
                try await group.waitForAll()
            }
        }
    }

    /// Delivers all of them at the same time while the ledger is locked, which is so until all have ended, or for long
    /// after the timeout.
    private static func timeOut(
        _ batches: [Batch], after timeout: Duration, _ run: ScenarioRun, _ sink: any BatchSink,
        _ database: PostgresConfiguration
    ) async throws -> [TimeoutAccount.Attempt] {
        try await whileLocked(database) { unlock in
            try await withThrowingTaskGroup(of: Part.self) { group in
                for batch in batches {
                    group.addTask { .attempt(await attempt(batch, timeout, run.time, sink)) }
                }
                group.addTask {
                    try await run.time.sleep(for: timeout + lateness)
                    return .lockIsDue
                }
                var attempts: [TimeoutAccount.Attempt] = []
                var isLocked = true
                while attempts.count < batches.count, let part = try await group.next() {
                    switch part {
                    case .attempt(let attempt): attempts.append(attempt)
                    case .lockIsDue:
                        try await unlock()
                        isLocked = false
                    }
                }
                group.cancelAll()
                if isLocked { try await unlock() }
                return attempts
            }
        }
    }

    private static func attempt(
        _ batch: Batch, _ timeout: Duration, _ time: SystemTime, _ sink: any BatchSink
    ) async -> TimeoutAccount.Attempt {
        let began = time.now
        do throws(SinkFault) {
            try await sink.apply(batch, deadline: began + timeout)
            return TimeoutAccount.Attempt(took: time.now - began, problem: nil)
        } catch {
            return TimeoutAccount.Attempt(took: time.now - began, problem: "\(error)")
        }
    }

    /// Repeats all of them until they have landed.
    private static func land(
        _ batches: [Delivery], _ run: ScenarioRun, _ sink: any BatchSink, _ promises: Promises
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (batch, numbers) in batches {
                group.addTask {
                    let deadline = run.patience
                    while true {
                        do {
                            try await sink.apply(batch, deadline: deadline)
                            return promises.accept(numbers)
                        } catch {
                            guard run.time.now < deadline else { throw error }
                        }
                        try await run.time.sleep(for: .milliseconds(10))
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}

/// What has become of deliveries that were to time out.
struct TimeoutAccount: Sendable {
    struct Attempt: Sendable {
        var took: Duration
        /// `nil`: it has landed.
        var problem: String?
    }

    /// As the requirement has it, in seconds: it names the measurements.
    var nominal: Int
    /// What it was in this run.
    var timeout: Duration
    var attempts: [Attempt] = []
    /// From the end of what held them up until all have landed; `nil` when they have not.
    var recovery: Duration?

    /// Those that were given up when their time was over, and not for another reason before. Clocks are read twice.
    var timedOut: Int { attempts.count { $0.problem != nil && $0.took >= timeout * 0.99 } }

    static func name(_ seconds: Int, _ measure: String) -> String { "timeout of \(seconds) s: \(measure)" }

    func note(_ run: ScenarioRun) {
        run.note(Self.name(nominal, "timed out"), count: timedOut)
        if let latest = attempts.map(\.took).max() {
            run.note(Self.name(nominal, "given up late by"), max(.zero, latest - timeout))
        }
        if let recovery { run.note(Self.name(nominal, "recovered within"), recovery) }
        for attempt in attempts where attempt.took < timeout * 0.99 {
            if let problem = attempt.problem { run.say(problem) }
        }
    }
}
