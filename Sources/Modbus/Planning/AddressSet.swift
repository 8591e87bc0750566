/// Addresses of one table, kept as ranges that neither overlap nor touch.
struct AddressSet: Hashable, Sendable {
    /// Ascending.
    private(set) var ranges: [AddressRange] = []

    mutating func insert(_ range: AddressRange) {
        let first = index { $0.end >= Int(range.start) }
        let behind = index { Int($0.start) > range.end }
        let touched = ranges[first..<behind]
        let start = touched.first.map { min($0.start, range.start) } ?? range.start
        let last = touched.last.map { max($0.last, range.last) } ?? range.last
        ranges.replaceSubrange(first..<behind, with: [AddressRange(first: start, last: last)])
    }

    func contains(_ range: AddressRange) -> Bool {
        let candidate = index { $0.end >= range.end }
        return candidate < ranges.count && ranges[candidate].contains(range)
    }

    /// The first range that has an address at or behind `address`.
    func next(from address: UInt16) -> AddressRange? {
        let found = index { $0.end > Int(address) }
        return found < ranges.count ? ranges[found] : nil
    }

    /// The first position for which `holds`; it is false for all before and true for all behind.
    private func index(where holds: (AddressRange) -> Bool) -> Int {
        ranges.partitioningIndex(where: holds)
    }
}

extension [AddressRange] {
    /// The first position for which `holds`, which must be false for all before and true for all behind.
    func partitioningIndex(where holds: (AddressRange) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if holds(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
