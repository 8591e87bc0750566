import Foundation
import GRDB
import Synchronization

/// The durable queue on this machine's disk between acceptance and PostgreSQL.
///
/// A batch is in the spool from the moment ``append(_:machine:)`` returns until the database has confirmed it. SQLite
/// in WAL mode with `synchronous=FULL` syncs every commit; several callers that wait at the same time share one commit
/// (group commit). One process owns the file exclusively.
public final class Spool: Sendable {
    /// How much waits for the database.
    public struct Contents: Hashable, Sendable {
        public var batches = 0
        public var records = 0
    }

    /// Where the records have gone since the spool was opened, counted under one lock: at every moment
    /// `carriedOver + accepted = acknowledged + waiting.records`.
    public struct Account: Hashable, Sendable {
        /// Found when the spool was opened, left by an earlier process.
        public var carriedOver = 0
        public var accepted = 0
        /// Confirmed by the database.
        public var acknowledged = 0
        public var waiting = Contents()
    }

    /// A batch and its place in the queue.
    struct Stored: Sendable {
        var position: Int64
        var batch: Batch
    }

    /// Records that wait for the next commit.
    private struct Pending {
        var ticket: Int
        var machine: Int32
        var records: Records
    }

    private struct State {
        var nextTicket = 0
        var nextNumber: Int64 = 1
        var pending: [Pending] = []
        var outcomes: [Int: Result<BatchID, SpoolError>] = [:]
        var account: Account
    }

    private let database: DatabaseQueue
    private let file: String
    /// Drawn at every start, see ``BatchID``.
    public let origin: Int64
    private let state: Mutex<State>

    /// Opens the spool in `directory`, which must exist, and creates it when there is none.
    public convenience init(directory: String) throws(SpoolError) {
        var random = SystemRandomNumberGenerator()
        try self.init(directory: directory, random: &random)
    }

    /// Opens the spool in `directory` with an origin that is drawn from `random`.
    public init(directory: String, random: inout some RandomNumberGenerator) throws(SpoolError) {
        file = directory + "/spool.sqlite"
        origin = Int64.random(in: 1...Int64.max, using: &random)
        do {
            database = try DatabaseQueue(path: file, configuration: Self.configuration)
            let contents = try database.writeWithoutTransaction { [file] db in
                try Self.verifyDurability(db, file: file)
                try db.execute(sql: Self.schema)
                return try Self.countContents(db)
            }
            state = Mutex(State(account: Account(carriedOver: contents.records, waiting: contents)))
        } catch {
            throw SpoolError(error, file: file, while: "opening")
        }
    }

    /// What waits for the database now.
    public var contents: Contents { account.waiting }

    public var account: Account { state.withLock(\.account) }

    /// Counts what is stored, instead of what was counted on the way: the account can be checked against it.
    public func recount() async throws(SpoolError) -> Contents {
        try await perform("counting") { try Self.countContents($0) }
    }

    /// Makes `records` durable as one sealed batch.
    ///
    /// When this returns the batch survives a crash of the process and of the machine. When it throws, none of the
    /// records was accepted.
    public func append(_ records: Records, machine: Int32) async throws(SpoolError) -> BatchID {
        try validate(records)
        let ticket = state.withLock { state in
            defer { state.nextTicket += 1 }
            state.pending.append(Pending(ticket: state.nextTicket, machine: machine, records: records))
            return state.nextTicket
        }
        // A commit in progress holds the queue; whoever gets it next commits for everybody who waits by then.
        return try await perform("storing a batch") { db in
            self.commitPending(db, unlessDone: ticket)
            guard let outcome = self.state.withLock({ $0.outcomes.removeValue(forKey: ticket) }) else {
                throw SpoolError(.inputOutput, file: self.file, "the commit left no result")
            }
            return try outcome.get()
        }
    }

