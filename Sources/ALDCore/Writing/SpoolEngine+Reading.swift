/// What the writer asks for.
extension SpoolEngine {
    /// How many rows one call looks at, at most, for more of the same machine and kind.
    private static let lookAhead: Int64 = 20_000
    /// How many damaged files one call goes past.
    private static let repairsPerCall = 8

    mutating func waiting(
        in lane: Spool.Lane, after position: SpoolPosition, limits: Spool.Limits, excluding: Set<SpoolPosition>,
        kinds: Set<BatchKind> = []
    ) throws -> [StoredBatch] {
        let empty = Gathered(limits: limits, excluding: excluding, kinds: kinds)
        var gathered = empty
        var cursor = position
        var repairs = 0
        var damage: SpoolError?
        while let (index, rows) = book.withLock({ $0.waiting(in: lane, after: cursor, excluding: kinds) }),
            let segment = use(index)
        {
            // What is under way lies at the front: it need not be read to be left out.
            let lower = rows.first { !excluding.contains(SpoolPosition(segment: index, row: $0)) } ?? rows.upperBound
            let upper = min(rows.upperBound, lower + Self.lookAhead)
            do {
                let isEnough = try gathered.read(lower..<upper, of: segment)
                if isEnough || upper < rows.upperBound && !gathered.batches.isEmpty { break }
            } catch {
                repairs += 1
                suspect(index, because: self.error(error, segment: index, while: "reading a batch"))
                repairSuspects()
                if manifest[index]?.isSuspect == false, repairs <= Self.repairsPerCall {
                    // What is left of the file waits under the same positions.
                    gathered = empty
                    cursor = position
                    continue
                }
                // What is intact before and behind it need not wait until there is room for a new file: once that has
                // landed, there may be.
                damage = SpoolError(
                    .corrupted, file: segment.path, "a batch is damaged and the file cannot be replaced: \(error)")
                if repairs > Self.repairsPerCall || !gathered.batches.isEmpty { break }
                cursor = SpoolPosition(segment: index, row: SpoolPosition.lastRow)
                continue
            }
            cursor = SpoolPosition(segment: index, row: upper - 1)
        }
        if gathered.batches.isEmpty, let damage { throw damage }
        let attempts = book.withLock { book in
            gathered.batches.map { book.attempts(of: $0.position) }
        }
        return zip(gathered.batches, attempts).map { batch, attempts in
            var batch = batch
            batch.attempts = Int(attempts)
            return batch
        }
    }

    /// Batches of one machine and kind, as far as the limits allow.
    private struct Gathered {
        let limits: Spool.Limits
        let excluding: Set<SpoolPosition>
        let kinds: Set<BatchKind>
        var batches: [StoredBatch] = []
        var records = 0
        var bytes = 0

        /// - Returns: whether it is enough.
        mutating func read(_ rows: Range<Int64>, of segment: any SegmentFile) throws -> Bool {
            var isEnough = false
            try segment.forEachBatch(in: rows, like: batches.first?.header, excluding: kinds) { batch in
                guard !excluding.contains(batch.position) else { return .goOn }
                let isFirst = batches.isEmpty
                isEnough =
                    !isFirst
                    && (batches.count >= limits.batches || records + batch.header.records > limits.records
                        || bytes + batch.header.bytes > limits.bytes)
                guard !isEnough else { return .stop }
                batches.append(batch)
                records += batch.header.records
                bytes += batch.header.bytes
                return isFirst ? .restrict(to: batch.header) : .goOn
            }
            return isEnough
        }
    }

    /// Numbers that nobody has used for parts of a batch.
    mutating func namesForParts() -> BatchID {
        defer { nextPart += BatchCut.mostParts }
        return BatchID(origin: BatchCut.origin(of: origin), number: nextPart)
    }

