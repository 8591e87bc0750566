import Foundation
import GRDB

/// How the spool uses SQLite.
extension Spool {
    static let schema = """
        CREATE TABLE IF NOT EXISTS batch (
            position INTEGER PRIMARY KEY AUTOINCREMENT,
            origin INTEGER NOT NULL,
            number INTEGER NOT NULL,
            machine INTEGER NOT NULL,
            format INTEGER NOT NULL,
            record_count INTEGER NOT NULL,
            sha256 BLOB NOT NULL,
            payload BLOB NOT NULL,
            UNIQUE (origin, number)
        )
        """

    /// `journalMode` stays at its default here: GRDB's own `.wal` would set `synchronous` to NORMAL after us, and
    /// NORMAL loses acknowledged commits when the power goes.
    static var configuration: Configuration {
        var configuration = Configuration()
        configuration.label = "ald.spool"
        configuration.prepareDatabase { db in
            try db.execute(
                sql: """
                    PRAGMA locking_mode = EXCLUSIVE;
                    PRAGMA journal_mode = WAL;
                    PRAGMA synchronous = FULL;
                    PRAGMA wal_autocheckpoint = 250;
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

    static func countContents(_ db: Database) throws -> Contents {
        let row = try Row.fetchOne(db, sql: "SELECT count(*) AS batches, total(record_count) AS records FROM batch")
        return Contents(batches: row?["batches"] ?? 0, records: row?["records"] ?? 0)
    }

    static func insert(_ records: Records, _ machine: Int32, _ id: BatchID, into db: Database) throws {
        let (format, bytes) = BatchCoding.encode(records)
        try db.execute(
            sql: """
                INSERT INTO batch (origin, number, machine, format, record_count, sha256, payload)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                id.origin, id.number, machine, format.rawValue, records.count,
                Data(BatchCoding.digest(machine: machine, format: format.rawValue, bytes: bytes)), Data(bytes),
            ])
    }
}
