import Logging

/// A file that the disk has failed under, or that is damaged, is replaced by one with everything that can be read.
extension SpoolEngine {
    /// Nothing is written to the segment any more, and soon it is replaced.
    mutating func suspect(_ index: Int64, because reason: SpoolError) {
        guard let entry = manifest[index], !entry.isSuspect else { return }
        manifest[index]?.isSuspect = true
        let rows = shelfRows(index)
        manifest[index]?.rows = rows
        saveManifest("a segment is suspect")
        upkeepAfter = time.now
        logger.critical("a segment of the spool is damaged", metadata: ["segment": "\(index)", "error": "\(reason)"])
    }

    func shelfRows(_ index: Int64) -> Int64 { book.withLock { $0[index]?.rows ?? 0 } }

    /// Replaces the segments that are suspect, as soon as there is room.
    mutating func repairSuspects() {
        for entry in manifest.segments where entry.isSuspect && time.now >= upkeepAfter {
            do {
                guard entry.index != active || roll() else { return postponeUpkeep() }
                try repair(entry.index, log: nil)
            } catch {
                logger.error(
                    "a suspect segment is not replaced yet",
                    metadata: ["segment": "\(entry.index)", "error": "\(error)"])
                postponeUpkeep()
            }
        }
    }

    private mutating func postponeUpkeep() { upkeepAfter = time.now + Self.upkeepPause }

    /// Copies what can be read into a new file, notes the rest as lost, and sets the old file aside.
    ///
    /// - Parameter log: the log of the file as it was before anybody opened it, when there was one.
    mutating func repair(_ index: Int64, log: SegmentCarver?) throws {
        guard let entry = manifest[index] else { return }
        let path = files.path(entry)
        let remains = SegmentCarver(path: path, log: log, segment: index)
        let old = segments[index] ?? openDamaged(entry)
        let settlements = progress(book.withLock { $0[index]?.unsaved ?? [:] }, of: index)
        var salvage = SpoolSalvage(
            old, remains: remains, entry: entry, settlements: Dictionary(settlements.map { ($0.row, $0) }) { $1 })
        let replacement = try makeReplacement(of: entry, from: &salvage)
        try note(salvage, of: entry, isReadable: old != nil)
        do {
            try old?.close()
        } catch {
            logger.warning("a damaged segment did not close", metadata: ["segment": "\(index)", "error": "\(error)"])
        }
        segments[index] = replacement
        sizes[index] = replacement.size
        if salvage.hasCertainLoss || old == nil {
            let evidence = files.setAside(path)
            damagedBytes = files.damagedBytes
            logger.error("a damaged segment is kept as evidence", metadata: ["file": "\(evidence)"])
        } else {
            files.deleteDatabase(path)
        }
        logger.notice(
            "a segment was replaced by what could be read of it",
            metadata: ["segment": "\(index)", "lost": "\(salvage.lostRows.count)"])
        book.withLock { book in
            guard book[index] != nil else { return }
            _ = book.takeUnsaved(of: index)
            book.lost(salvage.lostRows, of: index, left: salvage.waiting)
        }
    }

    private func openDamaged(_ entry: SpoolManifest.Segment) -> (any SegmentFile)? {
        do {
            return try files.segment(index: entry.index, path: files.path(entry))
        } catch {
            logger.error("a segment cannot be opened", metadata: ["segment": "\(entry.name)", "error": "\(error)"])
            return nil
        }
    }

    private func makeReplacement(
        of entry: SpoolManifest.Segment, from salvage: inout SpoolSalvage
    ) throws -> any SegmentFile {
        var named = entry
        named.revision += 1
        let path = files.path(named)
        files.deleteDatabase(path)
        let copy = try files.segment(index: entry.index, path: path)
        do {
            try salvage.write(to: copy, at: time.wallClock)
            try copy.checkpoint()
            try files.syncDirectory()
            return copy
        } catch {
            try copy.close()
            files.deleteDatabase(path)
            throw error
        }
    }

    /// From here on the replacement counts.
    private mutating func note(_ salvage: SpoolSalvage, of entry: SpoolManifest.Segment, isReadable: Bool) throws {
        let before = manifest
        var replacement = entry
        replacement.revision += 1
        replacement.isSuspect = false
        replacement.isUsed = salvage.rows > 0
        replacement.rows = salvage.rows
        replacement.content = salvage.content
        manifest[entry.index] = replacement
        // How much was in a file that is no database any more, and that was being written, nobody knows.
        if salvage.hasCertainLoss || !isReadable && salvage.rows == 0 {
            report(
                SpoolLoss(
                    file: entry.name, reason: "damaged on disk", batches: salvage.lost,
                    foundAt: time.wallClock.microseconds))
        }
        if !salvage.doubtful.isEmpty {
            report(
                SpoolLoss(
                    file: entry.name,
                    reason: "the last commit is incomplete: the power failed before it, or it is damaged",
                    batches: salvage.doubtful, foundAt: time.wallClock.microseconds, isCertain: false))
        }
        do throws(SpoolError) {
            try writeManifest()
        } catch {
            manifest = before
            throw error
        }
    }
}
