/// What the spool asks of the file of a segment: ``SpoolSegment`` is one of SQLite; a simulated world keeps them in memory.
package protocol SegmentFile: Sendable {
    var index: Int64 { get }
    var path: String { get }
    /// What it takes, in bytes.
    var size: Int64 { get }
    /// The same; `nil` when the file has its name no more: what is written to it is gone with this process.
    var sizeInPlace: Int64? { get }

    /// Everything in one durable transaction. When it throws, nothing of it is in the file as far as this connection
    /// is concerned.
    ///
    /// - Parameters:
    ///   - extent: the last row that the file has from now on, when it is not that of the last batch.
    ///   - beforeCommit: called when all is written and the transaction is still open.
    func write(_ batches: [StoredBatch], progress: [SpoolProgress], extent: Int64?, beforeCommit: () -> Void) throws

    /// Copies the log into the database and empties it.
    func checkpoint() throws

    /// Makes the file take `bytes` on the disk now, for the database and once more for its log, so that a disk that is
    /// full later does not matter to it.
    func reserve(bytes: Int) throws

    /// Gives back what is kept in memory for the next use.
    func releaseMemory()

    func close() throws

    /// How many rows were ever accepted in the file, by its own account.
    func extent() throws -> Int64

    /// What became of its batches. An entry that is damaged counts as none: its batch is sent again and recognised.
    func progress(of rows: ClosedRange<Int64>) throws -> [SpoolProgress]

    /// Calls `body` with the header of every row from `first` on, in order, until it has had enough.
    ///
    /// - Throws: ``SegmentDamage`` at the first one that is not what was written.
    func forEachHeader(from first: Int64, _ body: (BatchHeader) throws -> Bool) throws

    func header(at row: Int64) throws -> BatchHeader?

    /// The batches among `rows`, all of which were accepted, in order, until `body` has had enough.
    ///
    /// - Parameters:
    ///   - example: when given, only batches of its machine and kind.
    ///   - kinds: these are left out.
    /// - Throws: ``SegmentDamage`` at the first row that is missing or not what was accepted.
    func forEachBatch(
        in rows: Range<Int64>, like example: BatchHeader?, excluding kinds: Set<BatchKind>,
        _ body: (StoredBatch) -> SegmentReading
    ) throws

    /// The batch at `row`; `nil` when it is missing or damaged, however badly.
    func salvage(_ row: Int64) -> StoredBatch?
}

extension SegmentFile {
    func write(_ batches: [StoredBatch], progress: [SpoolProgress], beforeCommit: () -> Void = {}) throws {
        try write(batches, progress: progress, extent: nil, beforeCommit: beforeCommit)
    }

    func progress() throws -> [SpoolProgress] { try progress(of: 1...Int64.max) }

    func forEachHeader(_ body: (BatchHeader) throws -> Bool) throws { try forEachHeader(from: 1, body) }

    func forEachBatch(
        in rows: Range<Int64>, like example: BatchHeader?, _ body: (StoredBatch) -> SegmentReading
    ) throws {
        try forEachBatch(in: rows, like: example, excluding: [], body)
    }
}

/// What whoever reads batches wants after each of them.
package enum SegmentReading {
    case goOn
    /// Only batches of the same machine and kind from here on.
    case restrict(to: BatchHeader)
    case stop
}

/// A row that was accepted cannot be read as what it was.
package struct SegmentDamage: Error {
    package var row: Int64

    package init(row: Int64) {
        self.row = row
    }
}

/// Where a spool lies that is not in files: its segments, and the small files that are replaced whole.
package protocol SegmentDisk: Sendable {
    /// Bytes that it still has for us.
    var freeSpace: Int64 { get }

    /// What lies in `directory`.
    func names(in directory: String) -> [String]

    /// Opens the segment, or makes it.
    ///
    /// - Throws: ``SpoolError``, `full` when there is no room for a new one.
    func segment(index: Int64, path: String) throws -> any SegmentFile

    /// Of a small file; `nil` when there is none.
    func contents(of path: String) -> [UInt8]?

    func replace(_ path: String, by content: [UInt8])

    func delete(_ path: String)
}
