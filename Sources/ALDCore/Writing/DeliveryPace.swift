/// How much one delivery carries: more while the database answers fast, half of it when it says that it is too much.
struct DeliveryPace: Hashable, Sendable {
    /// In records.
    struct Bounds: Hashable, Sendable {
        var start = 500
        var most = 50_000
        var step = 250
        /// Batches in one statement.
        var batches = 200
        /// Of payload.
        var bytes = 1 << 20
        /// What a delivery may take and still be followed by a larger one.
        var goodLatency: Duration = .milliseconds(250)
    }

    private let bounds: Bounds
    private(set) var records: Int

    init(_ bounds: Bounds) {
        self.bounds = bounds
        records = bounds.start
    }

    /// - Parameter allowance: the share of it that the breaker lets through, 0 to 1.
    func limits(allowance: Double) -> Spool.Limits {
        Spool.Limits(
            batches: bounds.batches, records: max(1, Int(Double(records) * allowance)), bytes: bounds.bytes)
    }

    /// A delivery has landed. Only one that was about as large as allowed says that a larger one would do.
    mutating func landed(records delivered: Int, took: Duration) {
        if took > bounds.goodLatency * 4 {
            records = max(1, records * 3 / 4)
        } else if took <= bounds.goodLatency, delivered * 2 >= records {
            // Faster than step by step: a million records that wait should not be half gone before it is at full pace.
            records = min(bounds.most, records + max(bounds.step, records / 2))
        }
    }

    mutating func wasTooBig(records attempted: Int) {
        records = max(1, min(records, attempted) / 2)
    }
}

/// How much of the time the backlog may use, so that fresh data is never far behind: less by half whenever fresh data
/// waits too long, more step by step while it does not. Never nothing, so that the backlog ends one day.
struct BacklogShare: Hashable, Sendable {
    static let least = 0.05
    private static let step = 0.05
    private(set) var share = 1.0

    /// A delivery of the backlog has ended.
    ///
    /// - Returns: the rest before the next one.
    mutating func rest(after took: Duration, freshIsLate: Bool) -> Duration {
        share = freshIsLate ? max(Self.least, share / 2) : min(1, share + Self.step)
        return took * (1 / share - 1)
    }
}
