extension BatchWriter {
    public struct Configuration: Sendable {
        /// How long one attempt to write batches may take. Defaults to 10 s.
        public var attemptTimeout: Duration = .seconds(10)
        /// The pause after a failed attempt. Defaults to 100 ms growing to 5 s.
        public var backoff = Backoff.Configuration()
        /// When the database is left alone, and how it is tried again. Defaults to 3 failures in a row, or half of the
        /// calls; then to 500 ms growing to 5 s. It never holds up acceptance.
        public var breaker: CircuitBreaker.Configuration
        /// Bounds how often failed attempts are repeated quickly. Defaults to 10 and one more every 30 s.
        public var retryBudget = RetryBudget.Configuration()
        /// How long batches of a kind are held when somebody has to change something first; up to twice as long by
        /// chance. Defaults to 30 s.
        public var hold: Duration = .seconds(30)
        /// How long a shutdown may go on sending. Defaults to 2 s.
        public var flushTimeout: Duration = .seconds(2)
        /// For our own tests.
        package var failPoints = FailPoints.none

        public init() {
            breaker = CircuitBreaker.Configuration()
            breaker.openTime = Backoff.Configuration(base: .milliseconds(500), cap: .seconds(5))
            // A delivery takes as long as it is large: its size adapts to that, see `DeliveryPace`.
            breaker.slowCalls = nil
        }

        func validate() throws(ConfigurationProblems) {
            var problems = backoff.problems(named: "backoff") + breaker.problems(named: "breaker")
            problems += retryBudget.problems(named: "retryBudget")
            for (name, value) in [("attemptTimeout", attemptTimeout), ("hold", hold)] where value <= .zero {
                problems.append("\(name) is \(value); it must be longer than zero")
            }
            if flushTimeout < .zero { problems.append("flushTimeout is \(flushTimeout); it must not be negative") }
            if let problems = ConfigurationProblems(problems) { throw problems }
        }

        func machine(takesDeadLetters: Bool) -> WriterStateMachine.Configuration {
            var machine = WriterStateMachine.Configuration()
            machine.attemptTimeout = attemptTimeout
            machine.backoff = backoff
            machine.breaker = breaker
            machine.budget = retryBudget
            machine.hold = hold
            machine.takesDeadLetters = takesDeadLetters
            return machine
        }
    }

    /// Counted since the spool was opened, in records. ``isBalanced`` holds at every moment.
    public struct Statistics: Hashable, Sendable {
        /// Found in the spool at the start, left by an earlier run.
        public var carriedOver = 0
        public var accepted = 0
        /// Forgotten by the database after it had confirmed them, and waiting again since.
        public var resurrected = 0
        public var landed = 0
        /// Landed as dead letters.
        public var deadLettered = 0
        /// Damaged or deleted on disk while they waited.
        public var lost = 0
        /// In the spool now.
        public var spooled = 0
        /// Attempts that failed.
        public var failedAttempts = 0
        /// Why the last attempt failed; `nil` after one that succeeded.
        public var lastFault: String?
        /// Why batches of some kind are held until somebody changes something; `nil` while none is.
        public var heldBecause: String?
        public var breaker = CircuitBreaker.StateName.closed
        /// Whether all that is retained was compared with the ledger since the last connect.
        public var isReconciled = false

        public init() {}

        /// Nothing accepted is lost or doubled: each record is in one place.
        public var isBalanced: Bool { accepted + carriedOver + resurrected == landed + deadLettered + lost + spooled }
    }
}
