public import ALDCore
import Foundation

/// The latencies and failures of a load, window of time by window of time. All memory is taken at the beginning and there
/// is little of it, 2 kB a window: a load must not look like the leak that its scenario watches for.
public struct LatencyWindows: Sendable {
    /// Latencies of one window, within 5 % from 1 µs to an hour.
    public struct Window: Sendable {
        /// Equal steps of the logarithm, sixteen to each doubling.
        private static let steps = 16.0
        private var counts = [UInt32](repeating: 0, count: 512)
        /// Operations that were begun.
        public private(set) var count = 0
        /// Of them.
        public private(set) var failed = 0
        /// What part of the operations that were begun succeeded, 0…1; `nil` when none was. Those that were due and never
        /// begun say nothing of whom they were meant for: of them the whole run is doubted.
        public var success: Double? { count == 0 ? nil : Double(count - failed) / Double(count) }

        mutating func record(_ latency: Duration, isFailed: Bool) {
            let microseconds = max(1, latency.inSeconds * 1_000_000)
            counts[min(counts.count - 1, Int((log2(microseconds) * Self.steps).rounded(.up)))] += 1
            count += 1
            if isFailed { failed += 1 }
        }

        mutating func add(_ other: Window) {
            for index in counts.indices { counts[index] += other.counts[index] }
            count += other.count
            failed += other.failed
        }

        /// What `percent` of the latencies do not exceed; zero when there is none.
        public func percentile(_ percent: Double) -> Duration {
            guard count > 0 else { return .zero }
            let wanted = max(1, Int((percent / 100 * Double(count)).rounded(.up)))
            var seen = 0
            for (index, count) in counts.enumerated() {
                seen += Int(count)
                if seen >= wanted { return .seconds(exp2(Double(index) / Self.steps) / 1_000_000) }
            }
            return .zero
        }
    }

    /// A load is cut into so many at most; what was due later counts in the last one.
    static let most = 30
    /// Shorter ones would hold too few operations to have percentiles.
    static let shortest = Duration.seconds(1)

    private let beginning: MonotonicInstant
    /// How long a window is.
    public let width: Duration
    private var windows: [Window]

    init(from beginning: MonotonicInstant, lasting duration: Duration) {
        self.beginning = beginning
        width = max(Self.shortest, duration / Self.most)
        let count = Int((duration.inSeconds / width.inSeconds).rounded(.up))
        windows = Array(repeating: Window(), count: min(Self.most, max(1, count)))
    }

    mutating func record(_ latency: Duration, dueAt due: MonotonicInstant, isFailed: Bool = false) {
        windows[place(due)].record(latency, isFailed: isFailed)
    }

    /// Adds another load's windows where their middle lies in this one's time: of two that begin together one begins a
    /// moment before the other.
    mutating func add(_ other: LatencyWindows) {
        for (from, window) in other.filled { windows[place(from + other.width / 2)].add(window) }
    }

    private func place(_ instant: MonotonicInstant) -> Int {
        let place = ((instant - beginning).inSeconds / width.inSeconds).rounded(.down)
        return Int(min(max(place, 0), Double(windows.count - 1)))
    }

    /// Those in which something that was begun was due, each with the instant at which it begins.
    public var filled: [(from: MonotonicInstant, latencies: Window)] {
        windows.enumerated().filter { $0.element.success != nil }.map { index, window in
            (beginning + width * index, window)
        }
    }
}
