/// How many connections a pool keeps, and how long it waits for what. Check with ``validate()``.
public struct PoolConfiguration: Sendable, Hashable {
    /// Connections that exist at most, in every state. When all are leased, further callers wait, those of one lane in
    /// order of arrival. Defaults to 10.
    public var maximumConnections = 10

    /// Connections kept open even when nobody uses them. Defaults to 0.
    public var minimumConnections = 0

    /// Of the maximum, connections that only callers of this lane get, however many others wait. What is not reserved
    /// is for all. Defaults to none.
    public var reservedConnections: [PoolLane: Int] = [:]

    /// Callers of one lane that may wait at a time; one more is refused at once. Defaults to 1000.
    public var maximumWaiters = 1000

    /// Connects under way at a time. After a failed one it is one, and with every success twice as many up to this
    /// number. Defaults to 2.
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

    /// The server is asked whether it is still there when a connection has been idle for so long, and again after the
    /// same time: that keeps the entries of firewalls alive and finds what they have cut. Defaults to 30 seconds.
    public var keepAlive: Duration = .seconds(30)

    /// The share of ``keepAlive`` by which it may come earlier, drawn by chance for each connection. In 0…1. Defaults
    /// to 0.1.
    public var keepAliveJitter = 0.1

    /// Before a connection is lent for which the server has not answered for so long, it has to answer; otherwise a
    /// look at the socket is enough. Defaults to 1 second.
    public var pingAfter: Duration = .seconds(1)

    /// The time the server has for such an answer; without one the connection is closed. Defaults to 250
    /// milliseconds.
    public var pingTimeout: Duration = .milliseconds(250)

    /// When what a holder has changed in the session is undone before the next one gets it. Defaults to
    /// ``PoolSessionReset/whenTouched``.
    public var sessionReset = PoolSessionReset.whenTouched

    /// What happens to leases that last too long, unless their holder asks for other limits.
    public var leaseLimits = LeaseLimits()

    /// So many connects in a row that nobody answered open the breaker on connecting; any other failure opens it at
    /// once. While it is open nobody connects, and callers whose deadline comes before its end fail at once. Defaults
    /// to 3.
    public var timeoutsUntilOpen = 3

    /// The pause after a failed connect, for which the breaker is open. It grows with every further failure to at most three times the last
    /// pause, drawn by chance. Defaults to 100 milliseconds.
    public var initialBackoff: Duration = .milliseconds(100)

    /// The longest pause between two connects. Defaults to 10 seconds.
    public var maximumBackoff: Duration = .seconds(10)

    /// The shortest pause after the server or a pooler before it had no place left: every further attempt would take
    /// one from somebody else. Defaults to 2 seconds.
    public var saturationCooldown: Duration = .seconds(2)

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
            (
                reservedConnections.values.allSatisfy { $0 >= 0 }
                    && reservedConnections.values.reduce(0, +) <= max(0, maximumConnections),
                "reservedConnections must not be negative and together at most maximumConnections, they are "
                    + PoolLane.allCases.map { "\($0): \(reservedConnections[$0] ?? 0)" }.joined(separator: ", ")
            ),
            (connectTimeout > .zero, "connectTimeout must be positive, it is \(connectTimeout)"),
            (idleTimeout > .zero, "idleTimeout must be positive, it is \(idleTimeout)"),
            (maximumLifetime > .zero, "maximumLifetime must be positive, it is \(maximumLifetime)"),
            ((0...1).contains(lifetimeJitter), "lifetimeJitter must be in 0…1, it is \(lifetimeJitter)"),
            (keepAlive > .zero, "keepAlive must be positive, it is \(keepAlive)"),
            ((0...1).contains(keepAliveJitter), "keepAliveJitter must be in 0…1, it is \(keepAliveJitter)"),
            (pingAfter >= .zero, "pingAfter must not be negative, it is \(pingAfter)"),
            (pingTimeout > .zero, "pingTimeout must be positive, it is \(pingTimeout)"),
            (saturationCooldown >= .zero, "saturationCooldown must not be negative, it is \(saturationCooldown)"),
            (timeoutsUntilOpen >= 1, "timeoutsUntilOpen must be at least 1, it is \(timeoutsUntilOpen)"),
            (initialBackoff > .zero, "initialBackoff must be positive, it is \(initialBackoff)"),
            (
                maximumBackoff >= initialBackoff,
                "maximumBackoff (\(maximumBackoff)) must not be below initialBackoff (\(initialBackoff))"
            ),
        ]
        let problems = rules.filter { !$0.0 }.map(\.1) + leaseLimits.problems(named: "leaseLimits")
        guard problems.isEmpty else {
            throw PostgresError(
                .configurationInvalid,
                "the pool configuration has \(problems.count) problem(s): "
                    + problems.joined(separator: "; "))
        }
    }
}
