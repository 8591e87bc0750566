import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// How long something takes that does not always take the same time. All values 0…1 h.
public enum Latency: Hashable, Sendable {
    /// Always the same.
    case fixed(Duration)
    /// Every value of the range is as likely as every other.
    case uniform(ClosedRange<Duration>)
    /// A bell curve; what falls outside of `within` is moved to its nearer end.
    case normal(mean: Duration, deviation: Duration, within: ClosedRange<Duration>)
    /// Half of the values lie below `median`; the natural logarithm deviates by `sigma`. Cut at `atMost`.
    case logNormal(median: Duration, sigma: Double, atMost: Duration)
    /// A measured distribution: (share of values at or below, value), both rising, between them a straight line. What
    /// lies below the first share has its value, what lies above the last one has the last value.
    case percentiles([Percentile])

    /// One point of ``percentiles(_:)``.
    public struct Percentile: Hashable, Sendable {
        /// 0…1.
        public var share: Double
        public var value: Duration

        public init(_ share: Double, _ value: Duration) {
            self.share = share
            self.value = value
        }
    }

    /// No time at all.
    public static let none = Latency.fixed(.zero)

    /// One value.
    func draw(using generator: inout SeededGenerator) -> TimeAmount {
        switch self {
        case .fixed(let value):
            return TimeAmount(value)
        case .uniform(let range):
            let (lower, upper) = (TimeAmount(range.lowerBound).nanoseconds, TimeAmount(range.upperBound).nanoseconds)
            return .nanoseconds(.random(in: lower...upper, using: &generator))
        case .normal(let mean, let deviation, let within):
            let value = mean.inNanoseconds + deviation.inNanoseconds * Self.bell(using: &generator)
            return Self.amount(value, within)
        case .logNormal(let median, let sigma, let atMost):
            return Self.amount(median.inNanoseconds * exp(sigma * Self.bell(using: &generator)), .zero...atMost)
        case .percentiles(let points):
            return Self.interpolated(points, at: .random(in: 0..<1, using: &generator))
        }
    }

    /// A value of the standard normal distribution (Box and Muller).
    private static func bell(using generator: inout SeededGenerator) -> Double {
        let radius = (-2 * log(1 - Double.random(in: 0..<1, using: &generator))).squareRoot()
        return radius * cos(2 * .pi * Double.random(in: 0..<1, using: &generator))
    }

    private static func interpolated(_ points: [Percentile], at share: Double) -> TimeAmount {
        guard var before = points.first else { return .zero }
        for point in points {
            if share < point.share {
                let part = (share - before.share) / (point.share - before.share)
                guard part > 0, part.isFinite else { return TimeAmount(before.value) }
                let (low, high) = (before.value.inNanoseconds, point.value.inNanoseconds)
                return .nanoseconds(Int64(low + part * (high - low)))
            }
            before = point
        }
        return TimeAmount(before.value)
    }

    private static func amount(_ nanoseconds: Double, _ range: ClosedRange<Duration>) -> TimeAmount {
        let (lower, upper) = (range.lowerBound.inNanoseconds, range.upperBound.inNanoseconds)
        return .nanoseconds(Int64(min(max(nanoseconds, lower), upper)))
    }

    /// Every problem, in words.
    func problems(_ name: String) -> [String] {
        switch self {
        case .fixed(let value):
            return DeviceBehavior.problems(name, value)
        case .uniform(let range):
            return DeviceBehavior.problems(name, range.lowerBound) + DeviceBehavior.problems(name, range.upperBound)
        case .normal(let mean, let deviation, let within):
            return [mean, deviation, within.lowerBound, within.upperBound].flatMap {
                DeviceBehavior.problems(name, $0)
            }
        case .logNormal(let median, let sigma, let atMost):
            let shape = (0...10).contains(sigma) ? [] : ["\(name): sigma is \(sigma); allowed are 0 to 10"]
            return shape + DeviceBehavior.problems(name, median) + DeviceBehavior.problems(name, atMost)
        case .percentiles(let points):
            let rises = zip(points, points.dropFirst()).allSatisfy { $0.share < $1.share && $0.value <= $1.value }
            let shares = points.allSatisfy { (0...1).contains($0.share) }
            let shape =
                rises && shares && !points.isEmpty
                ? [] : ["\(name): percentiles need at least one point, shares of 0 to 1, and both must rise"]
            return shape + points.flatMap { DeviceBehavior.problems(name, $0.value) }
        }
    }
}

extension Duration {
    var inNanoseconds: Double {
        Double(TimeAmount(self).nanoseconds)
    }
}
