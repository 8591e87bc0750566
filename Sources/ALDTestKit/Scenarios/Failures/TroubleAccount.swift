import ALDCore

/// What the recorder of a ``TerminalsUnderFault`` has been through, and what is concluded from it.
struct TroubleAccount: Sendable {
    /// How far it is.
    struct Progress: Sendable {
        var cycles = 0
        /// Instants that were recorded late.
        var late = 0
        var cycleTime = DurationHistogram()
        /// Instants that went by without readings, by cause.
        var missed: [CollectionGap.Cause: Int] = [:]
        var failedDeliveries = 0

        func missed(_ causes: CollectionGap.Cause...) -> Int { causes.reduce(0) { $0 + missed[$1, default: 0] } }
        var missedInAll: Int { missed.values.reduce(0, +) }
        var violations: Int { missedInAll + late }
    }

    /// When the trouble began, when it was over, and when the recorder had ended.
    var before = Progress()
    var after = Progress()
    var end = Progress()
    /// Readings that it has accepted, and those in the database.
    var accepted = 0
    var recorded = RecordedRows(rows: 0, distinct: 0)
    /// Instants of which gap records tell, by cause.
    var explained: [CollectionGap.Cause: Int] = [:]
    /// From the end of the trouble until instants were recorded again, nothing waited to be delivered and no command to
    /// be carried out; `nil`: it never came to that.
    var recovery: Duration?
    /// Lines of the log that are a warning or worse.
    var warnings = 0
    var jitter = DurationHistogram()
    /// What a controller can do that is slow; `nil` where none is.
    var slow: SlowReading?
    /// So many whole readings Terminal 1 owes while the trouble lasts.
    var owed = 0
    /// By the clock of the readings, from its beginning to its end.
    var trouble: ClosedRange<Timestamp>?
    /// Readings that began in it, with a value for each parameter.
    var whole = 0
    /// Instants with readings that did not begin at one of the grid, or a quarter of a period later at most.
    var offGrid = 0

    /// Instants that were missed without a record, or recorded without having been missed. Cause by cause: one of each
    /// do not make up for each other.
    var unexplained: Int {
        CollectionGap.Cause.allCases.reduce(0) { $0 + abs(end.missed($1) - explained[$1, default: 0]) }
    }

    func note(_ run: ScenarioRun) {
        let (cycles, missed) = (after.cycles - before.cycles, after.missedInAll - before.missedInAll)
        run.note("cycles under the fault", count: cycles)
        run.note("violations", count: after.violations - before.violations)
        run.note("recorded of what was due under the fault", Double(cycles) / Double(max(1, cycles + missed)), .ratio)
        // Without those at which this machine itself was late.
        run.note(
            "violations for want of controller or disk",
            count: after.missed(.plc, .spool) - before.missed(.plc, .spool))
        run.note("failed deliveries", count: after.failedDeliveries - before.failedDeliveries)
        run.note("cycle time before", before.cycleTime)
        run.note("cycle time under the fault", after.cycleTime.without(before.cycleTime))
        if slow != nil {
            run.note("whole readings under the fault", count: whole)
            run.note("readings owed under the fault", count: owed)
            run.note("readings missing under the fault", count: max(0, owed - whole))
        }
        run.note("readings off the grid", count: offGrid)
        if let recovery { run.note("recovery", recovery) }
        run.note("rows", count: recorded.rows)
        run.note("lost or doubled", count: recorded.lostOrDoubled(of: accepted))
        run.note("cycles", count: end.cycles)
        run.note("missed instants", count: end.missedInAll)
        run.note("violations without a record", count: unexplained)
        run.note("jitter", jitter)
        run.note("errors logged", count: warnings)
    }
}

extension TroubleAccount.Progress {
    init(of rig: RecordingRig) {
        self.init(rig.collection.statistics, rig.writer.statistics)
    }

    init(_ collection: CollectionStatistics, _ writer: BatchWriter.Statistics) {
        cycles = collection.cycles
        (late, cycleTime) = (collection.lateCycles, collection.cycleTime)
        missed = [.late: collection.missedLate, .plc: collection.missedPLC, .spool: collection.missedSpool]
        failedDeliveries = writer.failedAttempts
    }
}

extension TroubleAccount {
    /// Adds what the recorder says that has ended, and what the database has.
    mutating func end(
        _ summary: RecordingRig.Summary, period: Duration, in database: PostgresConfiguration
    ) async throws {
        end = Progress(summary.collection, summary.writer)
        accepted = summary.collection.rows
        jitter = summary.collection.jitter
        recorded = try await RecordedRows(in: database)
        try await lookAtInstants(period: period, in: database)
        explained = try await TestDatabase.withConnection(database) { connection, deadline in
            let rows = try await connection.query(
                "SELECT cause, sum(instants)::bigint FROM ald.collection_gaps GROUP BY cause", deadline: deadline)
            return try rows.reduce(into: [:]) { explained, row in
                let name = try row.decode(0, as: String.self)
                guard let cause = CollectionGap.Cause(rawValue: name) else {
                    throw NeverHappened(description: "a gap record with the cause “\(name)”")
                }
                explained[cause] = Int(try row.decode(1, as: Int64.self))
            }
        }
    }

    /// Instants by their rows. A reading of the last moments may have ended when the trouble was over.
    private mutating func lookAtInstants(period: Duration, in database: PostgresConfiguration) async throws {
        let instants = try await TestDatabase.withConnection(database) { connection, deadline in
            try await connection.query(
                """
                SELECT sampled_at, count(*) FILTER (WHERE quality <> \(Quality.bad.rawValue)) = max(count(*)) OVER ()
                FROM ald.parameter_value_history GROUP BY sampled_at ORDER BY sampled_at
                """, deadline: deadline
            ).map { (at: try $0.decode(0, as: Timestamp.self), isWhole: try $0.decode(1, as: Bool.self)) }
        }
        offGrid = Self.offGrid(instants.map(\.at), period: period)
        guard let slow, let trouble else { return }
        let last = trouble.upperBound.advanced(by: .zero - slow.delay * slow.requests)
        whole = instants.count { $0.isWhole && $0.at >= trouble.lowerBound && $0.at <= last }
    }

    /// The first one may itself be late, so that the others may seem early by as much.
    static func offGrid(_ instants: [Timestamp], period: Duration) -> Int {
        guard let first = instants.first else { return 0 }
        // What a task needs to wake up.
        let tolerance = period.inSeconds / 4 + 0.05
        return instants.count { instant in
            let phase = Double(instant.microseconds - first.microseconds) / 1_000_000
            return abs(phase.remainder(dividingBy: period.inSeconds)) > tolerance
        }
    }
}
