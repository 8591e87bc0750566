import ALDCore

/// Starts of a recorder, what each of them has come to, and what is concluded from them.
struct RestartAccount: Sendable {
    enum Failure: Int, CaseIterable, Sendable {
        /// The database is not there for a moment.
        case database
        /// The controller is not where it is looked for.
        case controller
        /// A file lies where the spool should be.
        case spool
    }

    struct Start: Sendable {
        var took = Duration.zero
        /// Those that it has accepted.
        var rows = 0
        var error: String?
        /// What was injected.
        var failure: Failure?

        /// Whether it succeeded although nothing could be recorded.
        var isUnharmed: Bool { (failure == .spool || failure == .controller) && error == nil }

        /// Whether the error tells the place of what was wrong, and what it was.
        func saysWhy(_ way: ControllerWay) -> Bool {
            let words = error ?? ""
            switch (failure, way) {
            case (.spool, _): return words.contains("/spool/") && words.contains("Not a directory")
            case (.controller, .wired): return words.contains("127.0.0.1:1") && words.contains("refused")
            case (.controller, .direct):
                return words.contains("PLC cannot be reached") && words.contains("switched off")
            case (.database, _), (nil, _): return false
            }
        }
    }

    /// How many were asked for.
    var due: Int
    /// Whether they were at the same moment.
    var isAtOnce = false
    var starts: [Start] = []
    /// Connections to controller and database that are open when all is over.
    var connectionsLeft = 0
    var recorded = RecordedRows(rows: 0, distinct: 0)
    /// As the database has counted them.
    var deadlocks = 0

    init(due: Int, isAtOnce: Bool = false) {
        (self.due, self.isAtOnce) = (due, isAtOnce)
    }

    func note(_ run: ScenarioRun, _ way: ControllerWay) {
        func note(_ name: String, count: Int) { run.note("\(way.rawValue): \(name)", count: count) }
        var times = DurationHistogram()
        for start in starts where start.error == nil { times.record(start.took) }
        run.note("\(way.rawValue): start", times)
        note("starts", count: starts.count)
        note("missing starts", count: due - starts.count)
        let failed = starts.filter { $0.error != nil }
        note("failed starts", count: failed.count)
        run.note("\(way.rawValue): failed part", Double(failed.count) / Double(max(1, starts.count)), .ratio)
        note(
            "failed starts without a failure", count: failed.count { $0.failure == nil || $0.failure == .database })
        note("errors that do not say why", count: failed.count { !$0.saysWhy(way) })
        // The database comes back while the start waits for it; the others cannot be overcome.
        note("failures without effect", count: starts.count { $0.isUnharmed })
        for error in Set(failed.compactMap(\.error)).sorted().prefix(3) { run.say(error) }
        note("connections left", count: connectionsLeft)
        let accepted = starts.reduce(0) { $0 + $1.rows }
        // Of several at once two may read in the same microsecond.
        let wrong = isAtOnce ? abs(recorded.rows - accepted) : recorded.lostOrDoubled(of: accepted)
        note("lost or doubled", count: wrong)
        note("database deadlocks", count: deadlocks)
    }
}
