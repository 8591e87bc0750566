/// Proves from ledger, rows and spool that nothing accepted is missing and nothing is doubled.
///
/// Rows do not say which batch they came with, so the ledger's batches are laid out in time: where batches overlap they
/// form one piece, and each piece must have exactly as many readings as its batches announce. With collections on a
/// grid a piece is one instant, so what is wrong is found to the instant. Nothing is changed.
///
/// Errors are those of the connection: `PostgresError`.
public struct Verifier: Sendable {
    let connection: PostgresConnection

    /// How many findings of each stretch are told one by one.
    static let findingsShown: Int64 = 200
    /// What is looked at in one statement, in microseconds.
    private static let day: Int64 = 86_400_000_000
    /// How far around a stretch is looked at first for batches that reach over its ends, in microseconds.
    private static let surroundings: Int64 = 3_600_000_000

    public init(_ connection: PostgresConnection) {
        self.connection = connection
    }

    /// The machines that this user may see, by number.
    public func machines(deadline: MonotonicInstant) async throws -> [(machine: Int32, name: String)] {
        let result = try await connection.query(
            "SELECT machine_id, name FROM ald.machines ORDER BY 1", deadline: deadline)
        return try result.map { row in
            (machine: try row.decode(0, as: Int32.self), name: try row.decode(1, as: String.self))
        }
    }

    /// Looks at one machine's records of `range`, a day at a time.
    ///
    /// - Parameters:
    ///   - report: is called after every day.
    ///   - patience: how long each day may take.
    public func verify(
        machine: Int32, from: Timestamp, to: Timestamp, time: any TimeSource, patience: Duration,
        report: (Verification.Stretch) -> Void
    ) async throws -> Verification {
        var verification = Verification(machine: machine, from: from, to: to)
        var deadline = time.now + patience
        let ledger = try await facts(of: machine, deadline: deadline)
        var start = from
        if let floor = ledger.floor, floor > from {
            // Which part of a batch that reaches over the floor is left is not known.
            let (_, end) = try await piece(around: floor, machine, deadline: deadline)
            start = max(floor, end.map { Timestamp(microseconds: $0.microseconds + 1) } ?? floor)
            verification.doubts.append(
                "readings before \(start) were dropped by retention, so nobody can count them any more")
            verification.countedFrom = start
        }
        while start < to {
            let next = Timestamp(microseconds: min(to.microseconds, start.startOfDay.microseconds + Self.day))
            deadline = time.now + patience
            let (stretch, counts) = try await look(at: machine, from: start, to: next, ledger, deadline: deadline)
            verification.add(stretch, counts: counts)
            report(stretch)
            start = max(next, Timestamp(microseconds: stretch.to.microseconds + 1))
        }
        try await count(&verification, ledger, deadline: time.now + patience)
        if verification.unknown > 0 {
            verification.doubts.append(
                "\(verification.unknown) readings have no batch in the ledger, which may have been pruned of it")
        }
        return verification
    }

    // MARK: The ledger

    /// What decides how the ledger is to be read.
    struct LedgerFacts {
        /// Readings of earlier days were dropped.
        var floor: Timestamp?
        /// Readings of before this instant may have lost their batches to pruning, or never had one with times.
        var prunedBefore: Timestamp?
        /// Whether batches without times need not be gaps or dead letters: an earlier version kept no times.
        var hasUntimed = false
    }

    private func facts(of machine: Int32, deadline: MonotonicInstant) async throws -> LedgerFacts {
        let result = try await connection.query(
            """
            SELECT (SELECT nullif(raw_floor, '-infinity')::timestamp AT TIME ZONE 'UTC' FROM ald_history.retention),
                (SELECT nullif(ledger_floor, '-infinity') FROM ald_history.retention),
                (SELECT m.applied_at FROM ald.schema_migrations m WHERE m.version = 6 AND EXISTS (
                    SELECT FROM ald.ingest_batches b WHERE b.machine_id = $1 AND b.applied_at < m.applied_at
                        AND b.first_at IS NULL AND b.row_count > 0))
            """, [.int4(machine)], deadline: deadline)
        guard let row = result.first else { return LedgerFacts() }
        let pruned = try row.decode(1, as: Timestamp?.self)
        let untimed = try row.decode(2, as: Timestamp?.self)
        return LedgerFacts(
            floor: try row.decode(0), prunedBefore: [pruned, untimed].compactMap(\.self).max(),
            hasUntimed: untimed != nil)
    }

    /// The piece of overlapping batches that covers an instant, if any.
    private func piece(
        around instant: Timestamp, _ machine: Int32, deadline: MonotonicInstant
    ) async throws -> (from: Timestamp?, to: Timestamp?) {
        let grown = try await grow(instant, instant, machine, deadline: deadline)
        return grown.to == instant && grown.from == instant ? (nil, nil) : (grown.from, grown.to)
    }

