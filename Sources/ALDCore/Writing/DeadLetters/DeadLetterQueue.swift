/// What people do with dead letters: look at them, correct them, send them again, keep them in files, give them up.
///
/// Works on any computer that reaches the database, whether the process that wrote the letters runs or not. Every
/// change is one call of the database, which checks it and writes down who wanted it and why; repeating a call changes
/// nothing and says so. A record that is sent again lands exactly once: its letter's own name is the claim in the ledger,
/// and the letter is closed in the same transaction.
///
/// Errors are those of the connection: `PostgresError`.
public struct DeadLetterQueue: Sendable {
    /// Which letters are meant. All conditions hold.
    public struct Filter: Hashable, Sendable {
        public var machine: Int32?
        /// Only these; empty: all.
        public var names: [DeadLetterName] = []
        /// Refused then or later.
        public var since: Timestamp?
        /// Refused before.
        public var until: Timestamp?
        /// The table that refused; a partition counts as its table.
        public var table: String?
        public var sqlState: String?
        public var fingerprint: String?
        public var states: Set<StoredDeadLetter.State> = [.open]

        public init() {}
    }

    /// Letters that broke the same rule.
    public struct Group: Hashable, Sendable {
        public var fingerprint: String
        public var letters: Int
        public var firstRefusedAt: Timestamp
        public var lastRefusedAt: Timestamp
        /// What the database said last.
        public var message: String
    }

    let connection: PostgresConnection

    public init(_ connection: PostgresConnection) {
        self.connection = connection
    }

    // MARK: Looking

    /// The letters that `filter` lets through, the first refused first.
    ///
    /// - Parameters:
    ///   - after: only those behind this one, for the next page.
    ///   - limit: at most so many.
    public func list(
        _ filter: Filter, after: StoredDeadLetter? = nil, limit: Int, deadline: MonotonicInstant
    ) async throws -> [StoredDeadLetter] {
        var condition = filter.condition
        if let after {
            let places = condition.add([.timestamptz(after.letter.refusedAt)] + after.name.parameters)
            condition.text += " AND \(Self.order) > (\(places))"
        }
        let limit = condition.add([.int8(Int64(limit))])
        let result = try await ask(
            """
            SELECT \(StoredDeadLetter.columns) FROM ald.dead_letters WHERE \(condition.text)
            ORDER BY \(Self.order) LIMIT \(limit)
            """, condition.values, deadline: deadline)
        return try result.map { try StoredDeadLetter($0) }
    }

    private static let order = "(refused_at, machine_id, origin, batch_number, row_number)"

    public func count(_ filter: Filter, deadline: MonotonicInstant) async throws -> Int {
        let condition = filter.condition
        let result = try await ask(
            "SELECT count(*) FROM ald.dead_letters WHERE \(condition.text)", condition.values, deadline: deadline)
        return Int(try result.first?.decode(0, as: Int64.self) ?? 0)
    }

    /// The letters that `filter` lets through by the rule they broke, the largest group first.
    public func groups(_ filter: Filter, limit: Int, deadline: MonotonicInstant) async throws -> [Group] {
        var condition = filter.condition
        let limit = condition.add([.int8(Int64(limit))])
        let result = try await ask(
            """
            SELECT fingerprint, count(*), min(refused_at), max(refused_at),
                (array_agg(message ORDER BY refused_at DESC))[1]
            FROM ald.dead_letters WHERE \(condition.text) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT \(limit)
            """, condition.values, deadline: deadline)
        return try result.map { row in
            Group(
                fingerprint: try row.decode(0), letters: Int(try row.decode(1, as: Int64.self)),
                firstRefusedAt: try row.decode(2), lastRefusedAt: try row.decode(3), message: try row.decode(4))
        }
    }

    /// - Returns: `nil` when there is no such letter, or none that this user may see.
    public func letter(_ name: DeadLetterName, deadline: MonotonicInstant) async throws -> StoredDeadLetter? {
        var filter = Filter()
        filter.names = [name]
        filter.states = Set(StoredDeadLetter.State.allCases)
        return try await list(filter, limit: 1, deadline: deadline).first
    }

    /// What became of a letter, in order.
    public func history(of name: DeadLetterName, deadline: MonotonicInstant) async throws -> [DeadLetterEvent] {
        let result = try await ask(
            """
            SELECT \(DeadLetterEvent.columns) FROM ald.dead_letter_events
            WHERE (machine_id, origin, batch_number, row_number) = ($1, $2, $3, $4) ORDER BY event_number
            """, name.parameters, deadline: deadline)
        return try result.map { try DeadLetterEvent($0) }
    }

    /// Component and name of a machine's parameters, by number.
    public func parameterNames(machine: Int32, deadline: MonotonicInstant) async throws -> [ParameterID: String] {
        let result = try await ask(
            "SELECT parameter_id, component || '.' || name FROM ald.component_parameters WHERE machine_id = $1",
            [.int4(machine)], deadline: deadline)
        return Dictionary(
            uniqueKeysWithValues: try result.map { row in
                (ParameterID(rawValue: try row.decode(0)), try row.decode(1, as: String.self))
            })
    }

    /// One statement. A database whose schema is older than this program is told apart from a wrong one.
    func ask(
        _ statement: String, _ parameters: [PostgresValue], deadline: MonotonicInstant
    ) async throws(PostgresError) -> PostgresResult {
        do {
            return try await connection.query(statement, parameters, deadline: deadline)
        } catch {
            guard FaultClassifier.isMissingSchema(error) else { throw error }
            var advised = error
            advised.remedy = "Bring the schema up to date with `ald database migrate`."
            throw advised
        }
    }
}

extension DeadLetterQueue.Filter {
    /// A condition with its parameters.
    struct Condition {
        var text: String
        var values: [PostgresValue] = []

        /// - Returns: the places of the new parameters, with commas in between.
        mutating func add(_ more: [PostgresValue]) -> String {
            let first = values.count + 1
            values += more
            return more.indices.map { "$\(first + $0)" }.joined(separator: ", ")
        }
    }

    var condition: Condition {
        var condition = Condition(text: "true")
        func and(_ text: String, _ value: PostgresValue?) {
            guard let value else { return }
            let place = condition.add([value])
            condition.text += " AND " + text.replacing("?", with: place)
        }
        and("state = ANY (?)", .textArray(states.map(\.rawValue).sorted()))
        and("machine_id = ?", machine.map { .int4($0) })
        and("refused_at >= ?", since.map { .timestamptz($0) })
        and("refused_at < ?", until.map { .timestamptz($0) })
        and("? IN (table_name, regexp_replace(table_name, '_[0-9]{6,8}$', ''))", table.map { .text($0) })
        and("sqlstate = ?", sqlState.map { .text($0) })
        and("fingerprint = ?", fingerprint.map { .text($0) })
        if !names.isEmpty {
            let places = condition.add([
                .int4Array(names.map(\.machine)), .int8Array(names.map(\.batch.origin)),
                .int8Array(names.map(\.batch.number)), .int4Array(names.map(\.row)),
            ])
            condition.text +=
                " AND (machine_id, origin, batch_number, row_number) IN (SELECT * FROM unnest(\(places)))"
        }
        return condition
    }
}
