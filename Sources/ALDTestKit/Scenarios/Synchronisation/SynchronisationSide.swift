import ALDCore

/// What cycles on one side of the comparison, with or without current values, have come to.
struct SynchronisationSide: Sendable {
    /// At the given rate: latency counts from when a cycle was due.
    var open = LoadReport()
    /// One cycle after the other, as fast as they go.
    private(set) var closed = LoadReport()
    /// Bytes that the process had allocated at most beyond what it had before the side began, of all rounds; `nil` where
    /// the C library does not tell.
    var heap: Int?
    /// Of this process in the open loop, the simulated machine included.
    var processorSeconds = 0.0
    /// How long the connection was held in the open loop, together and how often.
    var held = Duration.zero
    var transactions = 0
    /// In the open loop: where both take turns nobody meets.
    var deadlocks = 0

    var cycles: Int { open.succeeded + open.failed + closed.succeeded + closed.failed }
    var failures: Int { open.failed + closed.failed }
    /// Of the cycles.
    var success: Double { 1 - Double(failures) / Double(max(1, cycles)) }
    /// Cycles a second of what those one after the other took.
    var throughput: Double { Double(closed.succeeded) / max(closed.latencySum.inSeconds, 0.000_001) }

    /// One more cycle of those one after the other.
    ///
    /// - Parameter failure: what went wrong, in words.
    mutating func addClosed(from began: MonotonicInstant, to ended: MonotonicInstant, failure: String?) {
        closed.record(dueAt: began, from: began, to: ended, failure: failure)
        closed.due += 1
    }

    mutating func add(_ other: SynchronisationSide) {
        open.add(other.open)
        closed.add(other.closed)
        heap = [heap, other.heap].compactMap(\.self).max()
        processorSeconds += other.processorSeconds
        held += other.held
        transactions += other.transactions
        deadlocks += other.deadlocks
    }
}

/// Compares the two sides round by round. What holds the machine up in one round may meet one side alone, so the median of
/// the rounds counts.
struct SynchronisationComparison: Sendable {
    /// Both of the second requirement document.
    static let mostThroughputReduction = 0.2
    static let mostLatencyIncrease = 0.3
    /// Bytes. A side that adds less counts as one that adds so much: what is measured is the process, and other parts of
    /// it allocate and free some ten thousand now and then.
    static let leastMemory = 65_536
    /// A rate counts as kept from so much of it on.
    static let keptRate = 0.95

    /// Cycles a second that the open loop was to keep.
    var rate: Double
    private(set) var plain = SynchronisationSide()
    private(set) var both = SynchronisationSide()
    private var throughputs: [Double] = []
    private var latencies: [Double] = []
    private var memories: [Double] = []
    private var kept: [Double] = []

    init(rate: Double) { self.rate = rate }

    mutating func add(plain: SynchronisationSide, both: SynchronisationSide) {
        self.plain.add(plain)
        self.both.add(both)
        throughputs.append(both.throughput / plain.throughput)
        latencies.append(both.open.latency.percentile(50) / plain.open.latency.percentile(50))
        if let with = both.heap, let without = plain.heap {
            memories.append(Double(max(with, Self.leastMemory)) / Double(max(without, Self.leastMemory)))
        }
        kept += [plain, both].map { $0.open.throughput / rate }
    }

    /// The next three are parts of what it is with history alone, positive when it gets worse; not a number when nothing
    /// was measured.
    var throughputReduction: Double { 1 - Self.median(throughputs) }
    var latencyIncrease: Double { Self.median(latencies) - 1 }
    var memoryIncrease: Double { Self.median(memories) - 1 }

    var success: Double {
        1 - Double(plain.failures + both.failures) / Double(max(1, plain.cycles + both.cycles))
    }

    /// `nil` when there were too few cycles to class it.
    var impact: SynchronisationImpact? {
        let (reduction, increase) = (throughputReduction, latencyIncrease)
        guard hasEnough, reduction.isFinite, increase.isFinite else { return nil }
        return SynchronisationImpact(throughputReduction: reduction, latencyIncrease: increase)
    }

    /// How many are whole.
    var rounds: Int { throughputs.count }

    /// Cycles at the given rate, of the side that has fewer.
    var fewest: Int { min(plain.open.latency.count, both.open.latency.count) }
    private var hasEnough: Bool { fewest >= SynchronisationImpact.fewestCycles }

    /// Why the numbers show nothing.
    var doubts: [String] {
        var doubts: [String] = []
        if !hasEnough {
            doubts.append(
                "\(fewest) cycles a side at the given rate, at least \(SynchronisationImpact.fewestCycles) are needed: "
                    + "measure longer")
        }
        let dropped = plain.open.dropped + both.open.dropped
        if dropped > 0 { doubts.append("\(dropped) cycles could not be begun in time: the rate was not kept") }
        let kept = Self.median(kept)
        if kept < Self.keptRate {
            doubts.append("the rate was not kept: \(Quantity.ratio.text(kept)) of \(Quantity.perSecond.text(rate))")
        }
        return doubts
    }

    private static func median(_ values: [Double]) -> Double {
        guard !values.isEmpty else { return .nan }
        let sorted = values.sorted()
        return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }
}
