import Foundation
import GRDB
import Logging

/// Earlier versions kept everything in one file and deleted what had landed.
extension SpoolEngine {
    private static let batchesPerCommit = 500
    /// Whether a damaged page has left the batch its name.
    private static let hasName = "typeof(position) || typeof(origin) || typeof(number) = 'integerintegerinteger'"

    /// Takes over what waits in the file of an earlier version, under the names that it has, and removes the file.
    mutating func takeOverLegacy() throws {
        guard SpoolFiles.identity(of: files.legacy) != nil else { return }
        let batches: DatabaseQueue
        do {
            batches = try DatabaseQueue(path: files.legacy)
            _ = try batches.writeWithoutTransaction { try $0.tableExists("batch") }
        } catch {
            let error = SpoolError(error, file: files.legacy, while: "opening")
            guard error.code == .corrupted else { throw error }
            report(
                SpoolLoss(
                    file: "spool.sqlite", reason: "the file of an earlier version is no database: \(error.message)",
                    batches: [], foundAt: time.wallClock.microseconds))
            _ = files.setAside(files.legacy)
            return
        }
        // A takeover that was interrupted begins anew: what it had copied is known by name.
        var known = Set<BatchID>()
        for segment in segments.values {
            try segment.forEachHeader { header in
                known.insert(header.id)
                return true
            }
        }
        let damaged = try copyLegacy(batches, known: known)
        let nameless = try batches.writeWithoutTransaction { db in
            guard try db.tableExists("batch") else { return 0 }
            return try Int.fetchOne(db, sql: "SELECT count(*) FROM batch WHERE NOT (\(Self.hasName))") ?? 0
        }
        try batches.close()
        if damaged.isEmpty && nameless == 0 {
            files.deleteDatabase(files.legacy)
        } else {
            report(
                SpoolLoss(
                    file: "spool.sqlite", reason: "damaged on disk", batches: damaged,
                    foundAt: time.wallClock.microseconds))
            _ = files.setAside(files.legacy)
        }
    }

    /// - Returns: what cannot be read as it was accepted.
    private mutating func copyLegacy(_ legacy: DatabaseQueue, known: Set<BatchID>) throws -> [BatchRange] {
        var damaged: [BatchRange] = []
        var position: Int64 = 0
        while true {
            let after = position
            let rows = try legacy.writeWithoutTransaction { db in
                guard try db.tableExists("batch") else { return [Row]() }
                return try Row.fetchAll(
                    db,
                    sql: """
                        SELECT position, origin, number, machine, format, record_count, sha256, payload
                        FROM batch WHERE position > ? AND \(Self.hasName) ORDER BY position LIMIT ?
                        """,
                    arguments: [after, Self.batchesPerCommit])
            }
            guard let last = rows.last else { return damaged }
            position = last["position"]
            let index = try makeSegment()
            var batches: [StoredBatch] = []
            for row in rows {
                let id = BatchID(origin: row["origin"], number: row["number"])
                guard !known.contains(id) else { continue }
                let place = SpoolPosition(segment: index, row: Int64(batches.count) + 1)
                if let batch = Self.legacyBatch(row, id: id, at: place, acceptedAt: time.wallClock) {
                    batches.append(batch)
                } else {
                    BatchRange.add(id, to: &damaged)
                }
            }
            try use(index)?.write(batches, progress: [])
            sizes[index] = segments[index]?.size
            manifest[index]?.isUsed = !batches.isEmpty
            manifest[index]?.rows = Int64(batches.count)
            book.withLock { book in
                book[index] = SpoolBook.Shelf(index: index)
                for batch in batches { book.found(batch.header, waits: true) }
            }
            for batch in batches {
                var content = manifest[index]?.content ?? []
                BatchRange.add(batch.header.id, to: &content)
                manifest[index]?.content = content
            }
        }
    }

    /// `nil` when it is not what was accepted.
    private static func legacyBatch(
        _ row: Row, id: BatchID, at position: SpoolPosition, acceptedAt: Timestamp
    ) -> StoredBatch? {
        guard let payload = Data.fromDatabaseValue(row["payload"]), let digest = Data.fromDatabaseValue(row["sha256"]),
            let machine = Int32.fromDatabaseValue(row["machine"]), let format = Int16.fromDatabaseValue(row["format"]),
            let count = Int.fromDatabaseValue(row["record_count"])
        else { return nil }
        let bytes = [UInt8](payload)
        do throws(BatchCoding.Corrupted) {
            let records = try BatchCoding.decode(bytes, format: format, count: count)
            let header = BatchHeader(
                position: position, id: id, machine: machine, format: format, records: count, bytes: bytes.count,
                times: records.times, acceptedAt: acceptedAt, parent: nil, digest: [UInt8](digest))
            let batch = StoredBatch(header: header, payload: bytes)
            return batch.isIntact ? batch : nil
        } catch {
            return nil
        }
    }
}
