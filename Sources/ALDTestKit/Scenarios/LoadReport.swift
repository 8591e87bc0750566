public import ALDCore
import Synchronization

/// What has become of the operations of a load.
public struct LoadReport: Sendable {
    /// Due by the schedule; in a closed loop, begun.
    public var due = 0
    public var succeeded = 0
    public var failed = 0
    /// Never begun, because the load could not be kept up.
    public var dropped = 0
    /// From the instant at which an operation was due to its end; failed ones, too. In a closed loop the same as
    /// ``service``.
    public var latency = DurationHistogram()
    /// From its beginning to its end.
    public var service = DurationHistogram()
    /// All latencies together.
    public private(set) var latencySum = Duration.zero
    public var firstError: String?
    /// When the load began and when its last operation ended; `nil` when there was none.
    public private(set) var span: Range<MonotonicInstant>?
    /// Latencies and failures by when the operations were due; `nil` when the load was not planned to last.
    public private(set) var windows: LatencyWindows?

    public init() {}

    /// Of a load that begins now.
    ///
    /// - Parameter planned: how long it is to last, which says how it is cut into windows.
    init(from beginning: MonotonicInstant, planned: Duration?) {
        span = beginning..<beginning
        windows = planned.map { LatencyWindows(from: beginning, lasting: $0) }
    }

    // MARK: What comes of it

    /// From the beginning to the end of the last operation.
    public var elapsed: Duration { span.map { $0.upperBound - $0.lowerBound } ?? .zero }

    /// Operations that succeeded in a second of ``elapsed``.
    public var throughput: Double { Double(succeeded) / max(elapsed.inSeconds, 0.000_001) }

    /// `nil` before the first.
    public var meanLatency: Duration? { latency.count == 0 ? nil : latencySum / latency.count }

    /// Of those that were begun.
    public var failureRatio: Double {
        let begun = succeeded + failed
        return begun == 0 ? 0 : Double(failed) / Double(begun)
    }

    // MARK: How it comes about

    mutating func record(
        dueAt due: MonotonicInstant, from began: MonotonicInstant, to ended: MonotonicInstant, failure: String?
    ) {
        latency.record(ended - due)
        service.record(ended - began)
        latencySum += ended - due
        windows?.record(ended - due, dueAt: due, isFailed: failure != nil)
        if failure == nil { succeeded += 1 } else { failed += 1 }
        firstError = firstError ?? failure
        extend(to: ended)
    }

    mutating func drop(at instant: MonotonicInstant) {
        dropped += 1
        extend(to: instant)
    }

    private mutating func extend(to instant: MonotonicInstant) {
        if let span { self.span = span.lowerBound..<max(span.upperBound, instant) }
    }

    /// Adds what another load has come to, beside this one or after it.
    public mutating func add(_ other: LoadReport) {
        due += other.due
        succeeded += other.succeeded
        failed += other.failed
        dropped += other.dropped
        latency.add(other.latency)
        service.add(other.service)
        latencySum += other.latencySum
        firstError = firstError ?? other.firstError
        if let mine = span, let theirs = other.span {
            span = min(mine.lowerBound, theirs.lowerBound)..<max(mine.upperBound, theirs.upperBound)
        } else {
            span = span ?? other.span
        }
        if let theirs = other.windows {
            windows?.add(theirs)
            windows = windows ?? theirs
        }
    }
}

/// What the clients of a load share.
final class LoadProgress: Sendable {
    private let state: Mutex<(next: Int, report: LoadReport)>

    init(_ report: LoadReport) { state = Mutex((next: 0, report: report)) }

    /// - Returns: the number of the next operation; `nil` when there is none below `limit`.
    func next(below limit: Int) -> Int? {
        state.withLock { state in
            guard state.next < limit else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    func note(_ body: (inout LoadReport) -> Void) { state.withLock { body(&$0.report) } }

    /// - Parameter due: how many the schedule had; `nil`: those that were begun.
    func report(due: Int?) -> LoadReport {
        state.withLock { state in
            state.report.due = due ?? state.next
            return state.report
        }
    }

    /// - Returns: what went wrong, in words; `nil` when nothing did.
    /// - Throws: `CancellationError` when the load itself is to end.
    static func failure(of operation: () async throws -> Void) async throws -> String? {
        do {
            try await operation()
            return nil
        } catch {
            try Task.checkCancellation()
            return "\(error)"
        }
    }
}

extension ScenarioRun {
    /// Notes a load under this name: latency from when it was due and what part succeeded, whole and window by window,
    /// failures, dropped operations, and doubt when it could not be kept up.
    public func note(_ name: String, _ report: LoadReport) {
        note(name, report.latency)
        note("\(name) operations", count: report.succeeded + report.failed)
        note("\(name) failures", report.failureRatio, .ratio)
        note("\(name) dropped", count: report.dropped)
        if let error = report.firstError { say("\(name): \(error)") }
        if Double(report.dropped) > 0.01 * Double(report.due) {
            doubt("\(name): \(report.dropped) of \(report.due) operations could not be begun in time")
        }
        let windows = report.windows?.filled ?? []
        for (from, window) in windows {
            if let success = window.success { sample("\(name) success over time", success, .ratio, at: from) }
        }
        // One alone says nothing that the whole does not say.
        guard windows.count > 1 else { return }
        for (from, latencies) in windows where latencies.count > 0 {
            for percent in [50, 95, 99] {
                let seconds = latencies.percentile(Double(percent)).inSeconds
                sample("\(name) p\(percent) over time", seconds, .seconds, at: from)
            }
        }
    }
}
