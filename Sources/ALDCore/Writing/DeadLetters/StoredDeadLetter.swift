/// A dead letter as it lies in the database, with what people have done about it.
public struct StoredDeadLetter: Hashable, Sendable {
    public enum State: String, Sendable, CaseIterable {
        /// Somebody has to decide.
        case open
        /// Its record has landed. Final.
        case requeued
        /// Given up by a person, with a reason.
        case discarded
    }

    public var machine: Int32
    /// As the writer made it, with the newest refusal.
    public var letter: DeadLetter
    /// How often the record was corrected; 0 is the record as it was accepted.
    public var revision: Int32
    /// The record as it was corrected last; `nil` while it never was.
    public var revisedPayload: [UInt8]?
    public var state: State
    /// Who decided last, and why.
    public var decision: Decision?
    public var landedAt: Timestamp
    public var closedAt: Timestamp?
    /// The same for letters that broke the same rule.
    public var fingerprint: String

    public struct Decision: Hashable, Sendable {
        public var `operator`: String
        public var reason: String
    }

    public var name: DeadLetterName { DeadLetterName(machine: machine, batch: letter.batch, row: letter.row) }

    /// The record as it would land now.
    ///
    /// - Throws: when its bytes are no record that this version knows.
    public func record() throws(SpoolError) -> Records {
        var current = letter
        current.payload = revisedPayload ?? letter.payload
        return try current.record()
    }

    /// The record as it was accepted.
    public func originalRecord() throws(SpoolError) -> Records { try letter.record() }

    // MARK: Reading

    static let columns = """
        machine_id, origin, batch_number, row_number, format, payload, recorded_at, refused_at, attempts, message, \
        sqlstate, detail, hint, context, schema_name, table_name, column_name, constraint_name, revision, \
        revised_payload, state, operator, reason, landed_at, closed_at, fingerprint
        """

    init(_ row: PostgresRow) throws(PostgresError) {
        machine = try row.decode(0)
        var evidence = FaultEvidence(message: try row.decode(9))
        for (offset, text) in FaultEvidence.texts.enumerated() {
            evidence[keyPath: text] = try row.decode(10 + offset, as: String?.self)
        }
        letter = DeadLetter(
            batch: BatchID(origin: try row.decode(1), number: try row.decode(2)), row: try row.decode(3),
            format: try row.decode(4), payload: try row.decode(5), recordedAt: try row.decode(6),
            refusedAt: try row.decode(7), attempts: try row.decode(8), evidence: evidence)
        revision = try row.decode(18)
        revisedPayload = try row.decode(19)
        let word: String = try row.decode(20)
        guard let known = State(rawValue: word) else {
            throw PostgresError(.decodingFailed, "a dead letter has state \"\(word)\"", effect: .notApplied)
        }
        state = known
        if let name = try row.decode(21, as: String?.self) {
            decision = Decision(operator: name, reason: try row.decode(22, as: String?.self) ?? "")
        }
        landedAt = try row.decode(23)
        closedAt = try row.decode(24)
        fingerprint = try row.decode(25)
    }
}

/// Something that happened to a dead letter.
public struct DeadLetterEvent: Hashable, Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        case refused, revised, requeued, discarded, reopened, imported
    }

    /// Counts from 1.
    public var number: Int32
    public var kind: Kind
    public var time: Timestamp
    /// `nil` for the refusal that made the record a dead letter.
    public var decision: StoredDeadLetter.Decision?
    /// The login that wrote the event down: for one from a file, that which brought the file.
    public var actor: String
    /// The login that a file names, which nobody has checked; `nil` for what happened in this database.
    public var reportedActor: String?
    /// The letter's revision after the event.
    public var revision: Int32
    /// The record as it was corrected; only of `revised`.
    public var payload: [UInt8]?
    /// What the database said; only of `refused`.
    public var message: String?

    static let columns = """
        event_number, event, happened_at, operator, reason, actor, revision, payload, evidence ->> 'message', \
        reported_actor
        """

    init(_ row: PostgresRow) throws(PostgresError) {
        number = try row.decode(0)
        let word: String = try row.decode(1)
        guard let known = Kind(rawValue: word) else {
            throw PostgresError(.decodingFailed, "a dead letter has an event \"\(word)\"", effect: .notApplied)
        }
        kind = known
        time = try row.decode(2)
        if let name = try row.decode(3, as: String?.self) {
            decision = .init(operator: name, reason: try row.decode(4, as: String?.self) ?? "")
        }
        actor = try row.decode(5)
        revision = try row.decode(6)
        payload = try row.decode(7)
        message = try row.decode(8)
        reportedActor = try row.decode(9)
    }
}
