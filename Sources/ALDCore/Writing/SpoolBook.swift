/// What is in the spool, counted: the account, which batches of each file still wait, and what the files do not know
/// yet. A value without I/O; the spool changes it under one lock.
package struct SpoolBook: Sendable {
    package enum Settlement: Int64, Sendable {
        /// Waits again: the database has forgotten it.
        case waiting = 0
        case acknowledged = 1
        /// Its records live on in batches that were cut from it.
        case recut = 2
        /// Cannot be read any more.
        case lost = 3
    }

    /// One file.
    struct Shelf: Sendable {
        var index: Int64
        /// Rows 1 to this one exist.
        var rows: Int64 = 0 { didSet { isSettled = settled.contains(rows: rows) } }
        /// Rows that do not wait.
        var settled = RowSet() { didSet { isSettled = settled.contains(rows: rows) } }
        /// Whether none waits. Kept, because it is asked for far more often than it changes.
        private(set) var isSettled = true
        /// What the others are.
        var waiting = Spool.Contents()
        /// The part of it that is backlog.
        var backlog = Spool.Contents()
        var kinds = KindCounts()
        /// What the file does not say yet. Losing it means that a batch is sent once more, and recognised.
        var unsaved: [Int64: Settlement] = [:]
        var attempts: [Int64: Int64] = [:]
        /// When the last of its rows was settled, moved back by what the file had seen before it was opened.
        var settledSince = MonotonicInstant(nanoseconds: 0)

        /// The first rows from `row` on that wait, without a gap; `nil` when none does.
        func waiting(from row: Int64) -> Range<Int64>? {
            var start = max(1, row)
            for range in settled.ranges {
                if range.upperBound <= start { continue }
                if range.lowerBound > start {
                    return start < min(range.lowerBound, rows + 1) ? start..<min(range.lowerBound, rows + 1) : nil
                }
                start = range.upperBound
            }
            return start <= rows ? start..<(rows + 1) : nil
        }
    }

    /// In order of their index.
    private(set) var shelves: [Shelf] = []
    private(set) var account = Spool.Account()
    private(set) var kinds = KindCounts()
    /// Batches at or above it are fresh, those below it are backlog.
    private(set) var boundary = SpoolPosition.start
    /// Behind it nothing is stored, and nothing was while this process had the spool.
    private(set) var lastPosition = SpoolPosition.start
    /// How many settlements are not in the files yet.
    private(set) var unsavedCount = 0
    /// When the database was there last and was known to have all that it had confirmed; `nil`: not yet.
    private(set) var comparedAt: MonotonicInstant?
    /// The database has answered, and whether it still has what it had confirmed before is being found out.
    var isDoubted = false

    subscript(index: Int64) -> Shelf? {
        get { offset(of: index).map { shelves[$0] } }
        set {
            switch (offset(of: index), newValue) {
            case (let offset?, let shelf?): shelves[offset] = shelf
            case (let offset?, nil):
                unsavedCount -= shelves[offset].unsaved.count
                shelves.remove(at: offset)
            case (nil, let shelf?):
                shelves.append(shelf)
                shelves.sort { $0.index < $1.index }
            case (nil, nil): break
            }
        }
    }

    private func offset(of index: Int64) -> Int? { shelves.firstIndex { $0.index == index } }

    /// Whether nothing waits in the file `index`; `nil` when nothing is known of it.
    func isSettled(_ index: Int64) -> Bool? { offset(of: index).map { shelves[$0].isSettled } }

    /// The files in which something waits.
    var unsettled: [Int64] { shelves.indices.lazy.filter { !shelves[$0].isSettled }.map { shelves[$0].index } }

    /// The files that do not say yet what became of their batches.
    var unsaved: [Int64] { shelves.indices.lazy.filter { !shelves[$0].unsaved.isEmpty }.map { shelves[$0].index } }

    /// How often delivering the batch was tried.
    func attempts(of position: SpoolPosition) -> Int64 {
        offset(of: position.segment).flatMap { shelves[$0].attempts[position.row] } ?? 0
    }

    // MARK: Events

    /// A batch that an earlier process has left.
    mutating func found(_ header: BatchHeader, waits: Bool) {
        noteRow(header.position, settled: !waits)
        guard waits else { return }
        account.carriedOver += header.records
        addWaiting(header)
    }

    /// The file `index` has had rows up to `row`; those that were not found are lost.
    mutating func extend(_ index: Int64, to row: Int64) {
        guard let offset = offset(of: index), row > shelves[offset].rows else { return }
        shelves[offset].settled.insert(shelves[offset].rows + 1..<row + 1)
        shelves[offset].rows = row
        lastPosition = max(lastPosition, SpoolPosition(segment: index, row: row))
    }

    /// Durable now.
    mutating func accepted(_ headers: [BatchHeader]) {
        for header in headers {
            noteRow(header.position, settled: false)
            account.accepted += header.records
            addWaiting(header)
        }
    }

    /// The database has confirmed the batch. Saying so twice changes nothing.
    ///
    /// - Returns: whether it was waiting.
    @discardableResult mutating func acknowledged(_ header: BatchHeader, now: MonotonicInstant) -> Bool {
        guard settle(header, as: .acknowledged, now: now) else { return false }
        account.acknowledged += header.records
        return true
    }

    mutating func compared(at instant: MonotonicInstant) { comparedAt = max(comparedAt ?? instant, instant) }

    /// `rows` of the file `index` cannot be read any more; `left` is what still waits in it.
    mutating func lost(_ rows: [Int64], of index: Int64, left: [BatchHeader]) {
        guard let offset = offset(of: index) else { return }
        let before = shelves[offset]
        for row in rows { shelves[offset].settled.insert(row..<row + 1) }
        shelves[offset].waiting = Spool.Contents()
        shelves[offset].backlog = Spool.Contents()
        shelves[offset].kinds = KindCounts()
        kinds -= before.kinds
        account.waiting -= before.waiting
        account.backlog -= before.backlog
        account.lost += before.waiting.records
        // What was confirmed while the file was being replaced does not wait any more.
        for header in left where !shelves[offset].settled.contains(header.position.row) {
            addWaiting(header)
            account.lost -= header.records
        }
    }

    /// `parent` was replaced by `children`, which are durable, in one transaction.
    mutating func recut(_ parent: BatchHeader, into children: [BatchHeader], now: MonotonicInstant) {
        guard settle(parent, as: .recut, now: now) else { return }
        saved(parent.position)
        account.recut -= parent.records
        for child in children {
            noteRow(child.position, settled: false)
            account.recut += child.records
            addWaiting(child)
        }
    }

    /// The database has forgotten the batch: it waits again.
    ///
    /// - Returns: whether it had been confirmed.
    mutating func resurrected(_ header: BatchHeader) -> Bool {
        guard let offset = offset(of: header.position.segment),
            shelves[offset].settled.contains(header.position.row)
        else { return false }
        shelves[offset].settled.remove(header.position.row..<header.position.row + 1)
        note(.waiting, at: header.position, offset: offset)
        account.resurrected += header.records
        addWaiting(header)
        return true
    }

    /// Everything that waits now is backlog.
    mutating func moveBoundary() {
        boundary = SpoolPosition(rawValue: lastPosition.rawValue + 1)
        account.backlog = account.waiting
        kinds.moveBoundary()
        for offset in shelves.indices {
            shelves[offset].backlog = shelves[offset].waiting
            shelves[offset].kinds.moveBoundary()
        }
    }

    mutating func noteAttempt(_ position: SpoolPosition) {
        guard let offset = offset(of: position.segment), position.row <= shelves[offset].rows else { return }
        shelves[offset].attempts[position.row, default: 0] += 1
        if shelves[offset].unsaved[position.row] == nil { note(.waiting, at: position, offset: offset) }
    }

    // MARK: Asking

    /// The first rows after `position` that wait in `lane`, all in one file; `nil` when none does. Files in which only
    /// batches of `excluded` kinds wait are passed over.
    func waiting(
        in lane: Spool.Lane, after position: SpoolPosition, excluding excluded: Set<BatchKind> = []
    ) -> (index: Int64, rows: Range<Int64>)? {
        let first = lane == .fresh ? max(boundary.rawValue, position.rawValue + 1) : position.rawValue + 1
        let from = SpoolPosition(rawValue: first)
        // By number: a shelf is not copied for a look at it.
        for offset in shelves.indices where shelves[offset].index >= from.segment && !shelves[offset].isSettled {
            let index = shelves[offset].index
            if lane == .backlog, SpoolPosition(segment: index, row: 1) >= boundary { return nil }
            if !excluded.isEmpty, shelves[offset].kinds[lane].keys.allSatisfy(excluded.contains) { continue }
            guard var rows = shelves[offset].waiting(from: index == from.segment ? from.row : 1) else { continue }
            if lane == .backlog, index == boundary.segment {
                rows = rows.clamped(to: 1..<max(1, boundary.row))
                if rows.isEmpty { return nil }
            }
            return (index, rows)
        }
        return nil
    }

    // MARK: Saving

    /// What the file `index` is to be told; it is taken from here and comes back with ``notSaved(_:in:)`` if that fails.
    mutating func takeUnsaved(of index: Int64) -> [Int64: Settlement] {
        guard let offset = offset(of: index) else { return [:] }
        defer {
            unsavedCount -= shelves[offset].unsaved.count
            shelves[offset].unsaved = [:]
        }
        return shelves[offset].unsaved
    }

    /// The file knows them: how often was tried what is settled need not be in memory any more.
    mutating func saved(_ settlements: [Int64: Settlement], in index: Int64) {
        guard let offset = offset(of: index) else { return }
        for (row, settlement) in settlements where settlement != .waiting { shelves[offset].attempts[row] = nil }
    }

    mutating func notSaved(_ settlements: [Int64: Settlement], in index: Int64) {
        guard let offset = offset(of: index) else { return }
        for (row, settlement) in settlements where shelves[offset].unsaved[row] == nil {
            note(settlement, at: SpoolPosition(segment: index, row: row), offset: offset)
        }
    }

    // MARK: Inside

    private mutating func noteRow(_ position: SpoolPosition, settled: Bool) {
        lastPosition = max(lastPosition, position)
        if offset(of: position.segment) == nil { self[position.segment] = Shelf(index: position.segment) }
        guard let offset = offset(of: position.segment) else { return }
        // Rows in between were never written here: nobody waits for them.
        let next = shelves[offset].rows + 1
        if position.row > next { shelves[offset].settled.insert(next..<position.row) }
        shelves[offset].rows = max(shelves[offset].rows, position.row)
        let row = position.row..<position.row + 1
        if settled {
            shelves[offset].settled.insert(row)
        } else if position.row < next {
            shelves[offset].settled.remove(row)
        }
    }

    private mutating func settle(_ header: BatchHeader, as settlement: Settlement, now: MonotonicInstant) -> Bool {
        let position = header.position
        guard let offset = offset(of: position.segment), position.row >= 1, position.row <= shelves[offset].rows,
            !shelves[offset].settled.contains(position.row)
        else { return false }
        shelves[offset].settled.insert(position.row..<position.row + 1)
        shelves[offset].settledSince = now
        note(settlement, at: position, offset: offset)
        let contents = Spool.Contents(batches: 1, records: header.records, bytes: header.bytes)
        account.waiting -= contents
        shelves[offset].waiting -= contents
        shelves[offset].kinds.remove(header.kind, isBacklog: position < boundary)
        kinds.remove(header.kind, isBacklog: position < boundary)
        if position < boundary {
            account.backlog -= contents
            shelves[offset].backlog -= contents
        }
        return true
    }

    private mutating func addWaiting(_ header: BatchHeader) {
        guard let offset = offset(of: header.position.segment) else { return }
        let contents = Spool.Contents(batches: 1, records: header.records, bytes: header.bytes)
        account.waiting += contents
        shelves[offset].waiting += contents
        shelves[offset].kinds.add(header.kind, isBacklog: header.position < boundary)
        kinds.add(header.kind, isBacklog: header.position < boundary)
        if header.position < boundary {
            account.backlog += contents
            shelves[offset].backlog += contents
        }
    }

    private mutating func note(_ settlement: Settlement, at position: SpoolPosition, offset: Int) {
        if shelves[offset].unsaved.updateValue(settlement, forKey: position.row) == nil { unsavedCount += 1 }
    }

    private mutating func saved(_ position: SpoolPosition) {
        guard let offset = offset(of: position.segment) else { return }
        if shelves[offset].unsaved.removeValue(forKey: position.row) != nil { unsavedCount -= 1 }
    }
}

extension RowSet {
    /// Whether it holds 1 to `rows`, all of them.
    fileprivate func contains(rows: Int64) -> Bool {
        guard rows > 0 else { return true }
        // Ranges are in order and do not touch: no row lies before 1, so only the first can hold it and all others.
        guard let first = ranges.first else { return false }
        return first.lowerBound <= 1 && first.upperBound > rows
    }
}
