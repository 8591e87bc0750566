/// A record that the database refuses, with everything that is known about why. It lands in the database as any other
/// record, where people look at it, correct it and send it again.
public struct DeadLetter: Hashable, Sendable {
    /// The batch that the record was accepted in, or cut into since; its place there, from 0.
    public var batch: BatchID
    public var row: Int32
    /// How the record is written in ``payload``, see `BatchCoding`.
    public var format: Int16
    /// The record as it was accepted; never changed, whatever is corrected later.
    public var payload: [UInt8]
    /// The earliest instant that the record speaks of.
    public var recordedAt: Timestamp
    public var refusedAt: Timestamp
    /// How often the batch had been tried.
    public var attempts: Int32
    public var evidence: FaultEvidence

    init(
        _ record: Records, batch: BatchID, row: Int, refusedAt: Timestamp, attempts: Int, evidence: FaultEvidence
    ) {
        self.batch = batch
        self.row = Int32(clamping: row)
        // Whatever it has waited for before: what it is has not changed.
        let (format, bytes) = BatchCoding.encode(record.readings.map(Records.history) ?? record)
        self.format = format.rawValue
        payload = bytes
        recordedAt = record.times.lowerBound
        self.refusedAt = refusedAt
        self.attempts = Int32(clamping: attempts)
        self.evidence = evidence
    }

    init(
        batch: BatchID, row: Int32, format: Int16, payload: [UInt8], recordedAt: Timestamp, refusedAt: Timestamp,
        attempts: Int32, evidence: FaultEvidence
    ) {
        self.batch = batch
        self.row = row
        self.format = format
        self.payload = payload
        self.recordedAt = recordedAt
        self.refusedAt = refusedAt
        self.attempts = attempts
        self.evidence = evidence
    }

    /// The record itself.
    ///
    /// - Throws: when it is of a format that this version does not know.
    public func record() throws(SpoolError) -> Records {
        do throws(BatchCoding.Corrupted) {
            return try BatchCoding.decode(payload, format: format, count: 1)
        } catch {
            throw SpoolError(.corrupted, file: "dead letter of batch \(batch)", error.reason)
        }
    }
}

extension FaultEvidence {
    /// In the order in which they are stored.
    static let texts: [any WritableKeyPath<FaultEvidence, String?> & Sendable] = [
        \.sqlState, \.detail, \.hint, \.context, \.schema, \.table, \.column, \.constraint,
    ]

    /// PostgreSQL cannot store U+0000 in text; a dead letter with one would be refused for ever.
    var withoutNulls: FaultEvidence {
        var clean = self
        clean.message = message.storable
        for text in Self.texts { clean[keyPath: text] = self[keyPath: text]?.storable }
        return clean
    }
}
