import Histogram

/// A distribution of durations: constant memory, percentiles within 0.1 % from 1 µs to an hour.
public struct DurationHistogram: Sendable {
    private var histogram = HDRHistogram(
        lowestDiscernibleValue: 1, highestTrackableValue: 3_600_000_000, numberOfSignificantValueDigits: .three)
    /// How many durations were recorded.
    public private(set) var count = 0
    /// The longest; zero when there is none.
    public private(set) var max = Duration.zero

    public init() {}

    /// Adds one duration. Below zero counts as zero, above an hour as an hour.
    public mutating func record(_ duration: Duration) {
        let microseconds = duration.wholeNanoseconds / 1000
        histogram.record(UInt64(Swift.min(Swift.max(microseconds, 0), 3_600_000_000)))
        count += 1
        max = Swift.max(max, duration)
    }

    /// Adds all durations of another one.
    public mutating func add(_ other: DurationHistogram) {
        histogram.add(other.histogram)
        count += other.count
        max = Swift.max(max, other.max)
    }

    /// The duration that `percent` of all recorded ones do not exceed; zero when there is none.
    public func percentile(_ percent: Double) -> Duration {
        count == 0 ? .zero : .microseconds(Int64(histogram.valueAtPercentile(percent)))
    }
}

private typealias HDRHistogram = Histogram<UInt32>
