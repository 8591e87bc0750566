/// How long to wait before the next attempt: exponential growth with decorrelated jitter, so that many clients that
/// failed together do not come back together (Brooker, "Exponential Backoff And Jitter", 2015).
public struct Backoff: Sendable {
    public struct Configuration: Sendable {
        /// The shortest wait, and the one after the first failure at least. Defaults to 100 ms.
        public var base: Duration = .milliseconds(100)
        /// The longest wait. Defaults to 5 s.
        public var cap: Duration = .seconds(5)

        public init(base: Duration = .milliseconds(100), cap: Duration = .seconds(5)) {
            self.base = base
            self.cap = cap
        }

        /// What is wrong with these settings, one sentence each; empty when nothing is.
        public func problems(named name: String) -> [String] {
            var problems: [String] = []
            if base <= .zero { problems.append("\(name).base is \(base); it must be longer than zero") }
            if cap < base { problems.append("\(name).cap is \(cap); it must not be shorter than base, \(base)") }
            return problems
        }
    }

    private let configuration: Configuration
    private var previous: Duration?

    public init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
    }

    /// The wait after one more failure: drawn between `base` and three times the previous wait, at most `cap`.
    public mutating func next(using random: inout some RandomNumberGenerator) -> Duration {
        let base = configuration.base.wholeNanoseconds
        let upper = min(configuration.cap.wholeNanoseconds, (previous ?? configuration.base).wholeNanoseconds * 3)
        let wait = Duration.nanoseconds(Int64.random(in: base...max(base, upper), using: &random))
        previous = wait
        return wait
    }

    /// Something succeeded: the next wait starts at `base` again.
    public mutating func reset() {
        previous = nil
    }
}
