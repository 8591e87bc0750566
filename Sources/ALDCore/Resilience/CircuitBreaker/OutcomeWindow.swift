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
