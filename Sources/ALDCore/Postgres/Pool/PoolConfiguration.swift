/// How many connections a pool keeps, and how long it waits for what. Check with ``validate()``.
public struct PoolConfiguration: Sendable, Hashable {
    /// Connections that exist at most, in every state. When all are leased, further callers wait in order of
    /// arrival. Defaults to 10.
    public var maximumConnections = 10

    /// Connections kept open even when nobody uses them. Defaults to 0.
    public var minimumConnections = 0

    /// Callers that may wait at a time; one more is refused at once. Defaults to 1000.
    public var maximumWaiters = 1000

    /// Connects under way at a time; one only while the last one failed. Defaults to 2.
    public var maximumConcurrentConnects = 2

    /// The time one connect may take, name resolution and authentication included. Defaults to 5 seconds.
    public var connectTimeout: Duration = .seconds(5)

    /// An idle connection beyond the minimum is closed after this time. Defaults to 10 minutes.
    public var idleTimeout: Duration = .seconds(600)

    /// A connection is closed at its return, or while idle, after this time. Defaults to 30 minutes.
    public var maximumLifetime: Duration = .seconds(1800)

    /// The share of the lifetime by which connections may live shorter, drawn by chance for each, so that those
    /// opened together do not end together. In 0…1. Defaults to 0.1.
    public var lifetimeJitter = 0.1

    /// The pause after a failed connect. It grows with every further failure to at most three times the last
    /// pause, drawn by chance. Defaults to 100 milliseconds.
    public var initialBackoff: Duration = .milliseconds(100)

    /// The longest pause between two connects. Defaults to 10 seconds.
    public var maximumBackoff: Duration = .seconds(10)

    public init() {}

    /// Checks every value and every relation between values.
    ///
    /// - Throws: ``PostgresError/Code/configurationInvalid`` that lists **all** problems.
    public func validate() throws(PostgresError) {
        let rules: [(Bool, String)] = [
            (maximumConnections >= 1, "maximumConnections must be at least 1, it is \(maximumConnections)"),
            (
                (0...max(0, maximumConnections)).contains(minimumConnections),
                "minimumConnections must be in 0…maximumConnections, it is \(minimumConnections)"
            ),
            (maximumWaiters >= 1, "maximumWaiters must be at least 1, it is \(maximumWaiters)"),
            (
                maximumConcurrentConnects >= 1,
                "maximumConcurrentConnects must be at least 1, it is \(maximumConcurrentConnects)"
            ),
            (connectTimeout > .zero, "connectTimeout must be positive, it is \(connectTimeout)"),
            (idleTimeout > .zero, "idleTimeout must be positive, it is \(idleTimeout)"),
            (maximumLifetime > .zero, "maximumLifetime must be positive, it is \(maximumLifetime)"),
            ((0...1).contains(lifetimeJitter), "lifetimeJitter must be in 0…1, it is \(lifetimeJitter)"),
            (initialBackoff > .zero, "initialBackoff must be positive, it is \(initialBackoff)"),
            (
                maximumBackoff >= initialBackoff,
                "maximumBackoff (\(maximumBackoff)) must not be below initialBackoff (\(initialBackoff))"
            ),
        ]
        let problems = rules.filter { !$0.0 }.map(\.1)
        guard problems.isEmpty else {
            throw PostgresError(
                .configurationInvalid,
                "the pool configuration has \(problems.count) problem(s): "
                    + problems.joined(separator: "; "))
        }
    }
}
