/// Rows of a file, as ranges. The library's `RangeSet` is the same, and asks the runtime for its types at every step, which
/// takes longer than all that a batch is counted with.
struct RowSet: Hashable, Sendable {
    /// In order; no two of them touch.
    private(set) var ranges: [Range<Int64>] = []

    func contains(_ row: Int64) -> Bool {
        let place = place(endingAfter: row)
        return place < ranges.count && ranges[place].lowerBound <= row
    }

    mutating func insert(_ rows: Range<Int64>) {
        guard !rows.isEmpty else { return }
        let first = place(endingAfter: rows.lowerBound - 1)
        var (last, joined) = (first, rows)
        while last < ranges.count, ranges[last].lowerBound <= rows.upperBound {
            joined =
                min(joined.lowerBound, ranges[last].lowerBound)..<max(joined.upperBound, ranges[last].upperBound)
            last += 1
        }
        // What every batch does: the one range grows.
        if last == first + 1 { ranges[first] = joined } else { ranges.replaceSubrange(first..<last, with: [joined]) }
    }

    mutating func remove(_ rows: Range<Int64>) {
        guard !rows.isEmpty else { return }
        let first = place(endingAfter: rows.lowerBound)
        var (last, left) = (first, [Range<Int64>]())
        while last < ranges.count, ranges[last].lowerBound < rows.upperBound {
            let range = ranges[last]
            if range.lowerBound < rows.lowerBound { left.append(range.lowerBound..<rows.lowerBound) }
            if range.upperBound > rows.upperBound { left.append(rows.upperBound..<range.upperBound) }
            last += 1
        }
        ranges.replaceSubrange(first..<last, with: left)
    }

    /// The first range that ends behind `row`.
    private func place(endingAfter row: Int64) -> Int {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound <= row { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
