extension Verifier {
    /// `$1` machine, `$2` and `$3` first and last instant, `$4` how many findings of each kind are told one by one, `$5`
    /// before when batches may have been pruned.
    ///
    /// Rows: kind, first and last instant, readings announced and found, and how many there are of the kind; 0 for a
    /// finding by itself.
    static let comparison = """
        WITH batch AS (
            SELECT first_at, last_at, row_count,
                CASE WHEN first_at <= max(last_at) OVER earlier THEN 0 ELSE 1 END AS begins
            FROM ald.ingest_batches
            WHERE machine_id = $1 AND first_at <= $3 AND last_at >= $2
            WINDOW earlier AS (ORDER BY first_at, last_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        ), numbered AS (
            SELECT *, sum(begins) OVER (ORDER BY first_at, last_at ROWS UNBOUNDED PRECEDING) AS piece FROM batch
        ), piece AS (
            SELECT piece, min(first_at) AS first_at, max(last_at) AS last_at, sum(row_count) AS announced
            FROM numbered GROUP BY piece
        ), instant AS (
            SELECT sampled_at, count(*) AS found, count(DISTINCT parameter_id) AS parameters
            FROM ald.parameter_value_history
            WHERE machine_id = $1 AND sampled_at >= $2 AND sampled_at <= $3 GROUP BY sampled_at
        ), placed AS (
            SELECT at, found, kind, max(piece) OVER place AS piece, max(last_at) OVER place AS covered_until
            FROM (SELECT first_at AS at, 0 AS kind, piece, last_at, 0 AS found FROM piece
                  UNION ALL SELECT sampled_at, 1, NULL, NULL, found FROM instant) e
            WINDOW place AS (ORDER BY at, kind ROWS UNBOUNDED PRECEDING)
        ), counted AS (
            SELECT piece, sum(found) AS found FROM placed WHERE kind = 1 AND at <= covered_until GROUP BY piece
        ), finding AS (
            SELECT CASE WHEN coalesce(c.found, 0) < p.announced THEN 'missing'
                    WHEN p.first_at < $5::timestamptz THEN 'unknown' ELSE 'surplus' END AS kind,
                p.first_at, p.last_at, p.announced, coalesce(c.found, 0) AS found
            FROM piece p LEFT JOIN counted c USING (piece) WHERE p.announced <> coalesce(c.found, 0)
            UNION ALL
            SELECT CASE WHEN at < $5::timestamptz THEN 'unknown' ELSE 'unannounced' END, at, at, 0, found
            FROM placed WHERE kind = 1 AND (at <= covered_until) IS NOT TRUE
            UNION ALL
            SELECT 'repeated', sampled_at, sampled_at, parameters, found FROM instant WHERE found > parameters
        )
        SELECT 'all', $2::timestamptz, $3::timestamptz, coalesce(sum(announced), 0)::int8,
            (SELECT coalesce(sum(found), 0) FROM instant)::int8, 1::int8 FROM piece
        UNION ALL
        SELECT kind, min(first_at), max(last_at), sum(announced)::int8,
            sum(CASE kind WHEN 'unknown' THEN found - announced ELSE found END)::int8, count(*)
        FROM finding GROUP BY kind
        UNION ALL
        (SELECT kind, first_at, last_at, announced::int8, found::int8, 0
         FROM finding WHERE kind <> 'unknown' ORDER BY first_at, kind LIMIT $4)
        """

