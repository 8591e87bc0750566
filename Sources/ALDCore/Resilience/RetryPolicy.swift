/// How often and at what pace something is tried again.
public struct RetryPolicy: Hashable, Sendable {
    /// What a failure says about trying again.
    public enum Advice: Hashable, Sendable {
        /// Not before `after`, which the server may have asked for.
        case retry(after: Duration = .zero)
        /// It would fail again, or nobody knows whether it took effect and twice would do harm.
        case never
    }

    /// Why it is not tried again.
    public enum Refusal: Hashable, Sendable {
        case notRetriable, attemptsUsedUp, budgetUsedUp, deadlineTooNear
    }

    public enum Decision: Hashable, Sendable {
        /// Try again then. `isProbe`: tell the budget when that attempt has ended.
        case retry(at: MonotonicInstant, isProbe: Bool)
        case giveUp(Refusal)
    }

    /// Attempts in all, the first one included: 1 to 1000. Defaults to 4.
    public var maximumAttempts = 4
    /// The waits between them. Defaults to 20 ms, doubled up to 500 ms, full jitter.
    public var backoff = Backoff.Configuration(base: .milliseconds(20), cap: .milliseconds(500), jitter: .full)

    public init() {}

    /// Everything is tried again but what an open breaker rejected and what ran into a deadline: nobody knows whether
    /// that took effect, and twice may do harm.
    public static func usualAdvice(for error: any Error) -> Advice {
        error is CircuitBreaker.Rejection || error is DeadlineExceeded ? .never : .retry()
    }

    /// - Throws: ``ConfigurationProblems`` with everything that is wrong.
    public func validate() throws {
        if let problems = ConfigurationProblems(problems(named: "retry")) { throw problems }
    }

    /// What is wrong with these settings, one sentence each; empty when nothing is.
    public func problems(named name: String) -> [String] {
        var problems = backoff.problems(named: "\(name).backoff")
        if !(1...1000).contains(maximumAttempts) {
            problems.append("\(name).maximumAttempts is \(maximumAttempts); it must be 1 to 1000")
        }
        return problems
    }
}
