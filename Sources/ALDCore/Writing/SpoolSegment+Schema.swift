import Foundation
import GRDB

/// How a segment uses SQLite.
extension SpoolSegment {
    /// `batch` and `progress` are only ever added to, so that a batch's bytes are written once and never touched again.
    static let schema = """
        CREATE TABLE IF NOT EXISTS batch (
            row INTEGER PRIMARY KEY,
            origin INTEGER NOT NULL,
            number INTEGER NOT NULL,
            machine INTEGER NOT NULL,
            format INTEGER NOT NULL,
            records INTEGER NOT NULL,
            first_time INTEGER NOT NULL,
            last_time INTEGER NOT NULL,
            accepted_at INTEGER NOT NULL,
            parent_origin INTEGER NOT NULL,
            parent_number INTEGER NOT NULL,
            sha256 BLOB NOT NULL,
            checksum INTEGER NOT NULL,
            payload BLOB NOT NULL
        );
        CREATE TABLE IF NOT EXISTS progress (
            row INTEGER PRIMARY KEY,
            state INTEGER NOT NULL,
            at INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            checksum INTEGER NOT NULL
        );
        CREATE TABLE IF NOT EXISTS extent (
            only INTEGER PRIMARY KEY CHECK (only = 1),
            rows INTEGER NOT NULL,
            checksum INTEGER NOT NULL
        );
        """

    static let headerColumns = """
        row, origin, number, machine, format, records, first_time, last_time, accepted_at, parent_origin, \
        parent_number, sha256, checksum, length(payload) AS bytes
        """

    /// `journalMode` stays at its default here: GRDB's own `.wal` would set `synchronous` to NORMAL after us, and
    /// NORMAL loses acknowledged commits when the power goes.
    static var configuration: Configuration {
        var configuration = Configuration()
        configuration.label = "ald.spool"
        configuration.prepareDatabase { db in
            try db.execute(
                sql: """
                    PRAGMA page_size = \(pageSize);
                    PRAGMA locking_mode = EXCLUSIVE;
                    PRAGMA journal_mode = WAL;
                    PRAGMA synchronous = FULL;
                    PRAGMA fullfsync = ON;
                    PRAGMA wal_autocheckpoint = \(checkpointPages);
                    PRAGMA cache_size = -512;
                    PRAGMA mmap_size = 0;
                    PRAGMA temp_store = MEMORY;
                    PRAGMA trusted_schema = OFF;
                    """)
        }
        return configuration
    }

    /// A setting that did not take is found here and not after the first power failure.
    static func verifyDurability(_ db: Database, file: String) throws {
        let expected = ["locking_mode": "exclusive", "journal_mode": "wal", "synchronous": "2"]
        for (pragma, value) in expected.sorted(by: { $0.key < $1.key }) {
            let found = try String.fetchOne(db, sql: "PRAGMA \(pragma)") ?? "nothing"
            guard found == value else {
                throw SpoolError(.notDurable, file: file, "PRAGMA \(pragma) is \(found), it must be \(value)")
            }
        }
    }

    /// What GRDB's `inTransaction` does, but with statements that are compiled once: a small commit compiled longer than
    /// it wrote.
    static func transact(in db: Database, _ body: () throws -> Void) throws {
        try db.cachedStatement(sql: "BEGIN IMMEDIATE").execute()
        do {
            try body()
            try db.cachedStatement(sql: "COMMIT").execute()
        } catch {
            // The first error says what happened. After some of them SQLite has rolled back already.
            do { try db.rollback() } catch {}
            throw error
        }
    }

    static func insert(_ batch: StoredBatch, into db: Database) throws {
        let header = batch.header
        try db.cachedStatement(sql: "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)").execute(
            arguments: [
                header.position.row, header.id.origin, header.id.number, header.machine, header.format, header.records,
                header.times.lowerBound.microseconds, header.times.upperBound.microseconds,
                header.acceptedAt.microseconds, header.parent?.origin ?? 0, header.parent?.number ?? 0,
                Data(header.digest), Int64(header.checksum), Data(batch.payload),
            ])
    }

