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
    nonisolated(nonsending) func sleep(until deadline: MonotonicInstant) async throws

    /// Calls `action` at `deadline`, from anywhere, unless it is called off before. For whoever waits for something else
    /// as well, and would need a second task to sleep beside it.
    ///
    /// - Parameter action: must not wait. When the deadline has passed it may be called before this returns.
    /// - Returns: what it is called off with, which may come while `action` is being called. To be kept until then: a
    ///   call that nobody holds may never come.
    func call(at deadline: MonotonicInstant, _ action: @escaping @Sendable () -> Void) -> any ScheduledCall
}

/// What is done at an instant, see ``TimeSource/call(at:_:)``.
public protocol ScheduledCall: Sendable {
    /// Nobody needs it any more. Of one that was made already nothing is changed.
    func cancel()
}

extension TimeSource {
    /// Suspends for `duration`, measured from now.
    nonisolated(nonsending) public func sleep(for duration: Duration) async throws {
        try await sleep(until: now + duration)
    }
}
