import ALDCore

/// Times without readings that no gap record explains, in a ``World``'s database; ``RecordingHoles`` asks a real one.
enum HoleAudit {
    /// - Parameters:
    ///   - instants: when something was read, in any order, by a clock that was not set meanwhile.
    ///   - longest: between two readings in a row that need no explanation.
    /// - Returns: what lies between two readings, in order.
    static func unexplained(
        between instants: some Collection<Timestamp>, _ gaps: [CollectionGap], longerThan longest: Duration
    ) -> [ClosedRange<Timestamp>] {
        let instants = instants.sorted()
        return zip(instants, instants.dropFirst()).compactMap { earlier, later -> ClosedRange<Timestamp>? in
            guard earlier.advanced(by: longest) < later else { return nil }
            let isExplained = gaps.contains { $0.lastMissedAt > earlier && $0.firstMissedAt < later }
            return isExplained ? nil : earlier...later
        }
    }
}