    static func extend(to rows: Int64, in db: Database) throws {
        try db.cachedStatement(sql: "INSERT OR REPLACE INTO extent VALUES (1, ?, ?)").execute(
            arguments: [rows, Int64(extentChecksum(rows))])
    }

    static func extentChecksum(_ rows: Int64) -> UInt32 {
        var crc = CRC32C()
        crc.add(rows)
        return crc.value
    }

    static func note(_ entry: SpoolProgress, in db: Database) throws {
        try db.cachedStatement(sql: "INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?)").execute(
            arguments: [
                entry.row, entry.settlement.rawValue, entry.at.microseconds, entry.attempts, Int64(entry.checksum),
            ])
    }

    /// `nil` when the row is not what was written.
    ///
    /// Values are found by their place: the names lie in the file, where they may be damaged as all else.
    ///
    /// - Parameter row: ``headerColumns``.
    static func header(_ row: Row, segment: Int64) -> BatchHeader? {
        Int64.fromDatabaseValue(row.value(13)).flatMap { header(row, bytes: Int($0), segment: segment) }
    }

    private static func header(_ row: Row, bytes: Int, segment: Int64) -> BatchHeader? {
        func number(_ place: Int) -> Int64? { Int64.fromDatabaseValue(row.value(place)) }
        guard let place = number(0), let origin = number(1), let count = number(2),
            let machine = number(3).flatMap(Int32.init(exactly:)),
            let format = number(4).flatMap(Int16.init(exactly:)), let records = number(5),
            let first = number(6), let last = number(7), first <= last, let accepted = number(8),
            let parentOrigin = number(9), let parentNumber = number(10),
            let digest = Data.fromDatabaseValue(row.value(11)), let checksum = number(12)
        else { return nil }
        let header = BatchHeader(
            position: SpoolPosition(segment: segment, row: place), id: BatchID(origin: origin, number: count),
            machine: machine, format: format, records: Int(records), bytes: bytes,
            times: Timestamp(microseconds: first)...Timestamp(microseconds: last),
            acceptedAt: Timestamp(microseconds: accepted),
            parent: parentNumber == 0 ? nil : BatchID(origin: parentOrigin, number: parentNumber),
            digest: [UInt8](digest))
        return Int64(header.checksum) == checksum ? header : nil
    }

    /// `nil` when header or payload are not what was written.
    ///
    /// - Parameter row: all columns of `batch`.
    static func batch(_ row: Row, segment: Int64) -> StoredBatch? {
        guard let payload = Data.fromDatabaseValue(row.value(13)),
            let header = header(row, bytes: payload.count, segment: segment)
        else { return nil }
        let batch = StoredBatch(header: header, payload: [UInt8](payload))
        return batch.isIntact ? batch : nil
    }
}

extension Row {
    /// `NULL` where a damaged schema has no such column.
    fileprivate func value(_ place: Int) -> DatabaseValue { place < count ? self[place] : .null }
}

/// What a segment says about one of its batches.
package struct SpoolProgress: Hashable, Sendable {
    package var row: Int64
    var settlement: SpoolBook.Settlement
    var at: Timestamp
    var attempts: Int64

    init(row: Int64, settlement: SpoolBook.Settlement, at: Timestamp, attempts: Int64) {
        self.row = row
        self.settlement = settlement
        self.at = at
        self.attempts = attempts
    }

    /// `nil` when it is not what was written: a changed bit must never settle a batch that waits.
    ///
    /// - Parameter row: all columns of `progress`.
    init?(row: Row) {
        func number(_ place: Int) -> Int64? { Int64.fromDatabaseValue(row.value(place)) }
        guard let place = number(0), let state = number(1), let settlement = SpoolBook.Settlement(rawValue: state),
            let at = number(2), let attempts = number(3), let checksum = number(4)
        else { return nil }
        self.init(row: place, settlement: settlement, at: Timestamp(microseconds: at), attempts: attempts)
        guard Int64(self.checksum) == checksum else { return nil }
    }

    var checksum: UInt32 {
        var crc = CRC32C()
        for number in [row, settlement.rawValue, at.microseconds, attempts] { crc.add(number) }
        return crc.value
    }
}
