/// A consistent snapshot of a pool. Three laws always hold:
///
/// * `total == leased + idle + connecting + closing`, never above the configured maximum;
/// * `connectsStarted == connectsSucceeded + connectsFailed + connecting`, and
///   `connectsSucceeded == leased + idle + closing + closed`;
/// * `requests == leases + timeouts + failures + cancellations + refusals + waiting`.
public struct PoolStatistics: Sendable, Hashable {
    /// Connections lent out now.
    public var leased = 0
    /// Connections ready to be lent.
    public var idle = 0
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
    /// Callers turned away on arrival: queue full, deadline already over, shut down.
    public var refusals = 0

    public var connectsStarted = 0
    public var connectsSucceeded = 0
    public var connectsFailed = 0
    /// Connections that have ended, for whatever reason.
    public var closed = 0
    /// Connections that were found dead when they were to be lent, or were returned unusable.
    public var broken = 0

    /// All connections, in every state.
    public var total: Int { leased + idle + connecting + closing }

    public init() {}
}
