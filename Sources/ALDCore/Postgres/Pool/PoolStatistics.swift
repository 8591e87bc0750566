/// A consistent snapshot of a pool. These laws always hold:
///
/// * `total == leased + idle + checking + connecting + closing`, never above the configured maximum;
/// * `connectsStarted == connectsSucceeded + connectsFailed + connecting`, and
///   `connectsSucceeded == leased + idle + checking + closing + closed`;
/// * `requests == leases + timeouts + failures + cancellations + refusals + waiting`;
/// * `leases == leased + use.count + reclaimed`, and `wait.count == leases + deadAtLease`;
/// * `closes.total == closing + closed`, and `create.count == connectsSucceeded`.
public struct PoolStatistics: Sendable, Hashable {
    /// Connections lent out now.
    public var leased = 0
    /// Connections ready to be lent.
    public var idle = 0
    /// Idle connections of which it is being found out whether the server is still there.
    public var checking = 0
    /// Connects under way.
    public var connecting = 0
    /// Connections being closed; they still hold their slot.
    public var closing = 0
    /// Callers waiting now.
    public var waiting = 0

    /// Callers that asked for a connection since the start.
    public var requests = 0
    /// Callers that were given one.
    public var leases = 0
    /// Callers whose deadline passed while they waited.
    public var timeouts = 0
    /// Callers failed because connecting is pointless, or because the pool shut down while they waited.
    public var failures = 0
    /// Callers that gave up waiting by themselves.
    public var cancellations = 0
    /// Callers turned away on arrival: queue full, deadline already over, breaker open, shut down.
    public var refusals = 0

    /// Leases that the pool ended: leaked, or cut off by its shutdown.
    public var reclaimed = 0
    /// Returns that came after the lease had been reclaimed. They changed nothing.
    public var lateReturns = 0
    /// Connections that were found dead when they were to be lent; their callers waited on.
    public var deadAtLease = 0

    public var connectsStarted = 0
    public var connectsSucceeded = 0
    public var connectsFailed = 0
    /// Connections that have ended, for whatever reason.
    public var closed = 0
    /// Why connections were closed, those that are being closed now included.
    public var closes = PoolCloses()
    /// How often all connections were replaced: by command, or because the server was no primary any more.
    public var generation = 0
    /// The breaker on connecting.
    public var breaker = CircuitBreaker.StateName.closed

    /// From asking to getting a connection.
    public var wait = TimeTally()
    /// From getting a connection to giving it back.
    public var use = TimeTally()
    /// From beginning to connect to being connected.
    public var create = TimeTally()

    /// All connections, in every state.
    public var total: Int { leased + idle + checking + connecting + closing }

    /// Connections that were found dead, or were returned unusable.
    public var broken: Int { closes[.dead] + closes[.unclean] }

    public init() {}
}

/// How often, how long together and how long at most something took.
public struct TimeTally: Sendable, Hashable {
    public private(set) var count = 0
    /// Nanoseconds: a plain number costs less on the way of every caller.
    private var nanoseconds: Int64 = 0
    private var longest: Int64 = 0

    public var total: Duration { .nanoseconds(nanoseconds) }
    public var maximum: Duration { .nanoseconds(longest) }
    /// `nil` before the first.
    public var mean: Duration? { count == 0 ? nil : .nanoseconds(nanoseconds / Int64(count)) }

    public init() {}

    mutating func add(from start: MonotonicInstant, to end: MonotonicInstant) {
        let span = max(0, end.nanoseconds &- start.nanoseconds)
        count += 1
        nanoseconds &+= span
        longest = max(longest, span)
    }
}

/// Why a connection was closed.
public enum PoolCloseCause: String, Sendable, CaseIterable {
    /// Nobody needed it for the idle timeout.
    case idle
    /// Its lifetime was over.
    case lifetime
    /// The server, or the way to it, was found gone.
    case dead
    /// It came back with a transaction open, a statement running, or broken.
    case unclean
    /// All connections of its generation were.
    case evicted
    /// Its holder did not give it back in time.
    case leaked
    case paused
    case shutDown
}

/// How many connections were closed for which cause.
public struct PoolCloses: Sendable, Hashable {
    private var counts: [PoolCloseCause: Int] = [:]

    public subscript(cause: PoolCloseCause) -> Int { counts[cause, default: 0] }
    public var total: Int { counts.values.reduce(0, +) }

    public init() {}

    mutating func count(_ cause: PoolCloseCause) { counts[cause, default: 0] += 1 }
}
