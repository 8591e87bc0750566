/// Bounds the retries of everybody who shares a peer: a bucket of tokens, as in gRPC's proposal A6. A retry takes one, a
/// success brings a share of one, and time brings one now and then, so that a quiet client is not locked out.
///
/// Under half of its capacity nothing is retried but a single probe at a time, and that too costs a token. So in any
/// span there are at most `capacity + perSuccess * successes + span / floorInterval + 1` retries.
public struct RetryBudget: Sendable {
    public struct Configuration: Hashable, Sendable {
        /// Tokens when full: 1 to 1 000 000. Defaults to 10.
        public var capacity = 10
        /// What a success brings, in thousandths of a token: 0 to 1000. Defaults to 100, a tenth.
        public var thousandthsPerSuccess = 100
        /// Time brings one token so often. Defaults to 30 s.
        public var floorInterval: Duration = .seconds(30)

        public init() {}

        /// - Throws: ``ConfigurationProblems`` with everything that is wrong.
        public func validate() throws {
            if let problems = ConfigurationProblems(problems(named: "budget")) { throw problems }
        }

        /// What is wrong with these settings, one sentence each; empty when nothing is.
        public func problems(named name: String) -> [String] {
            var problems: [String] = []
            if !(1...1_000_000).contains(capacity) {
                problems.append("\(name).capacity is \(capacity); it must be 1 to 1 000 000")
            }
            if !(0...RetryBudget.token).contains(thousandthsPerSuccess) {
                problems.append("\(name).thousandthsPerSuccess is \(thousandthsPerSuccess); it must be 0 to 1000")
            }
            if floorInterval < .milliseconds(1) {
                problems.append("\(name).floorInterval is \(floorInterval); it must be at least 1 ms")
            }
            return problems
        }
    }

    public enum Grant: Hashable, Sendable {
        case retry
        /// The only retry for now; its end is told with ``probeEnded()``.
        case probe
        case denied
    }

    static let token = 1000

    public let configuration: Configuration
    private var thousandths: Int
    private var refilled: MonotonicInstant?
    /// Until when a probe is taken to be under way, should its end never be told.
    private var probeUntil: MonotonicInstant?

    /// A full bucket.
    ///
    /// - Throws: ``ConfigurationProblems`` with everything that is wrong with the configuration.
    public init(_ configuration: Configuration = Configuration()) throws {
        try configuration.validate()
        self.configuration = configuration
        thousandths = configuration.capacity * Self.token
    }

    /// What is left, in tokens.
    public var tokens: Double { Double(thousandths) / Double(Self.token) }

    public mutating func succeeded(now: MonotonicInstant) {
        refill(now: now)
        add(configuration.thousandthsPerSuccess)
    }

    /// May something be tried once more? Takes a token if so.
    public mutating func take(now: MonotonicInstant) -> Grant {
        refill(now: now)
        guard thousandths >= Self.token else { return .denied }
        if thousandths * 2 >= configuration.capacity * Self.token {
            thousandths -= Self.token
            return .retry
        }
        if let probeUntil, now < probeUntil { return .denied }
        thousandths -= Self.token
        probeUntil = now + configuration.floorInterval
        return .probe
    }

    public mutating func probeEnded() {
        probeUntil = nil
    }

    private mutating func refill(now: MonotonicInstant) {
        guard let last = refilled else {
            refilled = now
            return
        }
        let interval = configuration.floorInterval.wholeNanoseconds
        let count = (now - last).wholeNanoseconds / interval
        guard count > 0 else { return }
        refilled = last + .nanoseconds(count * interval)
        add(Int(min(count, Int64(configuration.capacity))) * Self.token)
    }

    private mutating func add(_ amount: Int) {
        thousandths = min(thousandths + amount, configuration.capacity * Self.token)
    }
}
