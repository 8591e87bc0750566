public import ALDCore

/// Looks in the database for the numbers of ``NumberedRecords``: what was promised must be there, once.
///
/// The law: accepted = landed + dead letters (open or discarded by name) + still spooled. Records that were being
/// accepted when their process ended may be there, too, but never twice.
public struct LandingAudit: Sendable {
    /// Numbers that must be there; 0 while some of them may still be in the spool.
    public var promised = 0
    /// Numbers that may be there: of some nobody has heard whether they were taken.
    public var sent = 0
    public var rows = 0
    public var gaps = 0
    public var events = 0
    public var deadLetters = 0
    /// What the ledger says that it has let in.
    public var inLedger = 0
    /// Numbers that were promised and are nowhere, or too many times, or that nobody has ever sent; at most 10 of each.
    public var missing: [Int64] = []
    public var doubled: [Int64] = []
    public var unknown: [Int64] = []
    /// Landed with other contents than they were accepted with.
    public var changed: [Int64] = []
    /// Dead letters without a fault, and faulty records that are none.
    public var misplaced: [Int64] = []

    public var found: Int { rows + gaps + events + deadLetters }

    /// Records that are nowhere, too many times, or that nobody has sent: what is lost and what is doubled do not make up
    /// for each other. Of many it knows the balance only.
    public var lostOrDoubled: Int {
        max(missing.count + doubled.count + unknown.count, promised - found, found - sent)
    }

    /// Empty when nothing is lost and nothing doubled.
    public var problems: [String] {
        let lists: [(String, [Int64])] = [
            ("missing", missing), ("doubled", doubled), ("never sent", unknown), ("changed", changed),
            ("misplaced", misplaced),
        ]
        var problems = lists.filter { !$0.1.isEmpty }.map { "\($0.0): \($0.1)" }
        if inLedger != found { problems.append("the ledger has \(inLedger) records, the tables have \(found)") }
        return problems
    }

    /// Of nothing.
    init() {}

    /// - Parameters:
    ///   - poisonEvery: as the records were made with.
    ///   - letters: further numbers with a fault.
    ///   - isDrained: with false what is missing may still be in the spool and is no problem.
    public init(
        of promises: Promises, machine: Int32, poisonEvery: Int64 = 0, letters: [Int64] = [],
        isDrained: Bool = true, in database: PostgresConfiguration
    ) async throws {
        let accepted = promises.accepted.ranges
        let attempted = promises.attempted.ranges
        let parameters: [PostgresValue] = [
            .int4(machine), .int8Array(accepted.map(\.lowerBound)), .int8Array(accepted.map { $0.upperBound - 1 }),
            .int8Array(attempted.map(\.lowerBound)), .int8Array(attempted.map { $0.upperBound - 1 }),
            .int8(poisonEvery), .int8(NumberedRecords.epoch.microseconds),
            .int8Array(letters),
        ]
        promised = isDrained ? accepted.reduce(0) { $0 + $1.count } : 0
        sent = attempted.reduce(0) { $0 + $1.count }
        var audit = self
        // Millions of records take minutes.
        let deadline = SystemTime().now + .seconds(600)
        try await TestDatabase.withConnection(database) { connection, _ in
            for row in try await connection.query(Self.statement, parameters, deadline: deadline) {
                audit.take(try row.decode(0, as: String.self), try row.decode(1, as: Int64.self))
            }
        }
        if !isDrained { audit.missing = [] }
        self = audit
    }

    private mutating func take(_ what: String, _ number: Int64) {
        switch what {
        case "rows": rows = Int(number)
        case "gaps": gaps = Int(number)
        case "events": events = Int(number)
        case "letters": deadLetters = Int(number)
        case "ledger": inLedger = Int(number)
        case "missing": missing.append(number)
        case "doubled": doubled.append(number)
        case "unknown": unknown.append(number)
        case "changed": changed.append(number)
        default: misplaced.append(number)
        }
    }

    private static let statement = """
        WITH number AS (SELECT $7::bigint AS epoch),
        found AS MATERIALIZED (
            SELECT (extract(epoch FROM sampled_at) * 1000000)::bigint - epoch AS n, 'rows' AS place,
                value = ((extract(epoch FROM sampled_at) * 1000000)::bigint - epoch) % 1000 + 0.5
                    AND parameter_id = 1 + ((extract(epoch FROM sampled_at) * 1000000)::bigint - epoch) % 10 AS is_same
            FROM ald_history.parameter_value_history, number WHERE machine_id = $1
            UNION ALL
            SELECT (extract(epoch FROM first_missed_at) * 1000000)::bigint - epoch, 'gaps',
                instants = 1 AND detail = 'gap ' || (extract(epoch FROM first_missed_at) * 1000000)::bigint - epoch
            FROM ald_history.collection_gaps, number WHERE machine_id = $1
            UNION ALL
            SELECT (extract(epoch FROM happened_at) * 1000000)::bigint - epoch, 'events',
                message = 'event ' || event_number - 1 AND details ->> 'number' = (event_number - 1)::text
                    AND event_number - 1 = (extract(epoch FROM happened_at) * 1000000)::bigint - epoch
                    AND process_id = 1 + (event_number - 1) % 10 AND step_id = 1 AND loop_iterations = '{1}'
            FROM ald_history.process_events, number WHERE machine_id = $1
            UNION ALL
            SELECT (extract(epoch FROM recorded_at) * 1000000)::bigint - epoch, 'letters', true
            FROM ald_history.dead_letters, number WHERE machine_id = $1),
        promised AS (SELECT n FROM unnest($2::bigint[], $3::bigint[]) r(a, b), generate_series(a, b) n),
        tried AS (SELECT n FROM unnest($4::bigint[], $5::bigint[]) r(a, b), generate_series(a, b) n)
        SELECT place, count(*) FROM found GROUP BY place
        UNION ALL SELECT 'ledger', coalesce(sum(row_count), 0) FROM ald_history.ingest_batches WHERE machine_id = $1
        UNION ALL (SELECT 'missing', n FROM (SELECT n FROM promised EXCEPT SELECT n FROM found) m ORDER BY n LIMIT 10)
        UNION ALL (SELECT 'unknown', n FROM (SELECT n FROM found EXCEPT SELECT n FROM tried) u ORDER BY n LIMIT 10)
        UNION ALL (SELECT 'doubled', n FROM found GROUP BY n HAVING count(*) > 1 ORDER BY n LIMIT 10)
        UNION ALL (SELECT 'changed', n FROM found WHERE is_same IS NOT TRUE ORDER BY n LIMIT 10)
        UNION ALL (SELECT 'misplaced', n FROM found
            WHERE (place = 'letters') <> ($6 > 0 AND n % greatest($6, 1) = $6 - 1 OR n = ANY ($8)) ORDER BY n LIMIT 10)
        """
}
