public import ALDCore
import Synchronization

/// The disk under the spool of a simulated world: what every commit has made durable, in memory.
///
/// It is a model and not SQLite, and keeps what the spool relies on: a commit is there as a whole or not at all, and a
/// crash leaves every commit that was. What SQLite, a file system and a disk do beyond that is shown in real files, by the
/// spool's own tests and by processes that are killed.
///
/// ``WorldNode/spool(in:on:configuration:random:logger:)`` puts a spool on it.
public final class SimulatedDisk: SegmentDisk {
    fileprivate struct Content: Sendable {
        /// In order of their rows.
        var batches: [StoredBatch] = []
        var progress: [Int64: SpoolProgress] = [:]
        var extent: Int64 = 0
        var bytes: Int64 = 0

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
    }

    private let now = Mutex(Image())

    public init() {}

    /// Bytes that it still has for us: it never fills up.
    package let freeSpace: Int64 = 1 << 40

    /// What a crash in this moment leaves.
    public var image: Image { now.withLock(\.self) }

    /// The disk is as it was then.
    public func restore(_ image: Image) { now.withLock { $0 = image } }

    package func names(in directory: String) -> [String] {
        let paths = now.withLock { $0.contents.keys.sorted() + $0.smallFiles.keys.sorted() }
        return paths.filter { $0.hasPrefix(directory + "/") }.map { String($0.dropFirst(directory.count + 1)) }
    }

    package func segment(index: Int64, path: String) -> any SegmentFile {
        now.withLock { now in
            if now.contents[path] == nil { now.contents[path] = Content() }
        }
        return SimulatedSegment(index: index, path: path, disk: self)
    }

    package func contents(of path: String) -> [UInt8]? { now.withLock { $0.smallFiles[path] } }

    package func replace(_ path: String, by content: [UInt8]) { now.withLock { $0.smallFiles[path] = content } }

    package func delete(_ path: String) {
        now.withLock { ($0.contents[path], $0.smallFiles[path]) = (nil, nil) }
    }

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
    private static let emptyBytes: Int64 = 40_960

    var size: Int64 { sizeInPlace ?? 0 }
    var sizeInPlace: Int64? { disk.content(path).map { $0.bytes + Self.emptyBytes } }

    func write(_ batches: [StoredBatch], progress: [SpoolProgress], extent: Int64?, beforeCommit: () -> Void) throws {
        beforeCommit()
        try disk.change(path) { content in
            for batch in batches {
                guard batch.position.row > content.batches.last?.position.row ?? 0 else {
                    throw SpoolError(.inputOutput, file: path, "row \(batch.position.row) is there already")
                }
                content.batches.append(batch)
                content.bytes += Int64(batch.payload.count) + Self.overhead
            }
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
