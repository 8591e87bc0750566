/// What became of a wish about a dead letter.
public enum DeadLetterOutcome: Hashable, Sendable {
    /// It was done now.
    case done
    /// It was so already; nothing was changed.
    case unchanged
    /// The database refuses the record still, for this reason. The letter stays open.
    case refused(String)
    /// Somebody has revised the letter since it was looked at. Nothing was changed.
    case stale
    /// The letter is closed. Nothing was changed.
    case closed(StoredDeadLetter.State)
    /// There is no such letter.
    case absent
    /// Another record has its name. Nothing was changed.
    case collision

    /// Whether it is as it was wanted, by this call or an earlier one.
    public var isFulfilled: Bool { self == .done || self == .unchanged }
}

extension DeadLetterQueue {
    /// Who wants something, and why. Both are written down with it.
    public struct Author: Hashable, Sendable {
        public var name: String
        public var reason: String

        /// Neither may be empty.
        public init(name: String, reason: String) {
            self.name = name
            self.reason = reason
        }

        var parameters: [PostgresValue] { [.text(name), .text(reason)] }
    }

    /// Corrects the record of an open letter. What it was before stays.
    ///
    /// - Parameters:
    ///   - record: one record of the letter's kind.
    ///   - revision: that of the letter as it was looked at.
    ///   - isRehearsal: with true, everything is done and undone again.
    public func revise(
        _ name: DeadLetterName, to record: Records, from revision: Int32, by author: Author,
        isRehearsal: Bool = false, deadline: MonotonicInstant
    ) async throws -> DeadLetterOutcome {
        try await perform(
            "SELECT status, NULL::text FROM ald.revise_dead_letter($1, $2, $3, $4, $5, $6, $7, $8)",
            name.parameters + [.int4(revision), .bytea(BatchCoding.encode(record).bytes)] + author.parameters,
            doing: "revised", isRehearsal: isRehearsal, deadline: deadline)
    }

    /// Lands the record of an open letter and closes the letter, in one transaction. When the database refuses it again,
    /// the letter stays open with the new reason.
    ///
    /// When this throws with an unknown effect, it has landed once or not at all; call again and be told.
    public func requeue(
        _ name: DeadLetterName, revision: Int32, by author: Author, isRehearsal: Bool = false,
        deadline: MonotonicInstant
    ) async throws -> DeadLetterOutcome {
        try await perform(
            "SELECT status, message FROM ald.requeue_dead_letter($1, $2, $3, $4, $5, $6, $7)",
            name.parameters + [.int4(revision)] + author.parameters, doing: "requeued", isRehearsal: isRehearsal,
            deadline: deadline)
    }

    /// Gives an open letter up. It stays as evidence.
    public func discard(
        _ name: DeadLetterName, by author: Author, isRehearsal: Bool = false, deadline: MonotonicInstant
    ) async throws -> DeadLetterOutcome {
        try await perform(
            "SELECT ald.discard_dead_letter($1, $2, $3, $4, $5, $6), NULL::text", name.parameters + author.parameters,
            doing: "discarded", isRehearsal: isRehearsal, deadline: deadline)
    }

    /// Takes a discarding back.
    public func reopen(
        _ name: DeadLetterName, by author: Author, isRehearsal: Bool = false, deadline: MonotonicInstant
    ) async throws -> DeadLetterOutcome {
        try await perform(
            "SELECT ald.reopen_dead_letter($1, $2, $3, $4, $5, $6), NULL::text", name.parameters + author.parameters,
            doing: "reopened", isRehearsal: isRehearsal, deadline: deadline)
    }

    // MARK: Files

