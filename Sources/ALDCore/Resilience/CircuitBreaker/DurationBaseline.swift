/// What is usual for this peer: moving averages of the duration and of its deviation, as TCP keeps them for its
/// retransmission timer (RFC 6298). Two deviations above the average is near the 95th percentile.
struct DurationBaseline: Hashable, Sendable, Codable {
    static let averageGain = 1.0 / 16
    static let deviationGain = 1.0 / 8
    static let slowShare = 1.0 / 8

    /// Seconds.
    private(set) var average = 0.0
    private(set) var deviation = 0.0
    private(set) var count = 0

    /// Seconds.
    var percentile95: Double { average + 2 * deviation }

    /// Above this a call is slow; `nil` while too little is known.
    func threshold(_ rule: CircuitBreaker.SlowCalls, floor: Double) -> Double? {
        count < rule.learningCalls ? nil : max(percentile95 * rule.factor, floor)
    }

    /// A call took so many seconds, and was not slow.
    mutating func learn(_ seconds: Double) {
        count += 1
        if count == 1 {
            average = seconds
            deviation = seconds / 2
        } else {
            move(towards: seconds, share: 1)
        }
    }

    /// A slow call teaches no more than the threshold that it passed, at an eighth of the pace: a window full of them
    /// opens the breaker first, but a peer that is slower for good becomes the usual one within some hundred calls.
    mutating func learnSlow(threshold: Double) {
        move(towards: threshold, share: Self.slowShare)
    }

    private mutating func move(towards seconds: Double, share: Double) {
        deviation += share * Self.deviationGain * (abs(seconds - average) - deviation)
        average += share * Self.averageGain * (seconds - average)
    }
}
