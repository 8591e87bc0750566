import Foundation
import Logging

/// What is found at the start.
extension SpoolEngine {
    /// Takes the directory and everything in it.
    static func open(
        directory: String, configuration: Spool.Configuration, random: inout some RandomNumberGenerator,
        time: any TimeSource, logger: Logger
    ) throws(SpoolError) -> SpoolEngine {
        let files = try SpoolFiles(directory: directory, disk: configuration.disk)
        do {
            let manifest = try readManifest(files, logger: logger)
            let taken = Set(manifest.segments.flatMap(\.content).map(\.origin) + [manifest.origin])
            var origin = Int64.random(in: 1...Int64.max, using: &random)
            while taken.contains(origin) { origin = Int64.random(in: 1...Int64.max, using: &random) }
            var engine = SpoolEngine(
                files: files, manifest: manifest, configuration: configuration, origin: origin, time: time,
                logger: logger)
            try engine.open()
            return engine
        } catch {
            files.release()
            throw SpoolError(error, file: directory, while: "opening")
        }
    }

    private static func readManifest(_ files: SpoolFiles, logger: Logger) throws -> SpoolManifest {
        do {
            guard let content = try files.contents(of: files.manifest) else { return SpoolManifest() }
            let manifest = try SpoolManifest(stored: content)
            guard manifest.version <= SpoolManifest.currentVersion else {
                throw SpoolError(
                    .corrupted, file: files.manifest,
                    "it is of version \(manifest.version), this program knows \(SpoolManifest.currentVersion)")
            }
            return manifest
        } catch let error as SpoolError {
            throw error
        } catch {
            // Everything but the proof of what is missing can be found again in the segments themselves.
            logger.error("the spool's manifest cannot be read and is made anew", metadata: ["error": "\(error)"])
            _ = files.setAside(files.manifest)
            return SpoolManifest()
        }
    }

    private mutating func open() throws {
        let plan = manifest.plan(files: try files.segments())
        // A number is never used again, also when the manifest was lost.
        manifest.nextIndex = max(manifest.nextIndex, (plan.open.map(\.index).max() ?? 0) + 1)
        for name in plan.unfinished { files.deleteDatabase(files.directory + "/" + name) }
        for name in plan.superseded { _ = files.setAside(files.directory + "/" + name) }
        for segment in plan.missing { reportMissing(segment) }
        for known in manifest.recorded ?? [] { recorded[known.machine] = known }
        for segment in plan.open {
            manifest[segment.index] = segment
            try load(segment)
        }
        try takeOverLegacy()
        try chooseActive()
        // The origin is durable before anything bears it.
        pass(.openedBeforeOrigin)
        manifest.begin(origin: origin)
        try writeManifest()
        pass(.openedAfterOrigin)
        damagedBytes = files.damagedBytes
        prepareSpare()
        prepareBallast()
        writeStatus(force: true)
    }

    private mutating func reportMissing(_ segment: SpoolManifest.Segment) {
        report(
            SpoolLoss(
                file: segment.name, reason: "the file is missing", batches: segment.content,
                foundAt: time.wallClock.microseconds))
        manifest[segment.index] = nil
    }

    mutating func report(_ loss: SpoolLoss) {
        manifest.add(loss)
        logger.log(
            level: loss.isCertain ? .critical : .warning, "batches cannot be read", metadata: ["loss": "\(loss)"])
    }

    /// The last segment is written on when it is sound and has room; otherwise a new one is made.
    private mutating func chooseActive() throws {
        if let last = manifest.segments.last, !last.isSuspect, segments[last.index] != nil,
            sizes[last.index, default: 0] < configuration.segmentBytes
        {
            active = last.index
        } else {
            active = try makeSegment()
        }
        nextRow = book.withLock { ($0[active]?.rows ?? 0) + 1 }
        manifest[active]?.isUsed = true
        manifest[active]?.rows = nil
    }

    /// Opens a segment and enters what is in it; what is damaged is repaired first.
    private mutating func load(_ entry: SpoolManifest.Segment) throws {
        // A log is there only when the last process did not close the file. SQLite reads it up to the first damage and
        // then forgets the rest, so it is read here before.
        let remains = SegmentCarver(logOf: files.path(entry), segment: entry.index)
        if !entry.isSuspect, let segment = try openSound(entry, remains: remains) {
            segments[entry.index] = segment
        } else {
            try repair(entry.index, log: remains)
        }
        guard let segment = use(entry.index) else { return }
        sizes[entry.index] = segment.size
        try enter(segment)
    }

    /// - Returns: `nil` when the file needs repair.
    private func openSound(_ entry: SpoolManifest.Segment, remains: SegmentCarver?) throws -> (any SegmentFile)? {
        let segment: any SegmentFile
        do {
            segment = try files.segment(index: entry.index, path: files.path(entry))
        } catch {
            let error = SpoolError(error, file: files.path(entry), while: "opening")
            guard error.code == .corrupted || error.code == .inputOutput else { throw error }
            return nil
        }
        do {
            if try isSound(segment, expectedRows: max(entry.rows ?? 0, remains?.lastRow ?? 0)) { return segment }
        } catch {
            logger.error("a segment cannot be read", metadata: ["segment": "\(entry.name)", "error": "\(error)"])
        }
        try segment.close()
        return nil
    }

    /// Whether every row that was accepted is there with an intact header, or known to be lost.
    private func isSound(_ segment: any SegmentFile, expectedRows: Int64) throws -> Bool {
        let lost = Set(try segment.progress().filter { $0.settlement == .lost }.map(\.row))
        var last: Int64 = 0
        var isSound = true
        func expect(_ rows: Range<Int64>) {
            // Many missing rows need no look at each.
            isSound = isSound && rows.count <= lost.count && rows.allSatisfy(lost.contains)
        }
        try segment.forEachHeader { header in
            guard header.position.row > last else {
                // A page lies where another one should: the disk has written it to a wrong place.
                isSound = false
                return false
            }
            expect(last + 1..<header.position.row)
            last = header.position.row
            return isSound
        }
        if isSound { expect(last + 1..<max(last, expectedRows, try segment.extent()) + 1) }
        return isSound
    }

    /// Enters the content of a sound segment into the book and the manifest.
    private mutating func enter(_ segment: any SegmentFile) throws {
        let progress = Dictionary(try segment.progress().map { ($0.row, $0) }) { $1 }
        var content: [BatchRange] = []
        var shelf = SpoolBook.Shelf(index: segment.index)
        let lastSettled = progress.values.map(\.at).max()
        let credit = lastSettled.map { configuration.window.credit(lastSettledAt: $0, openedAt: time.wallClock) }
        shelf.settledSince = time.now - (credit ?? .zero)
        for (row, entry) in progress where entry.attempts > 0 && entry.settlement == .waiting {
            shelf.attempts[row] = entry.attempts
        }
        book.withLock { $0[segment.index] = shelf }
        try segment.forEachHeader { header in
            BatchRange.add(header.id, to: &content)
            noteRecorded(header)
            let settlement = progress[header.position.row]?.settlement ?? .waiting
            book.withLock { $0.found(header, waits: settlement == .waiting) }
            return true
        }
        let extent = try segment.extent()
        book.withLock { $0.extend(segment.index, to: extent) }
        manifest[segment.index]?.content = content
        manifest[segment.index]?.isUsed = extent > 0
        manifest[segment.index]?.rows = extent
    }
}
