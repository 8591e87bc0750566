/// What the spool knows of its files besides what is in them, so that a file that is gone or damaged is noticed and its
/// content can be named.
struct SpoolManifest: Codable, Hashable, Sendable {
    static let currentVersion = 1

    struct Segment: Codable, Hashable, Sendable {
        var index: Int64
        /// Rises when the file is replaced by one with what could be saved of it.
        var revision = 0
        /// What is in it; may lag behind in the segment that is being written.
        var content: [BatchRange] = []
        /// The last row that was accepted in it; `nil` while it is being written.
        var rows: Int64?
        /// Whether batches may lie in it: not so for one that is kept in reserve.
        var isUsed = false
        /// The disk has failed under it: what lies behind `rows` was never accepted there.
        var isSuspect = false

        var name: String { SpoolFiles.segmentName(index: index, revision: revision) }
    }

    /// The instant of a machine that was accounted for last.
    struct Recorded: Codable, Hashable, Sendable {
        var machine: Int32
        /// Microseconds since 1970.
        var until: Int64
        /// In which segment: what another one says that has a lower index is older.
        var segment: Int64
    }

    var version = Self.currentVersion
    /// The origin of the process that wrote this.
    var origin: Int64 = 0
    var nextIndex: Int64 = 1
    var segments: [Segment] = []
    /// Everything that was ever found missing or damaged.
    var losses: [SpoolLoss] = []
    /// What was in files that were deleted after the database had confirmed it: for each origin the last batch. Absent
    /// in manifests of earlier versions.
    var released: [BatchRange]?
    /// The origins of the processes that have begun since a loss of unknown extent was found last: nothing of theirs can be
    /// in it. Absent when there was none.
    var originsSinceLoss: [Int64]?
    /// What was known of each machine when a file was deleted last, so that it is known also when no file is left that says
    /// so. Absent in manifests of earlier versions.
    var recorded: [Recorded]?

    subscript(index: Int64) -> Segment? {
        get { segments.first { $0.index == index } }
        set {
            guard let newValue else { return segments.removeAll { $0.index == index } }
            // What every commit does.
            if let place = segments.firstIndex(where: { $0.index == index }) { return segments[place] = newValue }
            segments.append(newValue)
            segments.sort { $0.index < $1.index }
            nextIndex = max(nextIndex, newValue.index + 1)
        }
    }

    /// More origins than a machine starts processes in years; of older ones the ledger's rows stay.
    static let maximumReleased = 1000

    /// Notes that the file of `segment` goes for good.
    mutating func release(_ segment: Segment) {
        var known = released ?? []
        for range in segment.content where !BatchCut.isOfParts(range.origin) {
            if let place = known.firstIndex(where: { $0.origin == range.origin }) {
                known[place].last = max(known[place].last, range.last)
            } else {
                known.append(range)
            }
        }
        released = known.suffix(Self.maximumReleased)
        self[segment.index] = nil
    }

    /// For each origin the number up to which no batch can ever be sent from here again: everything up to it was
    /// confirmed, and its file has been deleted. A batch that is missing or damaged may come back from a backup of the
    /// disk, so nothing behind it is forgotten.
    var forgotten: [BatchID] {
        let kept = segments.flatMap(\.content) + losses.flatMap(\.batches)
        // A loss of unknown extent may be of any origin that there was when it was found.
        let isUnknown = losses.contains { $0.batches.isEmpty }
        return (released ?? []).compactMap { range in
            if isUnknown, !(originsSinceLoss ?? []).contains(range.origin) { return nil }
            let first = kept.filter { $0.origin == range.origin }.map(\.first).min()
            let last = first.map { min(range.last, $0 - 1) } ?? range.last
            return last > 0 ? BatchID(origin: range.origin, number: last) : nil
        }
    }

    mutating func add(_ loss: SpoolLoss) {
        losses.append(loss)
        if loss.batches.isEmpty { originsSinceLoss = [] }
    }

    /// A process that has `origin` begins.
    mutating func begin(origin: Int64) {
        self.origin = origin
        guard losses.contains(where: { $0.batches.isEmpty }) else { return }
        originsSinceLoss = ((originsSinceLoss ?? []) + [origin]).suffix(Self.maximumReleased)
    }

    /// What opening does with the segment files that lie in the directory.
    struct Plan: Hashable {
        /// In order of their index.
        var open: [Segment] = []
        var missing: [Segment] = []
        /// Copies that were never finished: their originals are still there.
        var unfinished: [String] = []
        /// Originals of finished copies.
        var superseded: [String] = []
    }

    func plan(files: [(index: Int64, revision: Int)]) -> Plan {
        var plan = Plan()
        let found = Dictionary(grouping: files, by: \.index)
        for segment in segments where found[segment.index]?.contains(where: { $0.revision == segment.revision }) != true
        {
            if segment.isUsed { plan.missing.append(segment) }
        }
        for (index, revisions) in found.sorted(by: { $0.key < $1.key }) {
            // A file that the manifest does not name: the process ended between making it and noting it.
            let segment =
                self[index] ?? Segment(index: index, revision: revisions.map(\.revision).min() ?? 0, isUsed: true)
            for file in revisions {
                let name = SpoolFiles.segmentName(index: index, revision: file.revision)
                if file.revision == segment.revision {
                    plan.open.append(segment)
                } else if file.revision < segment.revision {
                    plan.superseded.append(name)
                } else {
                    plan.unfinished.append(name)
                }
            }
        }
        return plan
    }
}

/// Consecutive batches of one origin.
public struct BatchRange: Codable, Hashable, Sendable, CustomStringConvertible {
    public var origin: Int64
    public var first: Int64
    public var last: Int64

    public var description: String {
        let name = BatchID(origin: origin, number: first).description
        return first == last ? name : "\(name)-\(last)"
    }

    /// `id` is added to the ranges: it extends the last one where it can.
    static func add(_ id: BatchID, to ranges: inout [BatchRange]) {
        if let last = ranges.last, last.origin == id.origin, last.last + 1 == id.number {
            ranges[ranges.count - 1].last = id.number
        } else {
            ranges.append(BatchRange(origin: id.origin, first: id.number, last: id.number))
        }
    }
}

/// Batches that were accepted and cannot be read any more, with what proves it.
public struct SpoolLoss: Codable, Hashable, Sendable, CustomStringConvertible {
    public var file: String
    public var reason: String
    /// Which batches; when empty, the file was being written and how far is not known.
    public var batches: [BatchRange]
    /// When it was found, microseconds since 1970.
    public var foundAt: Int64
    /// Whether the batches were accepted. Not known of those in the last commit before the power failed: when it was
    /// not completed, nobody was promised anything.
    public var isCertain = true

    public var description: String {
        let what =
            batches.isEmpty
            ? "an unknown number of batches" : "batches " + batches.map(\.description).joined(separator: ", ")
        return "\(file): \(reason); lost: \(what)"
    }
}
