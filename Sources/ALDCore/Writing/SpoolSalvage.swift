/// What can be read of a damaged segment, and what cannot.
struct SpoolSalvage {
    /// Rows 1 to this one were accepted.
    private(set) var rows: Int64 = 0
    private(set) var content: [BatchRange] = []
    private(set) var lostRows: [Int64] = []
    /// The batches in them, as far as they can be named.
    private(set) var lost: [BatchRange] = []
    /// Batches of the last commit that cannot be read: whether it was ever completed is not known.
    private(set) var doubtful: [BatchRange] = []
    /// Batches that were saved and still wait.
    private(set) var waiting: [BatchHeader] = []

    private let segment: (any SegmentFile)?
    private let carved: (batches: [Int64: StoredBatch], progress: [Int64: SpoolProgress])
    private var progress: [Int64: SpoolProgress]
    /// Up to here every row was accepted.
    private let certainRows: Int64

    /// What is copied at a time, in bytes.
    private static let copyBytes = 1 << 20

    /// - Parameters:
    ///   - segment: the connection, when the file can be opened.
    ///   - entry: says how many rows were accepted, when that is known.
    ///   - settlements: what the file has not been told yet.
    init(
        _ segment: (any SegmentFile)?, remains: SegmentCarver?, entry: SpoolManifest.Segment,
        settlements: [Int64: SpoolProgress]
    ) {
        self.segment = segment
        carved = remains?.contents() ?? ([:], [:])
        progress = carved.progress
        var last = remains?.lastRow ?? 0
        var certain = max(remains?.lastCertainRow ?? 0, entry.rows ?? 0)
        do {
            for entry in try segment?.progress() ?? [] { progress[entry.row] = entry }
        } catch {
            // Damaged, too: its batches are sent once more and recognised.
        }
        do {
            certain = max(certain, try segment?.extent() ?? 0)
        } catch {
            // Then what is found says how many there were.
        }
        certainRows = certain
        last = max(last, certain)
        progress.merge(settlements) { $1 }
        // Behind this row nothing was accepted, whatever may be found there.
        rows = entry.isSuspect ? entry.rows ?? last : last
        forgetUnacceptedCuts(through: last)
        nameBatches(entry.content)
    }

    /// A cut counts as a whole: where the new batches were not accepted, the one that was to be cut still waits.
    ///
    /// 1. The disk fails under the commit of a cut, with all of it or a part in the log. 2. The file is suspect: nothing
    /// behind the rows that were accepted counts. 3. The process ends, or goes on. 4. Whoever replaces the file finds the
    /// note that the old batch was cut, and not the new ones.
    private mutating func forgetUnacceptedCuts(through last: Int64) {
        let cut = progress.values.filter { $0.settlement == .recut && $0.row <= rows }.map(\.row)
        guard !cut.isEmpty else { return }
        let accepted = rows > 0 ? (1...rows).map(header) : []
        let parents = Set(accepted.compactMap { $0?.parent })
        let dropped = Set((rows..<max(rows, last)).compactMap { header($0 + 1)?.parent })
        let isWhole = !accepted.contains(nil)
        for row in cut {
            guard let id = accepted[Int(row) - 1]?.id, !parents.contains(id) else { continue }
            // When something is damaged, it may be what it was cut into.
            if isWhole || dropped.contains(id) { progress[row] = nil }
        }
    }

    private func header(_ row: Int64) -> BatchHeader? { (segment?.salvage(row) ?? carved.batches[row])?.header }

    /// By row, as far as the manifest knows.
    private var names: [BatchID] = []

    private mutating func nameBatches(_ content: [BatchRange]) {
        for range in content where range.first <= range.last && names.count < rows {
            let count = min(rows - Int64(names.count), range.last - range.first + 1)
            for number in 0..<count { names.append(BatchID(origin: range.origin, number: range.first + number)) }
        }
    }

    /// Whether something is gone that was accepted.
    var hasCertainLoss: Bool { lostRows.contains { $0 <= certainRows } }

    /// Writes everything that can be read to `copy`, with the rows that are lost noted there.
    mutating func write(to copy: any SegmentFile, at now: Timestamp) throws {
        var group: [StoredBatch] = []
        var bytes = 0
        var previous: BatchID?
        for row in stride(from: 1, through: rows, by: 1) {
            let known = progress[row]
            if let batch = segment?.salvage(row) ?? carved.batches[row] {
                group.append(batch)
                bytes += batch.payload.count
                previous = batch.header.id
                BatchRange.add(batch.header.id, to: &content)
                if (known?.settlement ?? .waiting) == .waiting { waiting.append(batch.header) }
            } else {
                let name = names.indices.contains(Int(row) - 1) ? names[Int(row) - 1] : previous.map(Self.next)
                if known?.settlement != .lost {
                    lostRows.append(row)
                    if let name {
                        if row <= certainRows {
                            BatchRange.add(name, to: &lost)
                        } else {
                            BatchRange.add(name, to: &doubtful)
                        }
                    }
                }
                previous = name
                if let name { BatchRange.add(name, to: &content) }
                progress[row] = SpoolProgress(row: row, settlement: .lost, at: now, attempts: 0)
            }
            if bytes >= Self.copyBytes {
                try copy.write(group, progress: [])
                (group, bytes) = ([], 0)
            }
        }
        try copy.write(group, progress: progress.values.filter { $0.row <= rows }, extent: rows, beforeCommit: {})
    }

    /// Batches of one segment mostly follow each other.
    private static func next(_ id: BatchID) -> BatchID { BatchID(origin: id.origin, number: id.number + 1) }
}