    /// The letters that `filter` lets through, each as one line of a file, see ``DeadLetterArchive``.
    ///
    /// - Parameter body: gets the lines page by page.
    /// - Returns: how many there were.
    public func export(
        _ filter: Filter, deadline: MonotonicInstant, _ body: ([String]) throws -> Void
    ) async throws -> Int {
        var last: StoredDeadLetter?
        var count = 0
        var names: [Int32: [ParameterID: String]] = [:]
        while true {
            let page = try await list(filter, after: last, limit: Self.page, deadline: deadline)
            guard let end = page.last else { return count }
            for machine in Set(page.map(\.machine)) where names[machine] == nil {
                names[machine] = try await parameterNames(machine: machine, deadline: deadline)
            }
            let stored = try await contents(of: page.map(\.name), deadline: deadline)
            try body(
                page.compactMap { letter in
                    stored[letter.name].map {
                        DeadLetterArchive.line(
                            letter: $0.letter, events: $0.events,
                            record: RecordDocument(letter, names: names[letter.machine] ?? [:]))
                    }
                })
            last = end
            count += page.count
        }
    }

    private static let page = 500

    /// What the database has of the letters, as it writes it itself: nothing can be lost in translation.
    private func contents(
        of names: [DeadLetterName], deadline: MonotonicInstant
    ) async throws -> [DeadLetterName: (letter: String, events: String)] {
        var filter = Filter()
        filter.names = names
        filter.states = Set(StoredDeadLetter.State.allCases)
        let condition = filter.condition
        let result = try await ask(
            """
            SELECT machine_id, origin, batch_number, row_number, to_jsonb(d)::text, coalesce((
                SELECT jsonb_agg(to_jsonb(e) ORDER BY e.event_number) FROM ald.dead_letter_events e
                WHERE (e.machine_id, e.origin, e.batch_number, e.row_number)
                    = (d.machine_id, d.origin, d.batch_number, d.row_number)), '[]')::text
            FROM ald.dead_letters d WHERE \(condition.text)
            """, condition.values, deadline: deadline)
        return Dictionary(
            uniqueKeysWithValues: try result.map { row in
                let name = DeadLetterName(
                    machine: try row.decode(0), batch: BatchID(origin: try row.decode(1), number: try row.decode(2)),
                    row: try row.decode(3))
                return (name, (try row.decode(4, as: String.self), try row.decode(5, as: String.self)))
            })
    }

    /// Brings a letter here that was exported, with its history. Whether its record has landed is what this database's
    /// ledger says, whatever the file does.
    public func `import`(
        _ archived: DeadLetterArchive.Item, by author: Author, isRehearsal: Bool = false, deadline: MonotonicInstant
    ) async throws -> DeadLetterOutcome {
        try await perform(
            "SELECT ald.import_dead_letter($1, $2, $3, $4), NULL::text",
            [.int4(archived.name.machine), .jsonb(archived.content)] + author.parameters, doing: "imported",
            isRehearsal: isRehearsal, deadline: deadline)
    }

    // MARK: Asking

    private func perform(
        _ call: String, _ parameters: [PostgresValue], doing word: String, isRehearsal: Bool,
        deadline: MonotonicInstant
    ) async throws -> DeadLetterOutcome {
        guard isRehearsal else { return try outcome(of: try await ask(call, parameters, deadline: deadline), word) }
        return try await connection.rehearsing(deadline: deadline) {
            try outcome(of: try await ask(call, parameters, deadline: deadline), word)
        }
    }

    private func outcome(of result: PostgresResult, _ word: String) throws -> DeadLetterOutcome {
        let status = try result.first?.decode(0, as: String.self)
        switch status {
        case word: return .done
        case "unchanged", "already", "known": return .unchanged
        case "refused": return .refused(try result.first?.decode(1, as: String?.self) ?? "")
        case "stale": return .stale
        case "absent": return .absent
        case "collision": return .collision
        default:
            if let state = status.flatMap(StoredDeadLetter.State.init(rawValue:)) { return .closed(state) }
            throw PostgresError(
                .decodingFailed, "the database says \"\(status ?? "nothing")\" of a dead letter", effect: .unknown)
        }
    }
}
