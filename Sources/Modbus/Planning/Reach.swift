/// How far a request may reach from where it begins, given the addresses that it must not touch and the ranges that
/// it must not contain whole.
struct Reach: Hashable, Sendable {
    private var forbidden = AddressSet()
    /// Ascending by their start, none within another; so their ends ascend as well.
    private var refused: [AddressRange] = []

    init(forbidden: [AddressRange], refused: [AddressRange]) {
        for range in forbidden { self.forbidden.insert(range) }
        for range in refused.sorted(by: { ($0.start, -$0.end) < ($1.start, -$1.end) }) {
            while let last = self.refused.last, last.contains(range) { self.refused.removeLast() }
            self.refused.append(range)
        }
    }

    /// The address behind the last one that a request beginning at `start` may read; `start` itself when it may read
    /// none.
    func end(from start: UInt16) -> Int {
        var end = ModbusLimits.addressSpace
        if let wall = forbidden.next(from: start) { end = Int(max(start, wall.start)) }
        let trap = refused.partitioningIndex { $0.start >= start }
        if trap < refused.count { end = min(end, refused[trap].end - 1) }
        return end
    }
}
