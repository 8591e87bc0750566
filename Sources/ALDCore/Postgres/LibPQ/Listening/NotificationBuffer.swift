import DequeModule

/// Notifications that have arrived and were not taken yet. Bounded: the oldest makes room for the newest.
struct NotificationBuffer: Sendable {
    let capacity: Int
    private var waiting: Deque<PostgresNotification> = []
    private var dropped = 0
    private(set) var end: End?

    /// Why nothing more will arrive.
    enum End: Sendable {
        case stopped
        case failed(PostgresError)
    }

    /// What the one who takes them finds.
    enum Take: Sendable {
        case notification(PostgresNotification)
        case ended(PostgresError?)
        case nothing
    }

    /// - Parameter capacity: at least 1.
    init(capacity: Int) {
        self.capacity = max(1, capacity)
    }

    mutating func append(_ notification: PostgresNotification) {
        guard end == nil else { return }
        if waiting.count == capacity {
            waiting.removeFirst()
            dropped += 1
        }
        waiting.append(notification)
    }

    /// The first reason counts.
    mutating func end(_ reason: End) {
        if end == nil { end = reason }
    }

    mutating func take() -> Take {
        if var first = waiting.popFirst() {
            first.dropped = dropped
            return .notification(first)
        }
        switch end {
        case .stopped: return .ended(nil)
        case .failed(let error): return .ended(error)
        case nil: return .nothing
        }
    }
}
