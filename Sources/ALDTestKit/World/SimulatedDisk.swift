public import ALDCore
import Synchronization

/// The disk under the spool of a simulated world: what every commit has made durable, in memory.
///
/// It is a model and not SQLite, and keeps what the spool relies on: a commit is there as a whole or not at all, and a
/// crash leaves every commit that was; what does not fit is refused. What SQLite, a file system and a disk do beyond that
/// is shown in real files, by the spool's own tests and by processes that are killed.
///
/// ``WorldNode/spool(in:on:configuration:random:logger:)`` puts a spool on it.
public final class SimulatedDisk: SegmentDisk {
    fileprivate struct Content: Sendable {
        /// In order of their rows.
        var batches: [StoredBatch] = []
        var progress: [Int64: SpoolProgress] = [:]
        var extent: Int64 = 0
        var bytes = SimulatedSegment.emptyBytes

        /// The place of the first one at `row` or behind it.
        func place(of row: Int64) -> Int {
            var (low, high) = (0, batches.count)
            while low < high {
                let middle = (low + high) / 2
                if batches[middle].position.row < row { low = middle + 1 } else { high = middle }
            }
            return low
        }

        func batch(at row: Int64) -> StoredBatch? {
            let place = place(of: row)
            return place < batches.count && batches[place].position.row == row ? batches[place] : nil
        }
    }

    /// All that is on the disk in one moment.
    public struct Image: Sendable {
        /// Of the segments.
        fileprivate var contents: [String: Content] = [:]
        fileprivate var smallFiles: [String: [UInt8]] = [:]
        fileprivate var shortages = 0

        /// What the segments take, in bytes. The small files are small.
        fileprivate var used: Int64 { contents.values.reduce(0) { $0 + $1.bytes } }
    }

    private struct Space {
        var capacity = SimulatedDisk.plenty
        var used: Int64 = 0
        var shortages = 0

        var free: Int64 { max(0, capacity - used) }
    }

    /// More than any run needs, in bytes.
    public static let plenty: Int64 = 1 << 40

    private let now = Mutex(Image())
    private let space = Mutex(Space())

    private let swallows: Bool
    /// Told of what is deleted while there is no room.
    private let follower = Mutex<(@Sendable ([StoredBatch]) -> Void)?>(nil)

    public init() { swallows = false }

    init(bug: MachineDay.PlantedBug?) { swallows = bug == .swallowsWhatDoesNotFit }

    // MARK: Room

    /// What all segments together may take, in bytes: what others leave of it. Less than ``used`` is nothing unusual, and
    /// only means that there is no room. Defaults to ``plenty``.
    public var capacity: Int64 {
        get { space.withLock(\.capacity) }
        set { space.withLock { $0.capacity = newValue } }
    }

    /// What all segments together take, in bytes.
    public var used: Int64 { space.withLock(\.used) }

    /// How often it had no room for what was to be written, and how often something had to go because there was none.
    public var shortages: Int { space.withLock(\.shortages) }

    package var freeSpace: Int64 { swallows ? Self.plenty : space.withLock(\.free) }

    /// - Returns: whether it is to be written; always, but for a planted bug.
    /// - Throws: ``SpoolError/Code/full`` when there are not so many bytes.
    fileprivate func take(_ bytes: Int64, for path: String) throws(SpoolError) -> Bool {
        let isThere = space.withLock { space in
            guard bytes <= space.free else {
                space.shortages += 1
                return false
            }
            space.used += bytes
            return true
        }
        guard isThere || swallows else {
            throw SpoolError(.full, file: path, "no space left on the simulated disk for \(bytes) bytes")
        }
        return isThere
    }

    // MARK: Files

    /// What a crash in this moment leaves.
    public var image: Image {
        var image = now.withLock(\.self)
        image.shortages = shortages
        return image
    }

    /// The disk is as it was then, and has counted what it had counted.
    public func restore(_ image: Image) {
        now.withLock { $0 = image }
        space.withLock { ($0.used, $0.shortages) = (image.used, image.shortages) }
    }

    package func names(in directory: String) -> [String] {
        let paths = now.withLock { $0.contents.keys.sorted() + $0.smallFiles.keys.sorted() }
        return paths.filter { $0.hasPrefix(directory + "/") }.map { String($0.dropFirst(directory.count + 1)) }
    }

    package func segment(index: Int64, path: String) throws -> any SegmentFile {
        if content(path) == nil {
            _ = try take(SimulatedSegment.emptyBytes, for: path)
            now.withLock { $0.contents[path] = Content() }
        }
        return SimulatedSegment(index: index, path: path, disk: self)
    }

