extension Verifier {
    /// Readings that are looked for in one statement.
    private static let comparedAtOnce = 20_000

    /// Readings that the recorder remembers, and the stretch they are of.
    private struct Remembered {
        var rows: [HistoryRow] = []
        var first = Timestamp(microseconds: .max)
        var last = Timestamp(microseconds: .min)

        mutating func add(_ batch: StoredBatch) throws(SpoolError) {
            guard case .history(let readings) = try batch.batch().records else { return }
            rows += readings
            first = min(first, batch.header.times.lowerBound)
            last = max(last, batch.header.times.upperBound)
        }
    }

    /// Looks for each reading of these batches with its value: rows do not say which batch they came with.
    ///
    /// - Parameters:
    ///   - landed: batches that the ledger knows as the spool does.
    ///   - copies: where they are, by segment.
    func compareValues(
        of landed: [SpoolInspection.Item], _ copies: [Int64: String], with verification: inout Verification,
        deadline: MonotonicInstant
    ) async throws {
        let range = verification.countedFrom..<verification.to
        let chosen = landed.filter { item in
            item.header.format == BatchCoding.Format.history.rawValue && range.contains(item.header.times.lowerBound)
                && range.contains(item.header.times.upperBound)
        }
        for (index, items) in Dictionary(grouping: chosen, by: \.header.position.segment).sorted(by: { $0.key < $1.key }
        ) {
            guard let copy = copies[index] else { continue }
            let segment = try SpoolSegment(index: index, path: copy)
            var remembered = Remembered()
            for (place, item) in items.enumerated() {
                if let batch = segment.salvage(item.header.position.row) {
                    try remembered.add(batch)
                } else {
                    verification.doubts.append("batch \(item.header.id) cannot be read in the spool any more")
                }
                guard remembered.rows.count >= Self.comparedAtOnce || place == items.count - 1 else { continue }
                try await look(for: remembered, &verification, deadline: deadline)
                remembered = Remembered()
            }
            try segment.close()
        }
    }

    private func look(
        for remembered: Remembered, _ verification: inout Verification, deadline: MonotonicInstant
    ) async throws {
        let rows = remembered.rows
        guard !rows.isEmpty else { return }
        let result = try await connection.query(
            """
            WITH absent AS (
                SELECT u.parameter, u.at FROM unnest($2, $3, $4, $5) u(parameter, at, value, quality)
                WHERE NOT EXISTS (SELECT FROM ald.parameter_value_history h
                    WHERE h.machine_id = $1 AND h.sampled_at >= $6 AND h.sampled_at <= $7
                        AND h.parameter_id = u.parameter AND h.sampled_at = u.at AND h.quality = u.quality
                        AND h.value IS NOT DISTINCT FROM u.value))
            SELECT at, count(*), min(parameter), count(*) OVER () FROM absent GROUP BY at ORDER BY at LIMIT $8
            """,
            [
                .int4(verification.machine), .int4Array(rows.map(\.parameter.rawValue)),
                .timestamptzArray(rows.map(\.time)), .float8Array(rows.map(\.value)),
                .int2Array(rows.map(\.quality.rawValue)), .timestamptz(remembered.first),
                .timestamptz(remembered.last), .int8(Self.findingsShown),
            ], deadline: deadline)
        verification.compared = (verification.compared ?? 0) + rows.count
        for (index, row) in result.enumerated() {
            let time: Timestamp = try row.decode(0)
            let all = Int(try row.decode(3, as: Int64.self))
            verification.add(
                .init(
                    .changed, from: time, to: time, expected: Int(try row.decode(1, as: Int64.self)), found: 0,
                    "readings that are not there as the recorder remembers them, the first of parameter "
                        + "\(try row.decode(2, as: Int32.self))"), count: index == 0 ? all : 0)
        }
    }
}
