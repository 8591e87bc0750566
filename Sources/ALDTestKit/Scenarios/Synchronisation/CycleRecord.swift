import ALDCore
import Synchronization

/// The current values of one machine, by parameter.
struct CurrentValues: Hashable, Sendable {
    struct Value: Hashable, Sendable {
        var time: Timestamp
        var value: Double?
    }

    var values: [Int32: Value] = [:]

    init() {}

    init(_ rows: [HistoryRow]) {
        for row in rows { values[row.parameter.rawValue] = Value(time: row.time, value: row.value) }
    }

    /// What the database says of machine 1.
    init(in database: PostgresConfiguration) async throws {
        values = try await TestDatabase.withConnection(database) { connection, deadline in
            let rows = try await connection.query(
                "SELECT parameter_id, sampled_at, value FROM ald.component_parameter_values WHERE machine_id = 1",
                deadline: deadline)
            return Dictionary(
                try rows.map { (try $0.decode(0), Value(time: try $0.decode(1), value: try $0.decode(2))) },
                uniquingKeysWith: { first, _ in first })
        }
    }

    /// Parameters that have another value here than in each of `others`, or in one of the two alone.
    func differences(from others: [CurrentValues]) -> Int {
        let parameters = others.reduce(into: Set(values.keys)) { $0.formUnion($1.values.keys) }
        return parameters.count { parameter in others.allSatisfy { $0.values[parameter] != values[parameter] } }
    }
}

/// What the cycles of one turn have been told has landed.
struct CycleRecord: Sendable {
    /// Rows.
    private(set) var landed = 0
    /// Rows of cycles that have failed: they may have landed all the same, unheard.
    private(set) var inDoubt = 0
    /// What the last cycle that has landed has brought, and those after it, which have failed.
    private(set) var newest: [[HistoryRow]] = []

    mutating func land(_ rows: [HistoryRow]) {
        landed += rows.count
        newest = [rows]
    }

    mutating func fail(_ rows: [HistoryRow]) {
        inDoubt += rows.count
        newest.append(rows)
    }
}

/// What both sides were told has landed, beside what the tables have of it.
struct SynchronisationAccount: Sendable {
    /// Rows of the history.
    var landed = 0
    var inDoubt = 0
    /// Values, over all turns, that are not the newest where they are kept, or are changed where they are not.
    var wrongCurrentValues = 0

    /// - Parameters:
    ///   - before: the current values when the turn began.
    ///   - after: those when it had ended.
    mutating func add(
        _ record: CycleRecord, isSynchronized: Bool, before: CurrentValues, after: CurrentValues
    ) {
        landed += record.landed
        inDoubt += record.inDoubt
        let expected = isSynchronized ? record.newest.map { CurrentValues($0) } : [before]
        wrongCurrentValues += after.differences(from: expected)
    }

    func note(_ run: ScenarioRun, _ recorded: RecordedRows) {
        run.note("history rows", count: recorded.rows)
        // What nobody has heard of may be there, once.
        let excess = max(landed - recorded.distinct, recorded.distinct - landed - inDoubt, 0)
        run.note("lost or doubled", count: excess + recorded.rows - recorded.distinct)
        run.note("wrong current values", count: wrongCurrentValues)
    }
}
