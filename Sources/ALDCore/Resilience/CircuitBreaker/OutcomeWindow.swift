/// The last calls, by number and by time, and what share of them failed or was slow.
struct OutcomeWindow: Sendable {
    struct Sample: Sendable {
        var failed = false
        /// `nil`: not judged, because it failed or nothing usual is known yet.
        var slow: Bool?
    }

    struct Sums: Hashable, Sendable {
        var calls = 0
        var failures = 0
        var judged = 0
        var slow = 0

        mutating func add(_ sample: Sample) {
            calls += 1
            if sample.failed { failures += 1 }
            if let slow = sample.slow {
                judged += 1
                if slow { self.slow += 1 }
            }
        }

        mutating func subtract(_ other: Sums) {
            calls -= other.calls
            failures -= other.failures
            judged -= other.judged
            slow -= other.slow
        }
    }

    private var byCount: CountWindow?
    private var byTime: TimeWindow?

    init(count: Int?, time: Duration?) {
        byCount = count.map(CountWindow.init)
        byTime = time.map(TimeWindow.init)
    }

    mutating func record(_ sample: Sample, now: MonotonicInstant) {
        byCount?.record(sample)
        byTime?.record(sample, now: now)
    }

    mutating func reset() {
        byCount?.reset()
        byTime?.reset()
    }

    /// The higher of the two shares of failures, of the windows that hold enough calls.
    func failureRate(minimum: Int) -> Double? {
        rate(\.failures, of: \.calls, minimum)
    }

    /// The higher of the two shares of slow calls, of the windows that hold enough judged calls.
    func slowCallRate(minimum: Int) -> Double? {
        rate(\.slow, of: \.judged, minimum)
    }

    private func rate(_ part: KeyPath<Sums, Int>, of whole: KeyPath<Sums, Int>, _ minimum: Int) -> Double? {
        var highest: Double?
        for sums in [byCount?.sums, byTime?.sums] {
            guard let sums, sums[keyPath: whole] >= max(minimum, 1) else { continue }
            highest = max(highest ?? 0, Double(sums[keyPath: part]) / Double(sums[keyPath: whole]))
        }
        return highest
    }
}

/// The last so many calls.
struct CountWindow: Sendable {
    private(set) var sums = OutcomeWindow.Sums()
    private var samples: [OutcomeWindow.Sample] = []
    private var oldest = 0
    private let size: Int

    init(size: Int) {
        self.size = max(size, 1)
    }

    mutating func record(_ sample: OutcomeWindow.Sample) {
        sums.add(sample)
        if samples.count < size {
            samples.append(sample)
            return
        }
        var gone = OutcomeWindow.Sums()
        gone.add(samples[oldest])
        sums.subtract(gone)
        samples[oldest] = sample
        oldest = oldest + 1 == size ? 0 : oldest + 1
    }

    mutating func reset() {
        sums = OutcomeWindow.Sums()
        samples.removeAll(keepingCapacity: true)
        oldest = 0
    }
}

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
        let current = now.nanoseconds / width
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
