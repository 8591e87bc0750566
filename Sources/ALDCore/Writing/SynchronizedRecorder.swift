public import Foundation

/// Records readings of one machine in one statement that does everything or nothing: history always, process points
/// while a process runs, and the current value of every parameter.
///
/// A call may be repeated under its transaction's name, whatever became of the first attempt: it lands once. Writers of
/// one machine take turns and cannot deadlock.
public struct SynchronizedRecorder: Sendable {
    /// What was written.
    public struct Receipt: Hashable, Sendable {
        /// False: an earlier attempt had written it already, and this one wrote nothing.
        public var isNew: Bool
        public var historyRows: Int32
        /// 0 while no process runs.
        public var processRows: Int32
        /// Parameters whose current value is now one of this call; older readings replace nothing.
        public var currentValues: Int32
    }

    /// This transaction's name stands for something else in the database; nothing was written.
    public struct Refused: Error, Sendable, CustomStringConvertible {
        public var description: String
    }

    public let machine: Int32

    public init(machine: Int32) {
        self.machine = machine
    }

    /// Records `rows` under the name `transaction`, which the ledger (`ald.ingest_batches`) keeps.
    ///
    /// Sent as one statement outside of any transaction, so that a pooler or a distributed database may sit in between.
    /// A day that has no partition gets one.
    ///
    /// - Throws: ``Refused`` when `transaction` has other rows already; `PostgresError` for anything else, and then
    ///   nothing was written, unless its effect is unknown.
    public func record(
        _ rows: [HistoryRow], transaction: UUID, on connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> Receipt {
        let (format, bytes) = BatchCoding.encode(.history(rows))
        let batch = Batch(
            id: BatchID(transaction), machine: machine, records: .history(rows),
            digest: BatchCoding.digest(machine: machine, format: format.rawValue, bytes: bytes))
        do {
            return try await Self.send(batch, rows, connection, deadline: deadline)
        } catch let error as PostgresError where FaultClassifier.isMissingPartition(error) {
            for day in Set(rows.map(\.time.startOfDay)).sorted() {
                try await HistoryPartitions.ensure(from: day, connection, deadline: deadline)
            }
            try await HistoryPartitions.awaitOthers(connection, deadline: deadline)
            return try await Self.send(batch, rows, connection, deadline: deadline)
        }
    }

    static func send(
        _ batch: Batch, _ rows: [HistoryRow], _ connection: PostgresConnection, deadline: MonotonicInstant
    ) async throws -> Receipt {
        let result = try await connection.query(
            """
            SELECT status, history_rows, process_rows, current_values
            FROM ald.record_cycle($1, $2, $3, $4, $5, $6, $7, $8, $9)
            """,
            [
                .int4(batch.machine), .int8(batch.id.origin), .int8(batch.id.number), .int4(Int32(rows.count)),
                .bytea(batch.digest), .int4Array(rows.map(\.parameter.rawValue)),
                .timestamptzArray(rows.map(\.time)), .float8Array(rows.map(\.value)),
                .int2Array(rows.map(\.quality.rawValue)),
            ], deadline: deadline)
        guard let row = result.first else { throw Refused(description: "batch \(batch.id): the database said nothing") }
        let status: Int32 = try row.decode(0)
        if let problem = LedgerStatus.problem(of: status, batch.id) { throw Refused(description: problem) }
        return Receipt(
            isNew: status == LedgerStatus.applied, historyRows: try row.decode(1), processRows: try row.decode(2),
            currentValues: try row.decode(3))
    }
}

/// What the database says about a batch it was sent.
enum LedgerStatus {
    static let appliedBefore: Int32 = 0
    static let applied: Int32 = 1

    /// Why a batch was refused; `nil` when it is in the database.
    static func problem(of status: Int32?, _ id: BatchID) -> String? {
        switch status {
        case appliedBefore, applied: nil
        case 2: "the ledger knows batch \(id) with other contents; nothing was written"
        case 3: "batch \(id) was forgotten by its writer, so it must not come again; nothing was written"
        case let status: "batch \(id): unexpected ledger status \(status.map { "\($0)" } ?? "none")"
        }
    }
}

extension BatchID {
    /// A batch's name as one UUID: origin in the first half, number in the second.
    public init(_ uuid: UUID) {
        let halves = withUnsafeBytes(of: uuid.uuid) { bytes in
            (bytes.loadUnaligned(as: Int64.self), bytes.loadUnaligned(fromByteOffset: 8, as: Int64.self))
        }
        self.init(origin: Int64(bigEndian: halves.0), number: Int64(bigEndian: halves.1))
    }
}
