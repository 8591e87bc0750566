import ALDCore

/// What the recorder of a ``TerminalsUnderFault`` has been through, and what is concluded from it.
struct TroubleAccount: Sendable {
    /// How far it is.
    struct Progress: Hashable, Sendable {
        var cycles = 0
        /// Instants that went by without readings, by cause.
        var missed: [CollectionGap.Cause: Int] = [:]
        var failedDeliveries = 0

        func missed(_ causes: CollectionGap.Cause...) -> Int { causes.reduce(0) { $0 + missed[$1, default: 0] } }
        var missedInAll: Int { missed.values.reduce(0, +) }
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
    /// Until the trouble was over.
    var cycleTime = DurationHistogram()
    var jitter = DurationHistogram()

    /// Instants that were missed without a record, or recorded without having been missed. Cause by cause: one of each
    /// do not make up for each other.
    var unexplained: Int {
        CollectionGap.Cause.allCases.reduce(0) { $0 + abs(end.missed($1) - explained[$1, default: 0]) }
    }

    func note(_ run: ScenarioRun) {
        run.note("cycles under the fault", count: after.cycles - before.cycles)
        run.note("violations", count: after.missedInAll - before.missedInAll)
        // Without those at which this machine itself was late.
        run.note(
            "violations for want of controller or disk",
            count: after.missed(.plc, .spool) - before.missed(.plc, .spool))
        run.note("failed deliveries", count: after.failedDeliveries - before.failedDeliveries)
        run.note("cycle time", cycleTime)
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
        missed = [.late: collection.missedLate, .plc: collection.missedPLC, .spool: collection.missedSpool]
        failedDeliveries = writer.failedAttempts
    }
}

extension TroubleAccount {
    /// Adds what the recorder says that has ended, and what the database has.
    mutating func end(_ summary: RecordingRig.Summary, in database: PostgresConfiguration) async throws {
        end = Progress(summary.collection, summary.writer)
        accepted = summary.collection.rows
        jitter = summary.collection.jitter
        recorded = try await RecordedRows(in: database)
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
}