    /// Widens a stretch until no batch reaches over its ends, however long the chain of batches that overlap.
    ///
    /// Looks at ever wider surroundings: once the piece lies within them, every batch that touches it was looked at.
    private func grow(
        _ from: Timestamp, _ to: Timestamp, _ machine: Int32, deadline: MonotonicInstant
    ) async throws -> (from: Timestamp, to: Timestamp) {
        var margin = Self.surroundings
        var (low, high) = (from, to)
        while true {
            low = Timestamp(microseconds: max(Self.earliest + margin, low.microseconds) - margin)
            high = Timestamp(microseconds: min(Self.latest - margin, high.microseconds) + margin)
            let result = try await connection.query(
                Self.pieceAround,
                [.int4(machine), .timestamptz(from), .timestamptz(to), .timestamptz(low), .timestamptz(high)],
                deadline: deadline)
            guard let row = result.first else { return (from, to) }
            let piece = (from: try row.decode(0, as: Timestamp.self), to: try row.decode(1, as: Timestamp.self))
            if margin == Self.latest || piece.from >= low && piece.to <= high { return piece }
            (low, high) = (min(low, piece.from), max(high, piece.to))
            margin = margin > Self.latest / 2 ? Self.latest : margin * 2
        }
    }

    /// What `timestamptz` holds, to the century.
    private static let earliest: Int64 = -210_000_000_000_000_000
    private static let latest: Int64 = 9_220_000_000_000_000_000

    /// `$1` machine, `$2` and `$3` first and last instant of a stretch, `$4` and `$5` those of what is looked at. The
    /// stretch counts as a batch, so what overlaps it, directly or not, is its piece.
    private static let pieceAround = """
        WITH batch AS (
            SELECT first_at, last_at FROM ald.ingest_batches
            WHERE machine_id = $1 AND first_at <= $5 AND last_at >= $4
            UNION ALL SELECT $2, $3
        ), marked AS (
            SELECT *, CASE WHEN first_at <= max(last_at) OVER earlier THEN 0 ELSE 1 END AS begins FROM batch
            WINDOW earlier AS (ORDER BY first_at, last_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        ), numbered AS (
            SELECT *, sum(begins) OVER (ORDER BY first_at, last_at ROWS UNBOUNDED PRECEDING) AS piece FROM marked
        )
        SELECT min(first_at), max(last_at) FROM numbered GROUP BY piece
        HAVING min(first_at) <= $2 AND max(last_at) >= $3
        """

    // MARK: Readings

    /// - Parameter to: not included.
    private func look(
        at machine: Int32, from: Timestamp, to: Timestamp, _ ledger: LedgerFacts, deadline: MonotonicInstant
    ) async throws -> (Verification.Stretch, [Verification.Finding.Kind: Int]) {
        // One snapshot: what lands meanwhile has both its rows and its ledger entry, or neither.
        _ = try await connection.execute(
            script: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", deadline: deadline)
        return try await withCleanup {
            let grown = try await grow(
                from, Timestamp(microseconds: to.microseconds - 1), machine, deadline: deadline)
            var stretch = Verification.Stretch(from: grown.from, to: grown.to)
            var counts: [Verification.Finding.Kind: Int] = [:]
            let result = try await connection.query(
                Self.comparison,
                [
                    .int4(machine), .timestamptz(grown.from), .timestamptz(grown.to), .int8(Self.findingsShown),
                    ledger.prunedBefore.map { PostgresValue.timestamptz($0) } ?? .null,
                ], deadline: deadline)
            for row in result {
                let word: String = try row.decode(0)
                let first: Timestamp = try row.decode(1)
                let last: Timestamp = try row.decode(2)
                let expected: Int64 = try row.decode(3)
                let found: Int64 = try row.decode(4)
                let count: Int64 = try row.decode(5)
                switch word {
                case "all": (stretch.announced, stretch.found) = (Int(expected), Int(found))
                case "unknown": stretch.unknown += Int(found)
                default:
                    guard let kind = Verification.Finding.Kind(rawValue: word) else { continue }
                    if count > 0 {
                        counts[kind, default: 0] += Int(count)
                    } else {
                        stretch.findings.append(
                            Verification.Finding(
                                kind, from: first, to: last, expected: Int(expected), found: Int(found),
                                Self.explanation(kind)))
                    }
                }
            }
            return (stretch, counts)
        } cleanup: {
            _ = try await connection.execute(script: "ROLLBACK", deadline: deadline)
        }
    }

    private static func explanation(_ kind: Verification.Finding.Kind) -> String {
        switch kind {
        case .missing: "readings that the ledger announces are not there"
        case .surplus: "there are more readings than the ledger announces"
        case .repeated: "a parameter has several readings of one instant"
        default: "readings that no batch of the ledger covers"
        }
    }
}
