/// Where every wait and every time stamp of this package comes from.
///
/// Product code never asks the operating system for the time: it is handed a `TimeSource`. Production passes
/// ``SystemTime``; tests pass a manual one and never sleep.
public protocol TimeSource: Sendable {
    /// The current instant of a clock that never jumps. For deadlines, schedules and measurements.
    var now: MonotonicInstant { get }

    /// The current civil time. For stamping rows and log lines, never for scheduling.
    var wallClock: Timestamp { get }

    /// Suspends until `deadline`; returns at once when it has passed.
    ///
    /// - Throws: `CancellationError` as soon as the task is cancelled.
    func sleep(until deadline: MonotonicInstant) async throws
}

extension TimeSource {
    /// Suspends for `duration`, measured from now.
    public func sleep(for duration: Duration) async throws {
        try await sleep(until: now + duration)
    }
}
