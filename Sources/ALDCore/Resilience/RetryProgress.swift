/// The attempts of one operation under a ``RetryPolicy``.
public struct RetryProgress: Sendable {
    public let policy: RetryPolicy
    /// The number of the attempt under way, from 1.
    public private(set) var attempt = 1
    private var backoff: Backoff

    public init(_ policy: RetryPolicy) {
        self.policy = policy
        backoff = Backoff(policy.backoff)
    }

    /// The attempt failed. A token is taken from the budget only if there is time and leave for another one.
    ///
    /// - Parameter chance: drawn from 0..<1; spreads the wait.
    public mutating func failed(
        _ advice: RetryPolicy.Advice, budget: inout RetryBudget, deadline: Deadline, now: MonotonicInstant,
        chance: Double
    ) -> RetryPolicy.Decision {
        guard case .retry(let after) = advice else { return .giveUp(.notRetriable) }
        guard attempt < policy.maximumAttempts else { return .giveUp(.attemptsUsedUp) }
        let next = now + max(backoff.next(chance: chance), after)
        guard next < deadline.instant else { return .giveUp(.deadlineTooNear) }
        let grant = budget.take(now: now)
        guard grant != .denied else { return .giveUp(.budgetUsedUp) }
        attempt += 1
        return .retry(at: next, isProbe: grant == .probe)
    }
}
