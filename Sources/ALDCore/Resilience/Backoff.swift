/// How long to wait before the next attempt: exponential growth with jitter, so that many clients that failed
/// together do not come back together (Brooker, "Exponential Backoff And Jitter", 2015).
public struct Backoff: Sendable {
    /// How chance spreads the waits.
    public enum Jitter: Hashable, Sendable {
        /// Not at all: `base`, doubled with every failure, at most `cap`.
        case none
        /// Between zero and what ``none`` waits: spreads best, but may come back at once.
        case full
        /// Between `base` and three times the previous wait, at most `cap`: never shorter than `base`.
        case decorrelated
    }

    public struct Configuration: Hashable, Sendable {
        /// The shortest wait, and the one after the first failure at least. Defaults to 100 ms.
        public var base: Duration = .milliseconds(100)
        /// The longest wait. Defaults to 5 s.
        public var cap: Duration = .seconds(5)
        /// Defaults to decorrelated.
        public var jitter = Jitter.decorrelated

        public init(
            base: Duration = .milliseconds(100), cap: Duration = .seconds(5), jitter: Jitter = .decorrelated
        ) {
            self.base = base
            self.cap = cap
            self.jitter = jitter
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
    /// The last wait, before chance for ``Jitter/none`` and ``Jitter/full``.
    private(set) var previous: Duration?

    public init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
    }

    /// The wait after one more failure: at most `cap`, spread as ``Jitter`` says.
    ///
    /// - Parameter chance: drawn from 0..<1; where in between.
    public mutating func next(chance: Double) -> Duration {
        switch configuration.jitter {
        case .none: return exponential()
        case .full: return exponential() * chance
        case .decorrelated:
            let base = configuration.base.inSeconds
            let upper = max(base, (previous ?? configuration.base).inSeconds * 3)
            let wait = min(configuration.cap, .seconds(base + (upper - base) * chance))
            previous = wait
            return wait
        }
    }

    private mutating func exponential() -> Duration {
        let wait = previous.map { min(configuration.cap, min($0, configuration.cap) * 2) } ?? configuration.base
        previous = wait
        return wait
    }

    /// The wait after one more failure, by the chance that `random` gives it.
    public mutating func next(using random: inout some RandomNumberGenerator) -> Duration {
        next(chance: Double.random(in: 0..<1, using: &random))
    }

    /// Something succeeded: the next wait starts at `base` again.
    public mutating func reset() {
        previous = nil
    }

    /// Goes on from an earlier wait, such as the one before a restart.
    mutating func resume(from wait: Duration?) {
        previous = wait.map { min($0, configuration.cap) }
    }
}
