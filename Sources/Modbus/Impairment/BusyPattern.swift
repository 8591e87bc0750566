import NIOCore

/// When a device has no time for its clients.
public struct BusyPattern: Hashable, Sendable {
    /// For this long at the beginning of every `period` all requests are answered with 06 and not executed, as by a
    /// device that scans.
    public struct Phase: Hashable, Sendable {
        /// 1 ms…1 h.
        public var period: Duration
        /// 0…1 h.
        public var busy: Duration

        public init(period: Duration, busy: Duration) {
            self.period = period
            self.busy = busy
        }
    }

    /// The share of the requests, 0…1, that are answered with 06 and not executed. Defaults to 0.
    public var probability: Double = 0
    /// Defaults to nil: no regular busy times.
    public var phase: Phase? = nil
    /// The share of the writes, 0…1, that are executed and answered with 05 (acknowledge). Defaults to 0.
    public var acknowledges: Double = 0

    public init(probability: Double = 0, phase: Phase? = nil, acknowledges: Double = 0) {
        self.probability = probability
        self.phase = phase
        self.acknowledges = acknowledges
    }

    /// Whether a request that is to be executed now is refused.
    func isBusy(_ elapsed: TimeAmount, using generator: inout SeededGenerator) -> Bool {
        if let phase {
            let period = max(TimeAmount(phase.period).nanoseconds, 1)
            if elapsed.nanoseconds % period < TimeAmount(phase.busy).nanoseconds { return true }
        }
        return probability > 0 && Double.random(in: 0..<1, using: &generator) < probability
    }

    /// Whether a write that was executed is answered with 05.
    func acknowledges(using generator: inout SeededGenerator) -> Bool {
        acknowledges > 0 && Double.random(in: 0..<1, using: &generator) < acknowledges
    }

    var problems: [String] {
        var problems: [String] = []
        if !(0...1).contains(probability) { problems.append("busy: probability is \(probability); allowed are 0 to 1") }
        if !(0...1).contains(acknowledges) {
            problems.append("busy: acknowledges is \(acknowledges); allowed are 0 to 1")
        }
        if let phase {
            if phase.period < .milliseconds(1) || phase.period > .seconds(3600) {
                problems.append("busy: period is \(phase.period); allowed are 1 ms to 1 h")
            }
            problems += DeviceBehavior.problems("busy: busy", phase.busy)
        }
        return problems
    }
}