    /// Replaces a waiting batch by new ones in one transaction.
    mutating func recut(
        _ position: SpoolPosition, into parts: [EncodedRecords], named name: BatchID?
    ) throws -> [BatchHeader] {
        guard let segment = use(position.segment), let parent = try segment.header(at: position.row),
            book.withLock({ $0[position.segment]?.waiting(from: position.row)?.lowerBound == position.row })
        else {
            throw SpoolError(.invalidRecord, file: files.directory, "there is no waiting batch at \(position.rawValue)")
        }
        guard manifest[position.segment]?.isSuspect == false else {
            throw SpoolError(.inputOutput, file: segment.path, "the file is being replaced; try again")
        }
        let first = shelfRows(position.segment) + 1
        let name = name ?? namesForParts()
        let children = parts.enumerated().map { offset, records in
            records.sealed(
                BatchID(origin: name.origin, number: name.number + Int64(offset)),
                at: SpoolPosition(segment: position.segment, row: first + Int64(offset)),
                acceptedAt: parent.acceptedAt, parent: parent.id)
        }
        let done = SpoolProgress(row: position.row, settlement: .recut, at: time.wallClock, attempts: 0)
        do {
            try segment.write(children, progress: [done]) { pass(.recutInCommit) }
            pass(.recutAfter)
            sizes[position.segment] = segment.size
        } catch {
            let error = self.error(error, segment: position.segment, while: "cutting a batch anew")
            // Its sync may have failed: what is in the file behind the last accepted row does not count.
            if error.code != .full { suspect(position.segment, because: error) }
            throw error
        }
        let headers = children.map(\.header)
        for header in headers {
            var content = manifest[position.segment]?.content ?? []
            BatchRange.add(header.id, to: &content)
            manifest[position.segment]?.content = content
        }
        if position.segment == active { nextRow += Int64(headers.count) }
        book.withLock { $0.recut(parent, into: headers, now: time.now) }
        return headers
    }

    /// The confirmed batches among the next `count` that are stored in one file.
    mutating func retained(after position: SpoolPosition, looksAt count: Int64) throws -> Spool.RetainedPage {
        for shelf in book.withLock(\.shelves) where shelf.index >= position.segment {
            let first = shelf.index == position.segment ? position.row + 1 : 1
            guard first <= shelf.rows, let segment = use(shelf.index) else { continue }
            let rows = first...min(shelf.rows, first + count - 1)
            do {
                return try page(of: segment, rows, unsaved: shelf.unsaved)
            } catch {
                suspect(
                    shelf.index, because: self.error(error, segment: shelf.index, while: "reading what is retained"))
                repairSuspects()
                guard manifest[shelf.index]?.isSuspect == false else { throw error }
                // What is left of the file lies at the same positions; the next look finds it.
                return Spool.RetainedPage(end: position)
            }
        }
        return Spool.RetainedPage()
    }

    private func page(
        of segment: any SegmentFile, _ rows: ClosedRange<Int64>, unsaved: [Int64: SpoolBook.Settlement]
    ) throws -> Spool.RetainedPage {
        var page = Spool.RetainedPage(end: SpoolPosition(segment: segment.index, row: rows.upperBound))
        var settlements = Dictionary(try segment.progress(of: rows).map { ($0.row, $0.settlement) }) { $1 }
        settlements.merge(unsaved) { $1 }
        try segment.forEachHeader(from: rows.lowerBound) { header in
            guard header.position.row <= rows.upperBound else { return false }
            if settlements[header.position.row] == .acknowledged { page.batches.append(header) }
            return header.position.row < rows.upperBound
        }
        return page
    }

    /// - Returns: how many of the batches are there and wait again.
    mutating func resurrect(_ headers: [BatchHeader]) throws -> Int {
        var count = 0
        for header in headers {
            let position = header.position
            guard try use(position.segment)?.header(at: position.row) == header else { continue }
            if book.withLock({ $0.resurrected(header) }) { count += 1 }
        }
        return count
    }

    /// Counts what is stored, instead of what was counted on the way.
    mutating func recount() throws -> Spool.Contents {
        var contents = Spool.Contents()
        for shelf in book.withLock(\.shelves) {
            try use(shelf.index)?.forEachHeader { header in
                if !shelf.settled.contains(header.position.row) {
                    contents += Spool.Contents(batches: 1, records: header.records, bytes: header.bytes)
                }
                return true
            }
        }
        return contents
    }
}