    package func contents(of path: String) -> [UInt8]? { now.withLock { $0.smallFiles[path] } }

    package func replace(_ path: String, by content: [UInt8]) { now.withLock { $0.smallFiles[path] = content } }

    package func delete(_ path: String) {
        let content = now.withLock { now in
            defer { (now.contents[path], now.smallFiles[path]) = (nil, nil) }
            return now.contents[path]
        }
        guard let content else { return }
        let isShort = space.withLock { space in
            let isShort = space.used > space.capacity
            if isShort { space.shortages += 1 }
            space.used -= content.bytes
            return isShort
        }
        if isShort, let follower = follower.withLock(\.self) { follower(content.batches) }
    }

    /// - Parameter follow: told of the batches of each file that is deleted while there is no room.
    func onShortage(_ follow: @escaping @Sendable ([StoredBatch]) -> Void) { follower.withLock { $0 = follow } }

    fileprivate func content(_ path: String) -> Content? { now.withLock { $0.contents[path] } }

    fileprivate func change(_ path: String, _ body: (inout Content) throws -> Void) throws {
        try now.withLock { now in
            // What is written to a file without a name is gone.
            guard now.contents[path] != nil else { return }
            try body(&now.contents[path, default: Content()])
        }
    }
}

/// One segment on a ``SimulatedDisk``.
struct SimulatedSegment: SegmentFile {
    let index: Int64
    let path: String
    fileprivate let disk: SimulatedDisk

    /// What a batch takes beside its payload, about.
    private static let overhead: Int64 = 300
    fileprivate static let emptyBytes: Int64 = 40_960
    /// What it takes to note what became of a batch, about.
    private static let progressBytes: Int64 = 32

    var size: Int64 { sizeInPlace ?? 0 }
    var sizeInPlace: Int64? { disk.content(path).map(\.bytes) }

    func write(_ batches: [StoredBatch], progress: [SpoolProgress], extent: Int64?, beforeCommit: () -> Void) throws {
        beforeCommit()
        try disk.change(path) { content in
            var last = content.batches.last?.position.row ?? 0
            for batch in batches {
                guard batch.position.row > last else {
                    throw SpoolError(.inputOutput, file: path, "row \(batch.position.row) is there already")
                }
                last = batch.position.row
            }
            let news = progress.count { content.progress[$0.row] == nil }
            let bytes = batches.reduce(Int64(news) * Self.progressBytes) { sum, batch in
                sum + Int64(batch.payload.count) + Self.overhead
            }
            guard try disk.take(bytes, for: path) else { return }
            content.bytes += bytes
            content.batches += batches
            for entry in progress { content.progress[entry.row] = entry }
            content.extent = extent ?? batches.last?.position.row ?? content.extent
        }
    }

    func checkpoint() {}
    func reserve(bytes: Int) {}
    func releaseMemory() {}
    func close() {}

    func extent() -> Int64 { disk.content(path)?.extent ?? 0 }

    func progress(of rows: ClosedRange<Int64>) -> [SpoolProgress] {
        (disk.content(path)?.progress.values.filter { rows.contains($0.row) } ?? []).sorted { $0.row < $1.row }
    }

    func forEachHeader(from first: Int64, _ body: (BatchHeader) throws -> Bool) rethrows {
        guard let content = disk.content(path) else { return }
        for batch in content.batches[content.place(of: first)...] {
            guard try body(batch.header) else { return }
        }
    }

    func header(at row: Int64) -> BatchHeader? { salvage(row)?.header }

    func forEachBatch(
        in rows: Range<Int64>, like example: BatchHeader?, excluding kinds: Set<BatchKind>,
        _ body: (StoredBatch) -> SegmentReading
    ) throws {
        guard let content = disk.content(path) else { throw SegmentDamage(row: rows.lowerBound) }
        var kind = example?.kind
        var next = rows.lowerBound
        for batch in content.batches[content.place(of: rows.lowerBound)...] {
            guard batch.position.row < rows.upperBound else { break }
            if let kind, kind != batch.header.kind { continue }
            if kind == nil, kinds.contains(batch.header.kind) { continue }
            if kind == nil, kinds.isEmpty, batch.position.row != next { break }
            next = batch.position.row + 1
            switch body(batch) {
            case .goOn: break
            case .restrict(let header): kind = header.kind
            case .stop: return
            }
        }
        if kind == nil, kinds.isEmpty, next < rows.upperBound { throw SegmentDamage(row: next) }
    }

    func salvage(_ row: Int64) -> StoredBatch? { disk.content(path)?.batch(at: row) }
}