    /// Gaps, process events, dead letters and what was sent again.
    func count(
        _ verification: inout Verification, _ ledger: LedgerFacts, deadline: MonotonicInstant
    ) async throws {
        let machine = verification.machine
        let result = try await connection.query(
            """
            SELECT (SELECT coalesce(sum(row_count), 0)::int8 FROM ald.ingest_batches
                    WHERE machine_id = $1 AND first_at IS NULL),
                (SELECT count(*) FROM ald.collection_gaps WHERE machine_id = $1),
                (SELECT count(*) FROM ald.process_events WHERE machine_id = $1),
                (SELECT count(*) FROM ald.dead_letters WHERE machine_id = $1),
                (SELECT count(*) FROM ald.dead_letter_events WHERE machine_id = $1 AND event = 'imported'),
                (SELECT count(*) FROM ald.collection_gaps
                 WHERE machine_id = $1 AND first_missed_at >= $2 AND first_missed_at < $3),
                (SELECT count(*) FROM ald.process_events
                 WHERE machine_id = $1 AND happened_at >= $2 AND happened_at < $3),
                count(*) FILTER (WHERE state = 'open'), count(*) FILTER (WHERE state = 'requeued'),
                count(*) FILTER (WHERE state = 'discarded')
            FROM ald.dead_letters WHERE machine_id = $1 AND recorded_at >= $2 AND recorded_at < $3
            """, [.int4(machine), .timestamptz(verification.from), .timestamptz(verification.to)],
            deadline: deadline)
        guard let row = result.first else { return }
        let numbers = try (0..<10).map { Int(try row.decode($0, as: Int64.self)) }
        verification.gaps = numbers[5]
        verification.events = numbers[6]
        verification.openLetters = numbers[7]
        verification.requeuedLetters = numbers[8]
        verification.discardedLetters = numbers[9]
        let (announced, found) = (numbers[0], numbers[1] + numbers[2] + numbers[3])
        // Letters that came from a file were announced by this ledger, or by another one.
        let imported = numbers[4]
        if announced > found || announced < found - imported {
            if announced > found, ledger.hasUntimed {
                verification.doubts.append(
                    "the ledger has batches without times from before it kept them: gaps, process events and dead letters cannot be counted"
                )
            } else {
                verification.add(
                    .init(
                        .uncounted, expected: announced, found: found,
                        "gaps, process events and dead letters of all times are not as many as the ledger announces"))
            }
        }
        try await checkEvents(&verification, deadline: deadline)
        try await checkClaims(&verification, deadline: deadline)
    }

    /// An event says which batch it came with, so each batch has to have its own.
    private func checkEvents(_ verification: inout Verification, deadline: MonotonicInstant) async throws {
        let result = try await connection.query(
            """
            SELECT e.origin, e.batch_number, e.first_at, e.last_at, e.found, b.row_count,
                count(*) OVER (PARTITION BY sign(b.row_count - e.found))
            FROM (SELECT origin, batch_number, min(happened_at) AS first_at, max(happened_at) AS last_at,
                    count(*) AS found
                FROM ald.process_events WHERE machine_id = $1 GROUP BY 1, 2) e
            LEFT JOIN ald.ingest_batches b ON (b.machine_id, b.origin, b.batch_number) = ($1, e.origin, e.batch_number)
            WHERE b.row_count IS DISTINCT FROM e.found ORDER BY 3, 1, 2 LIMIT $2
            """, [.int4(verification.machine), .int8(Self.findingsShown)], deadline: deadline)
        var told: Set<Verification.Finding.Kind> = []
        for row in result {
            let batch = BatchID(origin: try row.decode(0), number: try row.decode(1))
            let found = Int(try row.decode(4, as: Int64.self))
            let announced = try row.decode(5, as: Int32?.self).map { Int($0) }
            let all = Int(try row.decode(6, as: Int64.self))
            let kind: Verification.Finding.Kind =
                announced.map { $0 > found ? .missing : .surplus } ?? .unannounced
            verification.add(
                .init(
                    kind, from: try row.decode(2), to: try row.decode(3), expected: announced ?? 0, found: found,
                    "process events of batch \(batch)"), count: told.insert(kind).inserted ? all : 0)
        }
    }

    /// Every letter that was sent again has its record in the ledger.
    private func checkClaims(_ verification: inout Verification, deadline: MonotonicInstant) async throws {
        let result = try await connection.query(
            """
            SELECT d.origin, d.batch_number, d.row_number, d.recorded_at, count(*) OVER ()
            FROM ald.dead_letters d CROSS JOIN LATERAL ald_history.requeue_claim(
                d.machine_id, d.origin, d.batch_number, d.row_number) c
            WHERE d.machine_id = $1 AND d.state = 'requeued' AND NOT EXISTS (
                SELECT FROM ald.ingest_batches b
                WHERE (b.machine_id, b.origin, b.batch_number) = (d.machine_id, c.origin, c.batch_number))
            ORDER BY 4 LIMIT $2
            """, [.int4(verification.machine), .int8(Self.findingsShown)], deadline: deadline)
        for (index, row) in result.enumerated() {
            let name = DeadLetterName(
                machine: verification.machine,
                batch: BatchID(origin: try row.decode(0), number: try row.decode(1)), row: try row.decode(2))
            let time: Timestamp = try row.decode(3)
            let all = Int(try row.decode(4, as: Int64.self))
            verification.add(
                .init(
                    .unclaimed, from: time, to: time, expected: 1, found: 0,
                    "the record of letter \(name) was sent again and the ledger does not know it"),
                count: index == 0 ? all : 0)
        }
    }
}
