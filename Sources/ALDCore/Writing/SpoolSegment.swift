import Foundation
import GRDB

/// One file of the spool and the only connection to it.
///
/// The name says what is in it only by number; what must be known when it is gone is in the manifest.
struct SpoolSegment: SegmentFile {
    let index: Int64
    let path: String
    private let database: DatabaseQueue
    /// Which file was opened: somebody may delete it under us.
    private let identity: UInt64?

    static let pageSize = 4096
    /// Pages that the log may have before it is copied into the database. Low, because a log that has once grown
    /// never shrinks while the segment is written.
    static let checkpointPages = 250

    /// Opens the file, or makes it.
    init(index: Int64, path: String) throws {
        self.index = index
        self.path = path
        database = try DatabaseQueue(path: path, configuration: Self.configuration)
        try database.writeWithoutTransaction { db in
            try Self.verifyDurability(db, file: path)
            try db.execute(sql: Self.schema)
        }
        identity = SpoolFiles.identity(of: path)
    }

    var size: Int64 { SpoolFiles.size(ofDatabase: path) }

    var sizeInPlace: Int64? {
        identity != nil && SpoolFiles.identity(of: path) == identity ? size : nil
    }

    // MARK: Writing

    func write(_ batches: [StoredBatch], progress: [SpoolProgress], extent: Int64?, beforeCommit: () -> Void) throws {
        try database.writeWithoutTransaction { db in
            try Self.transact(in: db) {
                for batch in batches { try Self.insert(batch, into: db) }
                for entry in progress { try Self.note(entry, in: db) }
                if let rows = extent ?? batches.last?.position.row { try Self.extend(to: rows, in: db) }
                beforeCommit()
            }
        }
    }

    func checkpoint() throws {
        _ = try database.writeWithoutTransaction { try $0.checkpoint(.truncate) }
    }

    func reserve(bytes: Int) throws {
        try database.writeWithoutTransaction { db in
            try db.inTransaction(.immediate) {
                try db.execute(sql: "CREATE TABLE filler (bytes BLOB)")
                try db.execute(sql: "INSERT INTO filler VALUES (zeroblob(?))", arguments: [bytes])
                return .commit
            }
            // The pages stay in the file's free list, and the log keeps its length for whoever writes next.
            try db.inTransaction(.immediate) {
                try db.execute(sql: "DROP TABLE filler")
                return .commit
            }
            try db.checkpoint(.restart)
        }
    }

    /// Pages and statements of the connection.
    func releaseMemory() { database.releaseMemory() }

    func close() throws { try database.close() }

    // MARK: Reading

    func extent() throws -> Int64 {
        try database.writeWithoutTransaction { db in
            guard let row = try Row.fetchOne(db, sql: "SELECT rows, checksum FROM extent"),
                let rows = Int64.fromDatabaseValue(row[0]),
                Int64.fromDatabaseValue(row[1]) == Int64(Self.extentChecksum(rows))
            else { return 0 }
            return rows
        }
    }

    func progress(of rows: ClosedRange<Int64>) throws -> [SpoolProgress] {
        try database.writeWithoutTransaction { db in
            let found = try Row.fetchCursor(
                db, sql: "SELECT * FROM progress WHERE rowid BETWEEN ? AND ? ORDER BY rowid",
                arguments: [rows.lowerBound, rows.upperBound])
            // One at a time: copies of all rows of a full segment take ten times what is wanted of them.
            var progress: [SpoolProgress] = []
            while let row = try found.next() {
                // One that is damaged may have the number of another row, and then hides those behind it.
                guard let entry = SpoolProgress(row: row), progress.last.map({ $0.row < entry.row }) ?? true else {
                    throw SegmentDamage(row: Int64.fromDatabaseValue(row[0]) ?? rows.lowerBound)
                }
                progress.append(entry)
            }
            return progress
        }
    }

    func forEachHeader(from first: Int64, _ body: (BatchHeader) throws -> Bool) throws {
        try database.writeWithoutTransaction { db in
            let rows = try Row.fetchCursor(
                db, sql: "SELECT \(Self.headerColumns) FROM batch WHERE row >= ? ORDER BY row", arguments: [first])
            while let row = try rows.next() {
                guard let header = Self.header(row, segment: index) else {
                    throw SegmentDamage(row: Int64.fromDatabaseValue(row[0]) ?? first)
                }
                guard try body(header) else { return }
            }
        }
    }

    func header(at row: Int64) throws -> BatchHeader? {
        try database.writeWithoutTransaction { db in
            try Row.fetchOne(
                db.cachedStatement(sql: "SELECT \(Self.headerColumns) FROM batch WHERE row = ?"), arguments: [row]
            ).flatMap { Self.header($0, segment: index) }
        }
    }

    func forEachBatch(
        in rows: Range<Int64>, like example: BatchHeader?, excluding kinds: Set<BatchKind>,
        _ body: (StoredBatch) -> SegmentReading
    ) throws {
        try database.writeWithoutTransaction { db in
            var example = example
            var next = rows.lowerBound
            while next < rows.upperBound {
                let isRestricted = example != nil || !kinds.isEmpty
                let cursor = try Self.batches(in: next..<rows.upperBound, like: example, excluding: kinds, db)
                var hasChanged = false
                while !hasChanged, let row = try cursor.next() {
                    guard let batch = Self.batch(row, segment: index), isRestricted || batch.position.row == next
                    else { throw SegmentDamage(row: next) }
                    next = batch.position.row + 1
                    switch body(batch) {
                    case .goOn: break
                    case .restrict(let header): (example, hasChanged) = (header, true)
                    case .stop: return
                    }
                }
                if !hasChanged {
                    if !isRestricted && next < rows.upperBound { throw SegmentDamage(row: next) }
                    return
                }
            }
        }
    }

    private static func batches(
        in rows: Range<Int64>, like example: BatchHeader?, excluding kinds: Set<BatchKind>, _ db: Database
    ) throws -> RowCursor {
        let columns = "SELECT * FROM batch WHERE row >= ? AND row < ?"
        guard let example else {
            let left = String(repeating: " AND (machine <> ? OR format <> ?)", count: kinds.count)
            var arguments: StatementArguments = [rows.lowerBound, rows.upperBound]
            for kind in kinds.sorted() { arguments += [kind.machine, kind.format] }
            return try Row.fetchCursor(
                db.cachedStatement(sql: columns + left + " ORDER BY row"), arguments: arguments)
        }
        return try Row.fetchCursor(
            db.cachedStatement(sql: columns + " AND machine = ? AND format = ? ORDER BY row"),
            arguments: [rows.lowerBound, rows.upperBound, example.machine, example.format])
    }

    func salvage(_ row: Int64) -> StoredBatch? {
        do {
            return try database.writeWithoutTransaction { db in
                try Row.fetchOne(db, sql: "SELECT * FROM batch WHERE rowid = ?", arguments: [row])
                    .flatMap { Self.batch($0, segment: index) }
            }
        } catch {
            // The reason does not matter: what cannot be read is reported as lost.
            return nil
        }
    }
}
