/// What happens in a pool, for metrics. See ``PoolObserver``.
public enum PoolEvent: Sendable {
    case leased(PoolLane, waited: Duration)
    case returned(PoolLane, used: Duration)
    /// Somebody got no connection.
    case failed(PoolLane, PoolFailure.Reason, waited: Duration)
    case connected(took: Duration)
    indirect case connectFailed(PostgresError, took: Duration)
    case closed(PoolCloseCause, age: Duration)
    /// A lease lasts too long, and this was done about it.
    case leak(LeakStage, PoolLease)
    /// A lease that had been reclaimed was given back by its holder.
    case lateReturn
    /// All connections are being replaced. They are of this generation from now on.
    case evicted(reason: String, generation: Int)
    case paused(reason: String)
    case resumed
    /// Connecting began to fail.
    indirect case outageBegan(PostgresError)
    /// A connect succeeded again.
    case outageEnded(failures: Int, lasted: Duration)

    /// The breaker on connecting has something to say.
    case breaker(CircuitBreaker.Event)

    /// Whether it is worth a line in the log and happens seldom enough for it.
    var isNotable: Bool {
        switch self {
        case .leak, .lateReturn, .evicted, .paused, .resumed, .outageBegan, .outageEnded: true
        case .closed(let cause, _): cause == .dead || cause == .unclean
        case .leased, .returned, .failed, .connected, .connectFailed, .breaker: false
        }
    }
}

/// Is told what happens in a pool, on the thread that caused it, just after it happened: what several threads cause
/// may come in another order. It must return soon.
public protocol PoolObserver: Sendable {
    func poolDidObserve(_ event: PoolEvent)
}
