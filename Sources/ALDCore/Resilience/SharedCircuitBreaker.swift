import Synchronization

/// A ``CircuitBreaker`` for all tasks that call the same peer.
///
/// ```swift
/// let breaker = SharedCircuitBreaker(.standard, time: time, seed: seed)
/// let answer = try await breaker.call { try await client.ask() }
/// ```
public final class SharedCircuitBreaker: Sendable {
    private struct State {
        var breaker: CircuitBreaker
        var random: SeededGenerator
    }

    /// What happened, for a log and for metrics. For one reader; the newest
    /// ``CircuitBreaker/maximumPendingEvents`` are kept for it. Ends with the breaker.
    public let events: AsyncStream<CircuitBreaker.Event>
    private let continuation: AsyncStream<CircuitBreaker.Event>.Continuation
    private let state: Mutex<State>
    private let time: any TimeSource
    private let lease: Duration

    /// - Parameter seed: of the chance that spreads the open times; another one for each process.
    public init(_ breaker: CircuitBreaker, time: any TimeSource, seed: UInt64) {
        (events, continuation) = AsyncStream.makeStream(
            bufferingPolicy: .bufferingNewest(CircuitBreaker.maximumPendingEvents))
        state = Mutex(State(breaker: breaker, random: SeededGenerator(seed: seed)))
        self.time = time
        lease = breaker.configuration.lease
    }

    deinit {
        continuation.finish()
    }

    /// For what a call does between its deadline and its end.
    private static let grace = Duration.seconds(1)

    /// The state now, time included.
    public var current: CircuitBreaker {
        update { breaker, now, chance in
            breaker.advance(now: now, chance: chance)
            return breaker
        }
    }

    /// The one doorway: events leave in the order in which they happened.
    public func update<Result: Sendable>(
        _ body: (inout CircuitBreaker, _ now: MonotonicInstant, _ chance: Double) -> Result
    ) -> Result {
        state.withLock { state in
            // Read under the lock: otherwise time could seem to go back from one caller to the next.
            let result = body(&state.breaker, time.now, Double.random(in: 0..<1, using: &state.random))
            if state.breaker.hasEvents { state.breaker.takeEvents().forEach { continuation.yield($0) } }
            return result
        }
    }

    /// Makes one call, if the breaker allows, and judges it.
    ///
    /// A call that was cancelled gives its permit back and says nothing about the peer.
    ///
    /// - Parameter outcome: what an error says about the peer. By default everything is a failure.
    /// - Throws: ``CircuitBreaker/Rejection`` when it was not made; otherwise what the operation threw.
    nonisolated(nonsending) public func call<Success>(
        outcome: (any Error) -> CircuitBreaker.Outcome = { _ in .failure },
        operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        try await call(lease: nil, outcome: outcome, operation: operation)
    }

    /// Makes one call as ``call(outcome:operation:)`` does, and cancels it at `deadline`; that is a failure.
    ///
    /// - Throws: ``CircuitBreaker/Rejection``, ``DeadlineExceeded``, or what the operation threw.
    public func call<Success: Sendable>(
        deadline: Deadline, outcome: (any Error) -> CircuitBreaker.Outcome = { _ in .failure },
        operation: @escaping @Sendable () async throws -> Success
    ) async throws -> Success {
        let now = time.now
        if deadline.hasPassed(now: now) { throw DeadlineExceeded(deadline) }
        // A call that may take longer than a lease must not lose its permit on the way.
        let lease = max(lease, deadline.remaining(now: now) + Self.grace)
        return try await call(lease: lease, outcome: outcome) {
            try await withDeadline(deadline, time: time, operation: operation)
        }
    }

    nonisolated(nonsending) private func call<Success>(
        lease: Duration?, outcome: (any Error) -> CircuitBreaker.Outcome,
        operation: nonisolated(nonsending) () async throws -> Success
    ) async throws -> Success {
        let permit =
            switch update({ $0.acquire(lease: lease, now: $1, chance: $2) }) {
            case .permitted(let permit): permit
            case .rejected(let rejection): throw rejection
            }
        do {
            let success = try await operation()
            complete(permit, .success)
            return success
        } catch {
            complete(permit, judge(error, outcome))
            throw error
        }
    }

    private func judge(
        _ error: any Error, _ outcome: (any Error) -> CircuitBreaker.Outcome
    ) -> CircuitBreaker.Outcome {
        if error is DeadlineExceeded { return outcome(error) }
        let isCancelled = withUnsafeCurrentTask { $0?.isCancelled ?? false }
        return isCancelled || error is CancellationError ? .ignored : outcome(error)
    }

    private func complete(_ permit: CircuitBreaker.Permit, _ outcome: CircuitBreaker.Outcome) {
        _ = update { $0.complete(permit, outcome, now: $1, chance: $2) }
    }
}
