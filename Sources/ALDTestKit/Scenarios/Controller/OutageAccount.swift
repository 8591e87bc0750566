import ALDCore

/// What a recorder has been through while its database was in trouble, and what is concluded from it.
struct OutageAccount: Sendable {
    /// Rows that the recorder has accepted, and how often it could not.
    var accepted = 0
    var refused = 0
    /// What is in the database when all is over.
    var recorded = RecordedRows(rows: 0, distinct: 0)
    /// How long the trouble went on.
    var lasted = Duration.zero
    /// Attempts of the writer that failed meanwhile, and whether its breaker was ever open.
    var failures = 0
    var breakerOpened = false
    /// Lines of the log that are a warning or worse.
    var warnings = 0
    /// From the end of the trouble until as many rows were in the database as had been accepted by then; `nil`: it never
    /// came to that.
    var recovery: Duration?
    /// Parameters that the database did not know, and rows of the others that did not land beside theirs.
    var strangers: Set<Int32> = []
    var goodMissing = 0
    /// Records that waited when the trouble ended.
    var waiting = 0
    /// What the writer has said, and all lines of the log.
    var words: [String] = []

    func note(_ run: ScenarioRun, _ way: ControllerWay) {
        func note(_ name: String, count: Int) { run.note("\(way.rawValue): \(name)", count: count) }
        note("rows", count: recorded.rows)
        note("lost or doubled", count: recorded.lostOrDoubled(of: accepted))
        note("refused acceptances", count: refused)
        run.sometimes("\(way.rawValue): a row was accepted", accepted > 0)
        note("failures noticed", count: failures)
        note("errors logged", count: warnings)
        note("breaker opened", count: breakerOpened ? 1 : 0)
        if lasted > .zero {
            run.note("\(way.rawValue): attempts per second", Double(failures) / lasted.inSeconds, .perSecond)
        }
        if let recovery { run.note("\(way.rawValue): recovery", recovery) }
        guard !strangers.isEmpty else { return }
        note("good rows missing", count: goodMissing)
        let isIdentified = words.contains { Self.parametersNotRegistered($0) == strangers }
        note("bad rows not identified", count: isIdentified ? 0 : strangers.count)
    }

    /// The parameters that these words say are not registered.
    private static func parametersNotRegistered(_ words: String) -> Set<Int32> {
        guard let place = words.firstRange(of: "not registered: ") else { return [] }
        let numbers = words[place.upperBound...].prefix { $0.isNumber || $0 == "," || $0 == " " }
        return Set(numbers.split { !$0.isNumber }.compactMap { Int32($0) })
    }
}
