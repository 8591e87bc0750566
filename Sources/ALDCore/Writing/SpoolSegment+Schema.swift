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
    static func header(_ row: Row, segment: Int64) -> BatchHeader? {
        func number(_ column: String) -> Int64? { Int64.fromDatabaseValue(row[column]) }
        guard let place = number("row"), let origin = number("origin"), let count = number("number"),
            let machine = number("machine").flatMap(Int32.init(exactly:)),
            let format = number("format").flatMap(Int16.init(exactly:)), let records = number("records"),
            let first = number("first_time"), let last = number("last_time"), first <= last,
            let accepted = number("accepted_at"), let parentOrigin = number("parent_origin"),
            let parentNumber = number("parent_number"), let digest = Data.fromDatabaseValue(row["sha256"]),
            let checksum = number("checksum"), let bytes = number("bytes")
        else { return nil }
        let header = BatchHeader(
            position: SpoolPosition(segment: segment, row: place), id: BatchID(origin: origin, number: count),
            machine: machine, format: format, records: Int(records), bytes: Int(bytes),
            times: Timestamp(microseconds: first)...Timestamp(microseconds: last),
            acceptedAt: Timestamp(microseconds: accepted),
            parent: parentNumber == 0 ? nil : BatchID(origin: parentOrigin, number: parentNumber),
            digest: [UInt8](digest))
        return Int64(header.checksum) == checksum ? header : nil
    }

    /// `nil` when header or payload are not what was written.
    static func batch(_ row: Row, segment: Int64) -> StoredBatch? {
        guard let header = header(row, segment: segment), let payload = Data.fromDatabaseValue(row["payload"])
        else { return nil }
        let batch = StoredBatch(header: header, payload: [UInt8](payload))
        return batch.isIntact ? batch : nil
    }
}

/// What a segment says about one of its batches.
struct SpoolProgress: Hashable, Sendable {
    var row: Int64
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
    init?(row: Row) {
        guard let place = Int64.fromDatabaseValue(row["row"]), let state = Int64.fromDatabaseValue(row["state"]),
            let settlement = SpoolBook.Settlement(rawValue: state), let at = Int64.fromDatabaseValue(row["at"]),
            let attempts = Int64.fromDatabaseValue(row["attempts"]),
            let checksum = Int64.fromDatabaseValue(row["checksum"])
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
