extension CircuitBreaker {
    /// When a breaker opens, how long it stays open and how it comes back. The defaults fit one call per second.
    public struct Configuration: Hashable, Sendable {
        /// So many failures in a row open it; `nil` does not count them. Defaults to 3.
        public var consecutiveFailures: Int? = 3
        /// The share of failures, above 0 to 1, at which a window opens it. Defaults to 0.5.
        public var failureRate = 0.5
        /// So many calls must be in a window before its failure rate means something. Defaults to 6.
        public var minimumCalls = 6
        /// The number of last calls to judge; `nil` is without count window. Defaults to 20.
        public var countWindow: Int? = 20
        /// The span of time to judge; `nil` is without time window. Defaults to 60 s.
        public var timeWindow: Duration? = .seconds(60)
        /// When calls that succeed too slowly open it; `nil` never. Defaults to ``SlowCalls``'s own values.
        public var slowCalls: SlowCalls? = SlowCalls()
        /// How long it stays open: grows from opening to opening. Defaults to 1 s up to 60 s, decorrelated.
        public var openTime = Backoff.Configuration(base: .seconds(1), cap: .seconds(60))
        /// The open time starts over once successes were seen for so long after closing. Defaults to 5 min.
        public var sustainedHealth: Duration = .seconds(300)
        /// Probes under way at once while half-open. Defaults to 1.
        public var halfOpenPermits = 1
        /// Successful probes that end half-open. Defaults to 1.
        public var halfOpenSuccesses = 1
        /// How load comes back; `nil` closes right after the probes. Defaults to 10 % more each round.
        public var ramp: Ramp? = Ramp()
        /// Calls under way at once at full load; further ones are rejected. Defaults to 1000.
        public var maximumConcurrentCalls = 1000
        /// After so long a permit that nobody returned counts as a failed call. Defaults to 60 s.
        public var lease: Duration = .seconds(60)

        public init() {}
    }

    /// Calls that answer, but far slower than this peer usually does.
    public struct SlowCalls: Hashable, Sendable {
        /// Slow is what takes longer than so many times the usual 95th percentile. Defaults to 3.
        public var factor = 3.0
        /// Nothing shorter than this is slow. Defaults to 100 ms.
        public var floor: Duration = .milliseconds(100)
        /// The share of slow calls, above 0 to 1, at which a window opens the breaker. Defaults to 0.8.
        public var rate = 0.8
        /// So many judged calls must be in a window before the rate means something. Defaults to 10.
        public var minimumCalls = 10
        /// So many successes teach what is usual, before anything is judged. Defaults to 20.
        public var learningCalls = 20

        public init() {}
    }

    /// Additive increase, multiplicative decrease of the load after an outage.
    public struct Ramp: Hashable, Sendable {
        /// The first allowance, in percent of the full load. Defaults to 10.
        public var start = 10
        /// What each step adds, in percent points. Defaults to 10.
        public var step = 10
        /// Healthy calls that a step takes, and at least as many as were under way when it began: 1 to 1000. A step so
        /// takes a round trip or longer. Defaults to 3.
        public var successes = 3

        public init() {}
    }
}

extension CircuitBreaker.Configuration {
    static let maximumWindow = 10_000
    static let maximumCalls = 1_000_000

    /// - Throws: ``ConfigurationProblems`` with everything that is wrong.
    public func validate() throws {
        if let problems = ConfigurationProblems(problems(named: "breaker")) { throw problems }
    }

    /// What is wrong with these settings, one sentence each; empty when nothing is.
    public func problems(named name: String) -> [String] {
        let checks: [(Bool, String)] = [
            (consecutiveFailures.map { $0 >= 1 } ?? true, "consecutiveFailures must be at least 1, or nil"),
            (failureRate > 0 && failureRate <= 1, "failureRate is \(failureRate); it must be above 0, at most 1"),
            (minimumCalls >= 1, "minimumCalls is \(minimumCalls); it must be at least 1"),
            (
                countWindow.map { $0 >= max(minimumCalls, 1) && $0 <= Self.maximumWindow } ?? true,
                "countWindow must hold minimumCalls (\(minimumCalls)) to \(Self.maximumWindow) calls, or be nil"
            ),
            (timeWindow.map { $0 >= .milliseconds(10) } ?? true, "timeWindow must be at least 10 ms, or nil"),
            (sustainedHealth >= .zero, "sustainedHealth is \(sustainedHealth); it must not be negative"),
            (
                (1...Self.maximumCalls).contains(maximumConcurrentCalls),
                "maximumConcurrentCalls is \(maximumConcurrentCalls); it must be 1 to \(Self.maximumCalls)"
            ),
            (
                halfOpenPermits >= 1 && halfOpenPermits <= maximumConcurrentCalls,
                "halfOpenPermits is \(halfOpenPermits); it must be 1 to maximumConcurrentCalls"
            ),
            (halfOpenSuccesses >= 1, "halfOpenSuccesses is \(halfOpenSuccesses); it must be at least 1"),
            (lease > .zero, "lease is \(lease); it must be longer than zero"),
        ]
        return checks.filter { !$0.0 }.map { "\(name).\($0.1)" } + openTime.problems(named: "\(name).openTime")
            + slowCallProblems(named: "\(name).slowCalls") + rampProblems(named: "\(name).ramp")
    }

    private func slowCallProblems(named name: String) -> [String] {
        guard let slowCalls else { return [] }
        let fits = countWindow.map { slowCalls.minimumCalls <= $0 } ?? true
        let checks: [(Bool, String)] = [
            (slowCalls.factor >= 1, "factor is \(slowCalls.factor); it must be at least 1"),
            (slowCalls.floor >= .zero, "floor is \(slowCalls.floor); it must not be negative"),
            (slowCalls.rate > 0 && slowCalls.rate <= 1, "rate is \(slowCalls.rate); it must be above 0, at most 1"),
            (
                slowCalls.minimumCalls >= 1 && fits,
                "minimumCalls is \(slowCalls.minimumCalls); it must be at least 1 and fit into countWindow"
            ),
            (slowCalls.learningCalls >= 1, "learningCalls is \(slowCalls.learningCalls); it must be at least 1"),
        ]
        return checks.filter { !$0.0 }.map { "\(name).\($0.1)" }
    }

    private func rampProblems(named name: String) -> [String] {
        guard let ramp else { return [] }
        let checks: [(Bool, String)] = [
            ((1...99).contains(ramp.start), "start is \(ramp.start) %; it must be 1 to 99"),
            ((1...99).contains(ramp.step), "step is \(ramp.step) %; it must be 1 to 99"),
            ((1...1000).contains(ramp.successes), "successes is \(ramp.successes); it must be 1 to 1000"),
        ]
        return checks.filter { !$0.0 }.map { "\(name).\($0.1)" }
    }
}
