import ALDCore

/// A rule of a table that some readings break, the same ones at every attempt: which, follows from the reading alone.
struct WorldRule: Hashable, Sendable {
    /// Of all readings, between 0 and 1, how many break it.
    var share: Double

    func isBroken(by row: HistoryRow) -> Bool {
        var digest = WorldDigest()
        digest.mix(UInt64(bitPattern: row.time.microseconds))
        digest.mix(UInt64(bitPattern: Int64(row.parameter.rawValue)))
        var random = SeededGenerator(seed: digest.value)
        return Double.random(in: 0..<1, using: &random) < share
    }

    /// What the server says to a delivery with a reading that breaks it; `nil`: nothing. As PostgreSQL it stops at the
    /// first one and leaves nothing of the others behind. It names the row only sometimes, as a trigger would not.
    ///
    /// - Parameter isKnown: whether the ledger has the name: those of such a batch are not looked at.
    func refusal(of batches: [Batch], isKnown: (BatchID) -> Bool) -> SinkFault? {
        guard share > 0 else { return nil }
        var line = 0
        for batch in batches {
            defer { line += batch.records.count }
            guard case .history(let rows) = batch.records, !isKnown(batch.id),
                let place = rows.firstIndex(where: isBroken)
            else { continue }
            var evidence = FaultEvidence(message: "the reading breaks a rule", sqlState: "23514")
            (evidence.table, evidence.constraint) = ("parameter_value_history", "value_is_plausible")
            if batch.id.number.isMultiple(of: 2) {
                evidence.context = "COPY parameter_value_history, line \(line + place + 1)"
            }
            return SinkFault(.poison, "the database refuses a reading", evidence: evidence)
        }
        return nil
    }
}
