import ALDCore

/// Tells records that come again from new ones by their places alone, so that it does not grow with them: a machine's
/// records come in the order in which they were accepted.
struct RecordOrder: Sendable {
    private var readings: [ParameterID: Timestamp] = [:]
    private var gap = Timestamp(microseconds: .min)
    private var event = (process: Int64.min, number: Int64.min)

    /// - Returns: how many of these were there before.
    mutating func repetitions(in records: Records) -> Int {
        switch records {
        case .history(let rows), .unregistered(let rows): rows.count { !isNew($0) }
        case .gaps(let gaps): gaps.count { !isNew($0) }
        case .processEvents(let events): events.count { !isNew($0) }
        case .deadLetters: 0
        }
    }

    private mutating func isNew(_ row: HistoryRow) -> Bool {
        if let newest = readings[row.parameter], row.time <= newest { return false }
        readings[row.parameter] = row.time
        return true
    }

    private mutating func isNew(_ later: CollectionGap) -> Bool {
        guard later.firstMissedAt > gap else { return false }
        gap = later.lastMissedAt
        return true
    }

    private mutating func isNew(_ later: ProcessEvent) -> Bool {
        guard (later.process, later.number) > event else { return false }
        event = (later.process, later.number)
        return true
    }
}
