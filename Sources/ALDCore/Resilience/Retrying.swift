/// Tries `operation` until it succeeds, as far as policy, budget and deadline allow.
///
/// ```swift
/// let row = try await withRetry(RetryPolicy(), budget: budget, deadline: deadline, time: time) { attempt in
///     try await client.read()
/// }
/// ```
///
/// An attempt that has begun is not cut off: bound it with ``withDeadline(_:time:operation:)``.
///
/// - Parameter advice: what a failure says about trying again. Defaults to ``RetryPolicy/usualAdvice(for:)``.
/// - Throws: what the last attempt threw; `CancellationError` when cancelled while waiting.
nonisolated(nonsending) public func withRetry<Success>(
    _ policy: RetryPolicy, budget: SharedRetryBudget, deadline: Deadline, time: some TimeSource,
    advice: (any Error) -> RetryPolicy.Advice = RetryPolicy.usualAdvice,
    operation: nonisolated(nonsending) (_ attempt: Int) async throws -> Success
) async throws -> Success {
    try policy.validate()
    var progress = RetryProgress(policy)
    var isProbe = false
    while true {
        do {
            // A probe that is cut short while waiting has ended as well.
            defer { if isProbe { budget.probeEnded() } }
            let success = try await operation(progress.attempt)
            budget.succeeded(now: time.now)
            return success
        } catch {
            if error is CancellationError || isCancelled() { throw error }
            switch budget.failed(&progress, advice(error), deadline: deadline, now: time.now) {
            case .giveUp: throw error
            case .retry(let instant, let probe):
                isProbe = probe
                do {
                    try await time.sleep(until: instant)
                } catch {
                    if probe { budget.probeEnded() }
                    throw error
                }
            }
        }
    }
}

/// Whether the calling task is cancelled.
private func isCancelled() -> Bool {
    withUnsafeCurrentTask { $0?.isCancelled ?? false }
}

/// Runs `operation` and cancels it at `deadline`.
///
/// It waits until the operation has ended, so that nothing goes on unseen: an operation that ignores being cancelled
/// delays the error.
///
/// - Throws: ``DeadlineExceeded`` when time ran out, otherwise what the operation threw.
public func withDeadline<Success: Sendable>(
    _ deadline: Deadline, time: some TimeSource, operation: @escaping @Sendable () async throws -> Success
) async throws -> Success {
    if deadline.hasPassed(now: time.now) { throw DeadlineExceeded(deadline) }
    return try await withThrowingTaskGroup(of: Success?.self) { group in
        group.addTask { try await operation() }
        group.addTask {
            try await time.sleep(until: deadline.instant)
            return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next(), let success = first else { throw DeadlineExceeded(deadline) }
        return success
    }
}
