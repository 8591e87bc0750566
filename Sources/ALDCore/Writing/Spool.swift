import Foundation
public import Logging
import Synchronization

/// The durable queue on this machine's disk between acceptance and PostgreSQL.
///
/// A batch is in the spool from the moment ``append(_:machine:)`` returns until the database has confirmed it, and for
/// a window longer, in case the database forgets it. It lies in segments, files of one SQLite database each in WAL mode
/// with `synchronous=FULL`; a thread of its own commits everything that waits together (group commit). One process
/// owns the directory.
///
/// What goes wrong on disk is survived and told: a full disk refuses acceptance and nothing else; a file whose disk
/// failed, that was damaged or deleted is replaced by what can be read of it, and what cannot is listed in
/// ``losses()`` by name.
public final class Spool: Sendable {
    /// How many batches one reading may bring. The first batch is brought whatever its size.
    public struct Limits: Hashable, Sendable {
        public var batches: Int
        public var records: Int
        public var bytes: Int

        /// Defaults to 1000 batches, 5000 records, 1 MB.
        public init(batches: Int = 1000, records: Int = 5000, bytes: Int = 1 << 20) {
            self.batches = batches
            self.records = records
            self.bytes = bytes
        }
    }

    let directory: String
    /// Drawn at every start, see ``BatchID``.
    public let origin: Int64
    private let book: SharedBook
    private let thread: SpoolThread
    private let time: any TimeSource

    /// Opens the spool in `directory`, which must exist, and creates it when there is none.
    public convenience init(
        directory: String, configuration: Configuration = Configuration(), time: any TimeSource = SystemTime(),
        logger: Logger = Logger(label: "ald.spool")
    ) throws(SpoolError) {
        var random = SystemRandomNumberGenerator()
        try self.init(
            directory: directory, configuration: configuration, random: &random, time: time, logger: logger)
    }

    /// Opens the spool in `directory` with an origin that is drawn from `random`.
    public convenience init(
        directory: String, configuration: Configuration = Configuration(), random: inout some RandomNumberGenerator,
        time: any TimeSource = SystemTime(), logger: Logger = Logger(label: "ald.spool")
    ) throws(SpoolError) {
        try self.init(
            directory: directory, configuration: configuration, random: &random, turns: .thread, time: time,
            logger: logger)
    }

    package init(
        directory: String, configuration: Configuration, random: inout some RandomNumberGenerator, turns: SpoolTurns,
        time: any TimeSource, logger: Logger
    ) throws(SpoolError) {
        do {
            try configuration.validate()
        } catch {
            throw SpoolError(.misconfigured, file: directory, "\(error)")
        }
        let engine = try SpoolEngine.open(
            directory: directory, configuration: configuration, random: &random, time: time, logger: logger)
        self.directory = directory
        self.time = time
        origin = engine.origin
        book = engine.book
        thread = SpoolThread(
            engine: engine, maximumBytes: configuration.queueBytes, maximumAppends: configuration.queueAppends,
            turns: turns)
        thread.start()
    }

    deinit { thread.end() }

    /// What waits for the database now.
    public var contents: Contents { account.waiting }

    public var account: Account { book.withLock(\.account) }

    /// How many batches of each kind wait now.
    var kinds: KindCounts { book.withLock(\.kinds) }

    /// Behind it nothing is stored, and nothing was while this process had the spool.
    var lastPosition: SpoolPosition { book.withLock(\.lastPosition) }

    /// Makes `records` durable in a sealed batch; others of the same machine and kind that wait for the same commit may
    /// be in it, too.
    ///
    /// When this returns they survive a crash of the process and of the machine. When it throws, none of them was
    /// accepted. Cancelling the calling task changes nothing: a caller that is told "not accepted" while the commit goes
    /// on would append the same records again.
    ///
    /// - Throws: `full` at the quota, `overloaded` when too much waits for the disk already.
    public func append(_ records: Records, machine: Int32) async throws(SpoolError) -> BatchID {
        try await append(together: [records], machine: machine)[0]
    }

