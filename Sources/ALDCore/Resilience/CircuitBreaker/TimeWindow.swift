/// The calls of a span of time, in ten buckets: exact to a tenth of it.
struct TimeWindow: Sendable {
    static let bucketCount = 10

    private(set) var sums = OutcomeWindow.Sums()
    private var buckets = [OutcomeWindow.Sums](repeating: OutcomeWindow.Sums(), count: bucketCount)
    /// The number of the newest bucket since the clock's origin.
    private var newest: Int64?
    private let width: Int64

    init(span: Duration) {
        width = max(span.wholeNanoseconds / Int64(Self.bucketCount), 1)
    }

    mutating func record(_ sample: OutcomeWindow.Sample, now: MonotonicInstant) {
        move(to: now)
        guard let newest else { return }
        sums.add(sample)
        buckets[index(newest)].add(sample)
    }

    private mutating func move(to now: MonotonicInstant) {
        // Rounded down, not towards zero: the bucket around the clock's origin is as wide as the others.
        let current = (now.nanoseconds - ((now.nanoseconds % width) + width) % width) / width
        guard let last = newest, current - last < Int64(Self.bucketCount) else {
            reset()
            newest = current
            return
        }
        guard current > last else { return }
        for bucket in (last + 1)...current {
            sums.subtract(buckets[index(bucket)])
            buckets[index(bucket)] = OutcomeWindow.Sums()
        }
        newest = current
    }

    private func index(_ bucket: Int64) -> Int {
        Int(((bucket % Int64(Self.bucketCount)) + Int64(Self.bucketCount)) % Int64(Self.bucketCount))
    }

    mutating func reset() {
        sums = OutcomeWindow.Sums()
        for index in buckets.indices { buckets[index] = OutcomeWindow.Sums() }
        newest = nil
    }
}
