import Logging

/// The group commit.
extension SpoolEngine {
    /// Room that a commit needs beside its payloads, in bytes: pages that are begun, and the log's frames.
    static let commitOverhead: Int64 = 32_768
    static let batchOverhead: Int64 = 512

    /// Makes everything that waits durable in one transaction and tells everybody.
    mutating func commit(_ appends: [SpoolThread.Append]) {
        var group = SpoolGroup(appends.flatMap(\.records), mergedRecords: configuration.mergedRecords)
        pass(.acceptBeforeCommit)
        let result = store(&group)
        pass(.acceptAfterCommit)
        var batches = group.batchOfAppend[...]
        for append in appends {
            let own = batches.prefix(append.records.count)
            batches.removeFirst(own.count)
            append.tell(result.map { ids in own.map { ids[$0] } })
        }
    }

    private mutating func store(_ group: inout SpoolGroup) -> Result<[BatchID], SpoolError> {
        let ids = group.batches.indices.map { BatchID(origin: origin, number: nextNumber + Int64($0)) }
        // A number that was tried is never given to other records, even when it was refused: a trace of it may be left.
        nextNumber += Int64(ids.count)
        let acceptedAt = time.wallClock
        var batches = zip(group.batches, ids).map { records, id in
            records.sealed(id, at: SpoolPosition(segment: active, row: 0), acceptedAt: acceptedAt, parent: nil)
        }
        do throws(SpoolError) {
            if isActiveTooOld || sizes[active, default: 0] >= configuration.segmentBytes { roll() }
            try leaveSuspect()
            try makeRoom(for: batches)
            // It may have given up the active one, too.
            try leaveSuspect()
            try write(&batches)
        } catch {
            return .failure(error)
        }
        let headers = batches.map(\.header)
        for header in headers {
            BatchRange.add(header.id, to: &manifestContent)
            rate.add(header.bytes)
            noteRecorded(header)
        }
        nextRow += Int64(headers.count)
        book.withLock { $0.accepted(headers) }
        return .success(ids)
    }

    /// The one that was accepted last counts, not the latest one: a clock that was ahead would hide what is missed
    /// until its time has come. Parts of a batch that was cut lie behind much that is younger.
    mutating func noteRecorded(_ header: BatchHeader) {
        guard header.isOfCollection, header.parent == nil else { return }
        if let known = recorded[header.machine], known.segment > header.position.segment { return }
        recorded[header.machine] = SpoolManifest.Recorded(
            machine: header.machine, until: header.times.upperBound.microseconds, segment: header.position.segment)
    }

    /// What the active segment holds; the file `manifest.json` learns it when the segment is closed.
    private var manifestContent: [BatchRange] {
        get { manifest[active]?.content ?? [] }
        set { manifest[active]?.content = newValue }
    }

    /// Writes to the active segment. When the disk fails under it, to the next one: the page cache may lie about a
    /// file whose sync has failed, so nothing is ever tried there again.
    private mutating func write(_ batches: inout [StoredBatch]) throws(SpoolError) {
        let failure: SpoolError
        do throws(SpoolError) {
            return try writeToActive(&batches)
        } catch {
            failure = error
        }
        if failure.code == .full {
            // What is only retained gives way; a segment in reserve has its space already.
            guard shrinkRetained() || spare != nil && roll() else { throw failure }
            try leaveSuspect()
            return try writeToActive(&batches)
        }
        logger.critical("the disk failed under the spool; a new segment is begun", metadata: ["error": "\(failure)"])
        try suspectActive()
        try leaveSuspect()
        try writeToActive(&batches)
    }

    /// Nothing new goes into a file whose disk has failed, or that is not there any more.
    private mutating func leaveSuspect() throws(SpoolError) {
        while manifest[active]?.isSuspect ?? true, !roll() {
            // A new file may only want room.
            if shrinkRetained() { continue }
            throw SpoolError(
                files.freeSpace < configuration.emptySegmentBytes ? .full : .inputOutput, file: files.directory,
                "there is no sound segment to write to and no new one can be made")
        }
    }

    private mutating func writeToActive(_ batches: inout [StoredBatch]) throws(SpoolError) {
        for offset in batches.indices {
            batches[offset].header.position = SpoolPosition(segment: active, row: nextRow + Int64(offset))
        }
        let index = active
        guard let segment = use(index) else {
            throw SpoolError(.inputOutput, file: files.directory, "there is no segment to write to")
        }
        let settlements = book.withLock { $0.takeUnsaved(of: index) }
        do {
            try segment.write(batches, progress: progress(settlements, of: index)) { pass(.acceptInCommit) }
            committedAt = time.now
            book.withLock { $0.saved(settlements, in: index) }
            // What is written to a file that somebody has deleted is gone with this process.
            guard let size = segment.sizeInPlace else {
                throw SpoolError(.inputOutput, file: segment.path, "the file was deleted while it was written")
            }
            sizes[index] = size
        } catch {
            book.withLock { $0.notSaved(settlements, in: index) }
            throw self.error(error, segment: index, while: "storing a batch")
        }
    }

    /// From now on nothing behind the last accepted row counts in the active segment. That is durable before the same
    /// batches are stored elsewhere, so none can be found twice.
    private mutating func suspectActive() throws(SpoolError) {
        manifest[active]?.rows = nextRow - 1
        manifest[active]?.isSuspect = true
        try writeManifest()
    }

    func progress(_ settlements: [Int64: SpoolBook.Settlement], of index: Int64) -> [SpoolProgress] {
        let at = time.wallClock
        return book.withLock { book in
            settlements.map { row, settlement in
                let attempts = book.attempts(of: SpoolPosition(segment: index, row: row))
                return SpoolProgress(row: row, settlement: settlement, at: at, attempts: attempts)
            }
        }
    }

    /// Writes what the database has confirmed into the files. What cannot be written stays in memory: losing it only
    /// means that batches are sent again.
    ///
    /// - Parameter spared: the segment that hears of it with the next commit.
    mutating func saveProgress(except spared: Int64? = nil) {
        for index in book.withLock(\.unsaved) where index != spared {
            guard manifest[index]?.isSuspect == false, let segment = use(index) else { continue }
            let settlements = book.withLock { $0.takeUnsaved(of: index) }
            do {
                pass(.progressBeforeSave)
                try segment.write([], progress: progress(settlements, of: index)) { pass(.progressInSave) }
                pass(.progressAfterSave)
                sizes[index] = segment.size
                book.withLock { $0.saved(settlements, in: index) }
            } catch {
                book.withLock { $0.notSaved(settlements, in: index) }
                let error = self.error(error, segment: index, while: "noting what has landed")
                if error.code == .full { makeRoomForProgress() } else { suspect(index, because: error) }
            }
        }
    }
}

/// What shares a commit: appends of one machine and kind become one batch.
struct SpoolGroup: Sendable {
    private(set) var batches: [EncodedRecords] = []
    /// For every append, in order, the batch that it is in.
    private(set) var batchOfAppend: [Int] = []

    /// - Parameter mergedRecords: how many records a batch may have that is made of several appends.
    init(_ appends: [EncodedRecords], mergedRecords: Int) {
        var open: [BatchKind: Int] = [:]
        for append in appends {
            let kind = BatchKind(machine: append.machine, format: append.format)
            if let batch = open[kind], batches[batch].records + append.records <= mergedRecords {
                batches[batch].join(append)
                batchOfAppend.append(batch)
            } else {
                open[kind] = batches.count
                batchOfAppend.append(batches.count)
                batches.append(append)
            }
        }
    }
}