    /// The same for records of several kinds, in this order: after a crash all of them are there, or none is.
    ///
    /// - Returns: for each the batch that it is in.
    func append(together parts: [Records], machine: Int32) async throws(SpoolError) -> [BatchID] {
        for part in parts { try validate(part) }
        let encoded = parts.map { EncodedRecords($0, machine: machine) }
        let result = await withCheckedContinuation { continuation in
            let append = SpoolThread.Append(records: encoded) { continuation.resume(returning: $0) }
            let refusal = thread.submit(append)
            if let refusal { continuation.resume(returning: .failure(error(refusal))) }
        }
        return try result.get()
    }

    private func error(_ refusal: SpoolThread.Refusal) -> SpoolError {
        switch refusal {
        case .ended: SpoolError(.closed, file: directory, "the spool was closed")
        case .overloaded: SpoolError(.overloaded, file: directory, "too many records wait for the disk")
        }
    }

    /// Runs `body` on the spool's thread.
    private func perform<Value: Sendable>(
        _ action: String, _ body: @escaping @Sendable (inout SpoolEngine) throws -> Value
    ) async throws(SpoolError) -> Value {
        let directory = directory
        let result: Result<Value, any Error> = await withCheckedContinuation { continuation in
            let isTaken = thread.submit { engine in continuation.resume(returning: Result { try body(&engine) }) }
            if !isTaken {
                continuation.resume(
                    returning: .failure(SpoolError(.closed, file: directory, "\(action) after the spool was closed")))
            }
        }
        switch result {
        case .success(let value): return value
        case .failure(let error): throw SpoolError(error, file: directory, while: action)
        }
    }

    /// Batches that wait in `lane`, in order of their positions, all of the machine and kind of the first one after
    /// `position`. Those of others in between are left for another call.
    ///
    /// - Parameter excluding: positions that are left out, for instance because they are under way.
    public func waiting(
        in lane: Lane, after position: SpoolPosition = .start, limits: Limits = Limits(),
        excluding: Set<SpoolPosition> = []
    ) async throws(SpoolError) -> [StoredBatch] {
        try await waiting(in: lane, after: position, limits: limits, excluding: excluding, kinds: [])
    }

    /// - Parameter kinds: these are left out, too.
    func waiting(
        in lane: Lane, after position: SpoolPosition = .start, limits: Limits = Limits(),
        excluding: Set<SpoolPosition> = [], kinds: Set<BatchKind>
    ) async throws(SpoolError) -> [StoredBatch] {
        try await perform("reading what waits") {
            try $0.waiting(in: lane, after: position, limits: limits, excluding: excluding, kinds: kinds)
        }
    }

    /// Whether it is being found out what the database still has: then nothing is given up before its time that it had
    /// confirmed, however little room there is.
    package var isDoubted: Bool { book.withLock(\.isDoubted) }

    func doubt(_ isDoubted: Bool) { book.withLock { $0.isDoubted = isDoubted } }

    /// The database, which has everything that it has confirmed before, has confirmed the batches, too: they count as
    /// landed at once. The files learn it with the next commit; losing it to a crash only means that the batches are sent
    /// again, and the ledger recognises them.
    ///
    /// - Parameter headers: of none: the database is there.
    public func acknowledge(_ headers: some Sequence<BatchHeader>) { acknowledge(headers, comparedAt: time.now) }

    /// - Parameter instant: an instant at which the database is known to have had everything that it had confirmed before;
    ///   `nil` while that is in doubt, as after every outage until it was asked. Confirmed batches are deleted by their age
    ///   at the last such instant: a database that comes back as it was before has to be given them again, however long it
    ///   was away. So it is the instant of the question and not that of the answer: an answer may have waited for as long
    ///   as this process stood still.
    func acknowledge(_ headers: some Sequence<BatchHeader>, comparedAt instant: MonotonicInstant?) {
        let now = time.now
        book.withLock { book in
            for header in headers { book.acknowledged(header, now: now) }
            if let instant { book.compared(at: instant) }
        }
    }

    /// Notes that delivering the batches was tried, for people and for those who decide how patient to be.
    public func noteAttempts(_ positions: some Sequence<SpoolPosition>) {
        book.withLock { book in
            for position in positions { book.noteAttempt(position) }
        }
    }

    /// Everything that waits now becomes backlog; what is accepted from here on is fresh.
    public func moveBoundary() { book.withLock { $0.moveBoundary() } }

