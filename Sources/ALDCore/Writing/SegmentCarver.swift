import Foundation

/// Reads the batches of a damaged segment without SQLite: every leaf page that can be recognised, in the database and
/// in its log, whatever became of the pages that lead there.
///
/// The layout is that of SQLite's documentation, "Database File Format", sections 1.6, 2.1 and 4. Nothing that is read is
/// believed: only what matches the checksum and the digest that it was accepted with counts.
struct SegmentCarver {
    /// A page image: where it lies.
    private struct Place {
        var inLog: Bool
        var offset: Int
    }

    let segment: Int64
    private var database = Data()
    private var log: Data
    /// The newest image of each page in the log.
    private var inLog: [UInt32: Int] = [:]
    private var frames: [Int] = []
    /// The frames of the log's last commit begin here. Each commit is synced before the next one begins: what is
    /// incomplete here may never have been accepted, what is incomplete before was.
    private var lastCommit = 0

    static let pageSize = SpoolSegment.pageSize
    private static let logHeader = 32
    private static let frameHeader = 24
    private static let leafOfTable: UInt8 = 0x0D

    /// Takes the log alone into memory; `nil` when there is none.
    init?(logOf path: String, segment: Int64) {
        guard let log = FileManager.default.contents(atPath: path + "-wal"), log.count > Self.logHeader else {
            return nil
        }
        self.segment = segment
        self.log = log
        readFrames()
    }

    /// Everything of the file at `path`, with a log that was read before or, when there is none, the one beside it.
    init(path: String, log: SegmentCarver?, segment: Int64) {
        self = log ?? SegmentCarver(logOf: path, segment: segment) ?? SegmentCarver(segment: segment)
        database = FileManager.default.contents(atPath: path) ?? Data()
    }

    private init(segment: Int64) {
        self.segment = segment
        log = Data()
    }

    /// Frames of the log's present generation: those that bear the salts of its header, or, when that is damaged, of the
    /// first frame. Also those behind damage, where SQLite stops.
    private mutating func readFrames() {
        let offsets = stride(
            from: Self.logHeader, through: log.count - Self.frameHeader - Self.pageSize,
            by: Self.frameHeader + Self.pageSize)
        func salts(at offset: Int) -> Data { log[log.startIndex + offset..<log.startIndex + offset + 8] }
        let announced = salts(at: 16)
        let generation =
            offsets.contains { salts(at: $0 + 8) == announced }
            ? announced : offsets.first { _ in true }.map { salts(at: $0 + 8) }
        for offset in offsets where salts(at: offset + 8) == generation {
            inLog[Self.number(log, at: offset)] = offset + Self.frameHeader
            frames.append(offset + Self.frameHeader)
        }
        let ends = frames.indices.filter { Self.number(log, at: frames[$0] - Self.frameHeader + 4) != 0 }
        let isOpen = ends.last.map { $0 + 1 < frames.count } ?? true
        lastCommit = (isOpen ? ends.last : ends.dropLast().last).map { $0 + 1 } ?? 0
    }

    private static func number(_ data: Data, at offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 << 8 | UInt32(data[data.startIndex + offset + $1]) }
    }

    /// The last row of which there is a trace: its header, or the file's own account of its rows. 0 when there is none.
    var lastRow: Int64 { lastRow(frames: frames[...]) }

    /// The last row that was certainly accepted, as far as this file tells.
    var lastCertainRow: Int64 { lastRow(frames: frames.prefix(lastCommit)) }

    private func lastRow(frames: ArraySlice<Int>) -> Int64 {
        var last: Int64 = 0
        forEachRecord(frames: frames) { row, fields in
            last = max(last, Self.header(row, fields, segment: segment)?.position.row ?? 0, Self.extent(fields) ?? 0)
        }
        return last
    }

    /// All batches that are intact, by row, and what is known of their progress.
    func contents() -> (batches: [Int64: StoredBatch], progress: [Int64: SpoolProgress]) {
        var batches: [Int64: StoredBatch] = [:]
        var progress: [Int64: SpoolProgress] = [:]
        forEachRecord(frames: frames[...]) { row, fields in
            if let header = Self.header(row, fields, segment: segment), case .bytes(let payload)? = fields.last {
                let batch = StoredBatch(header: header, payload: payload)
                if batch.isIntact { batches[row] = batch }
            } else if let entry = Self.progress(row, fields) {
                progress[row] = entry
            }
        }
        return (batches, progress)
    }

    // MARK: Pages

    private func forEachRecord(frames: ArraySlice<Int>, _ body: (Int64, [Field]) -> Void) {
        for page in stride(from: 0, to: database.count - Self.pageSize + 1, by: Self.pageSize) {
            forEachRecord(in: bytes(of: Place(inLog: false, offset: page)), isFirst: page == 0, body)
        }
        // Later frames are newer: what they say of a row replaces what was found before.
        for frame in frames {
            let isFirst = Self.number(log, at: frame - Self.frameHeader) == 1
            forEachRecord(in: bytes(of: Place(inLog: true, offset: frame)), isFirst: isFirst, body)
        }
    }

    private func bytes(of place: Place) -> [UInt8] {
        let data = place.inLog ? log : database
        return [UInt8](data[data.startIndex + place.offset..<data.startIndex + place.offset + Self.pageSize])
    }

    private func page(_ number: UInt32) -> [UInt8]? {
        if let offset = inLog[number] { return bytes(of: Place(inLog: true, offset: offset)) }
        let offset = (Int(number) - 1) * Self.pageSize
        return number > 0 && offset + Self.pageSize <= database.count
            ? bytes(of: Place(inLog: false, offset: offset)) : nil
    }

    private func forEachRecord(in page: [UInt8], isFirst: Bool, _ body: (Int64, [Field]) -> Void) {
        let header = isFirst ? 100 : 0
        guard page[header] == Self.leafOfTable else { return }
        let cells = Int(page[header + 3]) << 8 | Int(page[header + 4])
        for cell in 0..<cells {
            let pointer = header + 8 + 2 * cell
            guard pointer + 1 < page.count else { return }
            var reader = RecordReader(page, at: Int(page[pointer]) << 8 | Int(page[pointer + 1]))
            guard let length = reader.varint(), let row = reader.varint(), length > 0,
                let payload = payload(of: Int(clamping: length), in: reader)
            else { continue }
            var record = RecordReader(payload, at: 0)
            if let fields = record.fields() { body(row, fields) }
        }
    }

    /// Follows the chain of overflow pages.
    private func payload(of length: Int, in reader: RecordReader) -> [UInt8]? {
        let usable = Self.pageSize
        guard length <= 64 << 20 else { return nil }
        var reader = reader
        let most = usable - 35
        if length <= most { return reader.take(length) }
        let least = (usable - 12) * 32 / 255 - 23
        let ideal = least + (length - least) % (usable - 4)
        guard var payload = reader.take(ideal <= most ? ideal : least), let pointer = reader.take(4) else { return nil }
        var next = Self.number(Data(pointer), at: 0)
        while payload.count < length {
            guard next != 0, let page = page(next) else { return nil }
            next = Self.number(Data(page[0..<4]), at: 0)
            payload += page[4..<min(usable, 4 + length - payload.count)]
        }
        return payload
    }
}
