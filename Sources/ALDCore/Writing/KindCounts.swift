/// How many batches of each kind wait. A kind of which none does is not named.
struct KindCounts: Hashable, Sendable {
    private var all: [BatchKind: Int] = [:]
    private var backlog: [BatchKind: Int] = [:]

    subscript(lane: Spool.Lane) -> [BatchKind: Int] {
        switch lane {
        case .backlog: backlog
        case .fresh where backlog.isEmpty: all
        case .fresh: all.merging(backlog, uniquingKeysWith: -).filter { $0.value > 0 }
        }
    }

    mutating func add(_ kind: BatchKind, isBacklog: Bool) {
        all[kind, default: 0] += 1
        if isBacklog { backlog[kind, default: 0] += 1 }
    }

    mutating func remove(_ kind: BatchKind, isBacklog: Bool) {
        Self.change(&all, kind, by: -1)
        if isBacklog { Self.change(&backlog, kind, by: -1) }
    }

    /// Everything that waits now is backlog.
    mutating func moveBoundary() { backlog = all }

    static func -= (left: inout KindCounts, right: KindCounts) {
        for (kind, count) in right.all { change(&left.all, kind, by: -count) }
        for (kind, count) in right.backlog { change(&left.backlog, kind, by: -count) }
    }

    private static func change(_ counts: inout [BatchKind: Int], _ kind: BatchKind, by difference: Int) {
        let count = counts[kind, default: 0] + difference
        counts[kind] = count == 0 ? nil : count
    }
}