    /// Replaces the waiting batch at `position` by new ones with these records, in one durable transaction. They lie
    /// behind everything else in the file of their parent and keep its instant of acceptance.
    ///
    /// Only after the database has definitely refused the batch: one in doubt must be sent unchanged.
    ///
    /// - Parameter name: of the first of them, the others are numbered after it; by default from ``namesForParts()``.
    public func recut(
        _ position: SpoolPosition, into parts: [Records], machine: Int32, named name: BatchID? = nil
    ) async throws(SpoolError) -> [BatchHeader] {
        for part in parts { try validate(part) }
        let encoded = parts.map { EncodedRecords($0, machine: machine) }
        return try await perform("cutting a batch anew") { try $0.recut(position, into: encoded, named: name) }
    }

    /// The first of a few names, one after the other, that no batch has and none will get but the parts of one that is
    /// cut.
    public func namesForParts() async throws(SpoolError) -> BatchID {
        try await perform("naming parts of a batch") { $0.namesForParts() }
    }

    /// Confirmed batches that are still there, in order of their positions, at most `limit`.
    public func retained(
        after position: SpoolPosition = .start, limit: Int = 10_000
    ) async throws(SpoolError) -> [BatchHeader] {
        var found: [BatchHeader] = []
        var position: SpoolPosition? = position
        while let after = position, found.count < limit {
            let page = try await retainedPage(after: after)
            found += page.batches
            position = page.end
        }
        return Array(found.prefix(limit))
    }

    /// The confirmed batches among the next so many that are stored: a bound, because whoever wants a commit waits for it.
    func retainedPage(
        after position: SpoolPosition, looksAt count: Int64 = ReconcilingPage.most
    ) async throws(SpoolError) -> RetainedPage {
        try await perform("reading what is retained") { try $0.retained(after: position, looksAt: count) }
    }

    struct RetainedPage: Sendable {
        var batches: [BatchHeader] = []
        /// How far it reaches; `nil`: there is nothing behind it.
        var end: SpoolPosition?
    }

    /// The database has forgotten these confirmed batches: they wait again.
    ///
    /// - Returns: how many of them are still there.
    public func resurrect(_ headers: [BatchHeader]) async throws(SpoolError) -> Int {
        try await perform("resurrecting batches") { try $0.resurrect(headers) }
    }

    /// Counts what is stored, instead of what was counted on the way: the account can be checked against it.
    public func recount() async throws(SpoolError) -> Contents {
        try await perform("counting") { try $0.recount() }
    }

    public func status() async throws(SpoolError) -> SpoolStatus {
        try await perform("asking for the status") { $0.status() }
    }

    /// Batches that were accepted and cannot be read any more, ever since the directory was made.
    public func losses() async throws(SpoolError) -> [SpoolLoss] {
        try await perform("asking for losses") { $0.manifest.losses }
    }

    /// For each origin the number up to which the spool can send no batch any more: confirmed, kept for the window and
    /// deleted. The ledger need not know them for ever, see ``HistoryMaintenance``.
    public func forgotten() async throws(SpoolError) -> [BatchID] {
        try await perform("asking for what was forgotten") { $0.manifest.forgotten }
    }

    /// The instant of the readings, or the end of the gap, that was accepted last of a machine, by this process or an
    /// earlier one; `nil` when nothing of it is left on the disk.
    public func recordedUntil(machine: Int32) async throws(SpoolError) -> Timestamp? {
        try await perform("asking what was recorded") { $0.recorded[machine].map { Timestamp(microseconds: $0.until) } }
    }

    /// Does what otherwise waits for an idle moment: notes in the files what was confirmed, replaces damaged ones,
    /// deletes those whose time has come.
    public func tidyUp() async throws(SpoolError) {
        try await perform("tidying up") { $0.tidyUp() }
    }

    /// Stores what waits, closes the files and gives up the directory, so that another instance may open it.
    public func close() throws(SpoolError) {
        thread.end()
        thread.waitForEnd()
    }

    private func validate(_ records: Records) throws(SpoolError) {
        guard case .history(let rows) = records else { return }
        for row in rows where (row.value?.isNaN ?? true) != (row.quality == .bad) {
            throw SpoolError(
                .invalidRecord, file: directory,
                "parameter \(row.parameter) has quality \(row.quality) and value "
                    + "\(row.value.map { "\($0)" } ?? "none"); exactly the bad readings have none")
        }
    }
}