    /// Runs `body` on the database's own queue.
    ///
    /// Cancelling the calling task does not abandon it: a caller that is told "not accepted" while the commit goes on
    /// would append the same records again.
    private func perform<Value: Sendable>(
        _ action: String, _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(SpoolError) -> Value {
        let result = await withCheckedContinuation { continuation in
            database.asyncWriteWithoutTransaction { db in
                continuation.resume(returning: Result { try body(db) })
            }
        }
        switch result {
        case .success(let value): return value
        case .failure(let error): throw SpoolError(error, file: file, while: action)
        }
    }

    /// Runs on the database's own queue, one at a time.
    private func commitPending(_ db: Database, unlessDone ticket: Int) {
        let (group, first) = state.withLock { state -> ([Pending], Int64) in
            guard state.outcomes[ticket] == nil else { return ([], 0) }
            defer {
                state.nextNumber += Int64(state.pending.count)
                state.pending = []
            }
            return (state.pending, state.nextNumber)
        }
        guard !group.isEmpty else { return }
        let ids = group.indices.map { BatchID(origin: origin, number: first + Int64($0)) }
        let failure: SpoolError?
        do {
            try db.inTransaction(.immediate) {
                for (pending, id) in zip(group, ids) { try Self.insert(pending.records, pending.machine, id, into: db) }
                return .commit
            }
            failure = nil
        } catch {
            failure = SpoolError(error, file: file, while: "storing a batch")
        }
        state.withLock { state in
            for (pending, id) in zip(group, ids) {
                state.outcomes[pending.ticket] = failure.map { .failure($0) } ?? .success(id)
            }
            if failure == nil {
                let records = group.reduce(0) { $0 + $1.records.count }
                state.account.accepted += records
                state.account.waiting.batches += group.count
                state.account.waiting.records += records
            }
        }
    }

    /// The batch that has waited longest; `nil` when nothing waits.
    func oldest() async throws(SpoolError) -> Stored? {
        try await perform("reading the oldest batch") { db in
            try Row.fetchOne(db, sql: "SELECT * FROM batch ORDER BY position LIMIT 1").map { try self.stored($0) }
        }
    }

    /// The database has confirmed the batch; it leaves the spool.
    ///
    /// Losing this to a crash only means that the batch is sent again, and the ledger recognises it.
    func acknowledge(_ stored: Stored) async throws(SpoolError) {
        try await perform("removing batch \(stored.batch.id)") { db in
            try db.execute(sql: "DELETE FROM batch WHERE position = ?", arguments: [stored.position])
            self.state.withLock { state in
                state.account.acknowledged += stored.batch.records.count
                state.account.waiting.batches -= 1
                state.account.waiting.records -= stored.batch.records.count
            }
        }
    }

    /// Closes the file, so that another instance may open it.
    public func close() throws(SpoolError) {
        do {
            try database.close()
        } catch {
            throw SpoolError(error, file: file, while: "closing")
        }
    }

    private func validate(_ records: Records) throws(SpoolError) {
        guard case .history(let rows) = records else { return }
        for row in rows where (row.value?.isNaN ?? true) != (row.quality == .bad) {
            throw SpoolError(
                .invalidRecord, file: file,
                "parameter \(row.parameter) has quality \(row.quality) and value "
                    + "\(row.value.map { "\($0)" } ?? "none"); exactly the bad readings have none")
        }
    }

    private func stored(_ row: Row) throws(SpoolError) -> Stored {
        let id = BatchID(origin: row["origin"], number: row["number"])
        let bytes = [UInt8](row["payload"] as Data)
        let digest = [UInt8](row["sha256"] as Data)
        let machine: Int32 = row["machine"]
        let format: Int16 = row["format"]
        guard BatchCoding.digest(machine: machine, format: format, bytes: bytes) == digest else {
            throw SpoolError(.corrupted, file: file, "batch \(id) does not match the digest it was accepted with")
        }
        do throws(BatchCoding.Corrupted) {
            let records = try BatchCoding.decode(bytes, format: format, count: row["record_count"])
            return Stored(
                position: row["position"], batch: Batch(id: id, machine: machine, records: records, digest: digest))
        } catch {
            throw SpoolError(.corrupted, file: file, "batch \(id): \(error.reason)")
        }
    }
}
