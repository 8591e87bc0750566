import Foundation
import Logging
import Synchronization

/// The book, where the spool's thread and everybody else meet.
final class SharedBook: Sendable {
    private let book = Mutex(SpoolBook())

    func withLock<Value>(_ body: (inout SpoolBook) throws -> Value) rethrows -> Value {
        try book.withLock { try body(&$0) }
    }
}

/// Everything that the spool's thread owns: the files and what is done to them.
struct SpoolEngine: Sendable {
    let files: SpoolFiles
    let configuration: Spool.Configuration
    let origin: Int64
    let time: any TimeSource
    let logger: Logger
    let book: SharedBook

    var manifest: SpoolManifest
    var segments: [Int64: any SegmentFile] = [:]
    /// What each file takes, in bytes.
    var sizes: [Int64: Int64] = [:]
    /// What was set aside takes, in bytes, as of the last status: people delete it when they have looked at it.
    var damagedBytes: Int64 = 0
    /// The segments whose connections may keep pages in memory, the last used one last.
    private(set) var warm: [Int64] = []
    /// The segment that takes new batches.
    var active: Int64 = 0
    var activeSince: MonotonicInstant
    /// When something was last written to a segment that takes new batches.
    var committedAt: MonotonicInstant
    /// The row that the next batch in it gets.
    var nextRow: Int64 = 1
    /// A segment that takes its space already and replaces the active one without needing any.
    var spare: Int64?
    var nextNumber: Int64 = 1
    /// The same for parts of batches that are cut.
    var nextPart: Int64 = 1
    var hasBallast = false
    var level = SpoolLevel.green
    var rate: SpoolRate
    var statusWrittenAt: MonotonicInstant?
    /// Of each machine, the instant that was accounted for last.
    var recorded: [Int32: SpoolManifest.Recorded] = [:]
    /// When a repair or a reserve that failed for want of space is tried again.
    var upkeepAfter: MonotonicInstant

    static let maximumWarm = 4
    /// When nothing is accepted for so long, what has landed is noted with a commit of its own and not with the next one:
    /// who records once a second has one sync a second and not two.
    static let commitPause = Duration.seconds(2)
    static let upkeepPause = Duration.seconds(10)
    /// One more than a turn can add.
    private static let releasesPerTurn = 2

    init(
        files: SpoolFiles, manifest: SpoolManifest, configuration: Spool.Configuration, origin: Int64,
        time: any TimeSource, logger: Logger
    ) {
        self.files = files
        self.manifest = manifest
        self.configuration = configuration
        self.origin = origin
        self.time = time
        self.logger = logger
        book = SharedBook()
        (activeSince, committedAt) = (time.now, time.now)
        rate = SpoolRate(now: time.now)
        upkeepAfter = time.now
    }

    /// One turn: whoever waits for a commit first.
    mutating func perform(_ work: SpoolThread.Work) {
        let before = active
        if !work.appends.isEmpty { commit(work.appends) }
        for job in work.jobs { job(&self) }
        if book.withLock(\.unsavedCount) >= configuration.unsavedAcknowledgements { saveProgress() }
        repairSuspects()
        // Who is asked for commits all the time has no idle moment for it.
        if active != before { releaseRetained(atMost: Self.releasesPerTurn) }
        prepareSpare()
        writeStatus(force: false)
    }

    /// What can wait until nobody else does.
    ///
    /// - Parameter mayWait: whether the next commit may take along what has landed of the segment that it goes to.
    mutating func tidyUp(mayWait: Bool = false) {
        let waits = mayWait && time.now - committedAt < Self.commitPause
        if book.withLock(\.unsavedCount) > 0 { saveProgress(except: waits ? active : nil) }
        repairSuspects()
        if isActiveTooOld { roll() }
        releaseRetained()
        prepareSpare()
        prepareBallast()
        writeStatus(force: false)
    }

    /// Whether some file has not been told yet what has landed.
    var owesProgress: Bool { book.withLock(\.unsavedCount) > 0 }

    mutating func close() {
        pass(.closeBefore)
        saveProgress()
        saveManifest("closing")
        writeStatus(force: true, isClosed: true)
        for (index, segment) in segments {
            do {
                try segment.close()
            } catch {
                logger.error(
                    "a segment of the spool did not close", metadata: ["segment": "\(index)", "error": "\(error)"])
            }
        }
        files.release()
        pass(.closeAfter)
    }

    /// Long outages fill hundreds of files. Each stays open, so that nobody can delete it under us, and only those in use
    /// have more than that in memory.
    ///
    /// - Returns: the segment, which is used now.
    mutating func use(_ index: Int64) -> (any SegmentFile)? {
        if warm.last != index {
            warm.removeAll { $0 == index }
            warm.append(index)
            if warm.count > Self.maximumWarm { segments[warm.removeFirst()]?.releaseMemory() }
        }
        return segments[index]
    }

    func pass(_ point: FailPoint) { configuration.failPoints.pass(point) }

    /// What the spool takes, evidence of damage included.
    var usedBytes: Int64 { sizes.values.reduce(damagedBytes, +) }

    func error(_ error: any Error, segment index: Int64, while action: String) -> SpoolError {
        SpoolError(error, file: segments[index]?.path ?? files.directory, while: action)
    }

    /// Writes the manifest; a failure is reported and leaves the old one, which only knows less.
    @discardableResult mutating func saveManifest(_ occasion: String) -> Bool {
        do throws(SpoolError) {
            try writeManifest()
            return true
        } catch {
            logger.error(
                "the spool's manifest was not written", metadata: ["while": "\(occasion)", "error": "\(error)"])
            return false
        }
    }

    mutating func writeManifest() throws(SpoolError) {
        do {
            try files.replace(files.manifest, by: manifest.stored(), durably: true)
        } catch {
            throw SpoolError(error, file: files.manifest, while: "writing")
        }
    }
}
