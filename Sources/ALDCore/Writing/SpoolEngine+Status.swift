import Foundation
import Logging

extension SpoolEngine {
    mutating func status(isClosed: Bool = false) -> SpoolStatus {
        rate.settle(now: time.now)
        let (account, first) = book.withLock {
            ($0.account, $0.waiting(in: .backlog, after: .start) ?? $0.waiting(in: .fresh, after: .start))
        }
        var oldest: Int64?
        if let first {
            do {
                oldest = try segments[first.index]?.header(at: first.rows.lowerBound)?.acceptedAt.microseconds
            } catch {
                // Whoever reads the batch finds the damage and repairs it; a status only leaves the time out.
            }
        }
        let (used, free) = (usedBytes, files.freeSpace)
        let available = configuration.quota.available(used: used, free: free)
        return SpoolStatus(
            origin: String(UInt64(bitPattern: origin), radix: 16),
            level: configuration.quota.level(used: used, free: free), waitingBatches: account.waiting.batches,
            waitingRecords: account.waiting.records, waitingBytes: account.waiting.bytes, oldestAcceptedAt: oldest,
            segments: segments.count, retainedSegments: retained.count, usedBytes: used, availableBytes: available,
            autonomyHours: rate.hours(for: available), losses: manifest.losses,
            writtenAt: time.wallClock.microseconds, processIdentifier: ProcessInfo.processInfo.processIdentifier,
            isClosed: isClosed)
    }

    mutating func writeStatus(force: Bool, isClosed: Bool = false) {
        if !force, let statusWrittenAt, time.now - statusWrittenAt < configuration.statusInterval { return }
        statusWrittenAt = time.now
        damagedBytes = files.damagedBytes
        do {
            let content = try JSONEncoder().encode(status(isClosed: isClosed))
            try files.replace(files.status, by: content, durably: false)
        } catch {
            // Nothing depends on it, and a full disk is told elsewhere.
            logger.debug("the spool's status was not written", metadata: ["error": "\(error)"])
        }
    }
}
