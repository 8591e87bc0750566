import ALDCore

/// Tells records that are written again at once from new ones by their places alone, so that it does not grow with them.
/// What is older than the newest says nothing: after an outage what waited comes behind what is fresh.
struct RecordOrder: Sendable {
    private var readings: [ParameterID: Timestamp] = [:]
    private var gap = Timestamp(microseconds: .min)
    private var event = (process: Int64.min, number: Int64.min)

    /// - Returns: how many of these are the newest once more.
    mutating func repetitions(in records: Records) -> Int {
        switch records {
        case .history(let rows), .unregistered(let rows): rows.count { isAgain($0) }
        case .gaps(let gaps): gaps.count { isAgain($0) }
        case .processEvents(let events): events.count { isAgain($0) }
        case .deadLetters: 0
        }
    }

    private mutating func isAgain(_ row: HistoryRow) -> Bool {
        let newest = readings[row.parameter] ?? row.time.advanced(by: .microseconds(-1))
        readings[row.parameter] = max(newest, row.time)
        return row.time == newest
    }

    private mutating func isAgain(_ later: CollectionGap) -> Bool {
        defer { gap = max(gap, later.firstMissedAt) }
        return later.firstMissedAt == gap
    }

    private mutating func isAgain(_ later: ProcessEvent) -> Bool {
        let place = (later.process, later.number)
        defer { if place > event { event = place } }
        return place == event
    }
}
