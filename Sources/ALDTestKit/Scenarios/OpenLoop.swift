public import ALDCore
import Synchronization

/// Load at a constant rate that does not wait for answers: each operation is due at an instant fixed beforehand, and its
/// latency counts from then, so a stall is seen by everything that was due during it.
public struct OpenLoop: Sendable {
    /// Operations per second.
    public var rate: Double
    public var duration: Duration
    /// How many may be under way at a time.
    public var clients: Int
    /// An operation that nobody is free to begin for so long after it was due is dropped. Defaults to 5 s.
    public var patience: Duration = .seconds(5)

    public init(rate: Double, duration: Duration, clients: Int) {
        self.rate = rate
        self.duration = duration
        self.clients = clients
    }

    /// What has become of the operations.
    public struct Report: Sendable {
        /// Due by the schedule.
        public var due = 0
        public var succeeded = 0
        public var failed = 0
        /// Never begun, because the load could not be kept up.
        public var dropped = 0
        /// From the instant at which an operation was due to its end; failed ones, too.
        public var latency = DurationHistogram()
        /// From its beginning to its end.
        public var service = DurationHistogram()
        public var firstError: String?

        public init() {}

        /// Adds what another load has come to.
        public mutating func add(_ other: Report) {
            due += other.due
            succeeded += other.succeeded
            failed += other.failed
            dropped += other.dropped
            latency.add(other.latency)
            service.add(other.service)
            firstError = firstError ?? other.firstError
        }

        /// Of those that were begun.
        public var failureRatio: Double {
            let begun = succeeded + failed
            return begun == 0 ? 0 : Double(failed) / Double(begun)
        }
    }

    /// - Parameter operation: given its client, `0..<clients`, and its number, from 0.
    /// - Returns: when the last operation has ended.
    public func run(
        time: any TimeSource = SystemTime(),
        _ operation: @escaping @Sendable (_ client: Int, _ number: Int) async throws -> Void
    ) async throws -> Report {
        let due = max(1, Int((rate * duration.inSeconds).rounded()))
        let progress = Progress()
        let beginning = time.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in 0..<max(1, clients) {
                group.addTask {
                    while let number = progress.next(below: due) {
                        let instant = beginning + .seconds(Double(number) / rate)
                        try await time.sleep(until: instant)
                        let began = time.now
                        guard began - instant <= patience else {
                            progress.note { $0.dropped += 1 }
                            continue
                        }
                        var failure: String?
                        do {
                            try await operation(client, number)
                        } catch {
                            try Task.checkCancellation()
                            failure = "\(error)"
                        }
                        let ended = time.now
                        progress.note { report in
                            report.latency.record(ended - instant)
                            report.service.record(ended - began)
                            if failure == nil { report.succeeded += 1 } else { report.failed += 1 }
                            report.firstError = report.firstError ?? failure
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        var report = progress.report
        report.due = due
        return report
    }

    /// What the clients of a load share.
    private final class Progress: Sendable {
        private let state = Mutex((next: 0, report: Report()))

        var report: Report { state.withLock(\.report) }

        func next(below due: Int) -> Int? {
            state.withLock { state in
                guard state.next < due else { return nil }
                defer { state.next += 1 }
                return state.next
            }
        }

        func note(_ body: (inout Report) -> Void) { state.withLock { body(&$0.report) } }
    }
}

extension ScenarioRun {
    /// Notes a load under this name: latency from when it was due, failures, and doubt when it could not be kept up.
    public func note(_ name: String, _ report: OpenLoop.Report) {
        note(name, report.latency)
        note("\(name) operations", count: report.succeeded + report.failed)
        note("\(name) failures", report.failureRatio, .ratio)
        if let error = report.firstError { say("\(name): \(error)") }
        if Double(report.dropped) > 0.01 * Double(report.due) {
            doubt("\(name): \(report.dropped) of \(report.due) operations could not be begun in time")
        }
    }
}
