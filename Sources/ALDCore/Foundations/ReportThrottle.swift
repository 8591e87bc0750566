/// Decides when something that goes on is worth another line in the log: when it begins, and once a minute.
struct ReportThrottle<Key: Hashable & Sendable>: Sendable {
    static var interval: Duration { .seconds(60) }

    private var reportedAt: [Key: MonotonicInstant] = [:]

    mutating func isDue(_ key: Key, now: MonotonicInstant) -> Bool {
        if let last = reportedAt[key], now - last < Self.interval { return false }
        reportedAt[key] = now
        return true
    }

    /// It is over: the next time is a beginning again.
    mutating func reset() {
        reportedAt = [:]
    }
}
