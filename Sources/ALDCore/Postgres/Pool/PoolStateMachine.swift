import DequeModule

/// Every decision of the pool, as a value: no clock, no I/O, no randomness. Events go in with the time at which they
/// happen, actions come out and are performed by ``ConnectionPool``.
///
/// A connection is in exactly one state:
///
/// | State | Meaning | Can transition to |
/// |---|---|---|
/// | connecting | a connect is under way | idle, leased, closing, gone |
/// | idle | open, ready to be lent | leased, closing |
/// | leased | lent to one holder | idle, leased (to the next), closing |
/// | closing | being closed, slot still taken | gone |
struct PoolStateMachine {
    struct ConnectionID: Hashable, Comparable, Sendable {
        let number: Int
        static func < (left: ConnectionID, right: ConnectionID) -> Bool { left.number < right.number }
    }

    struct RequestID: Hashable, Sendable {
        let number: Int
    }

    /// Somebody who wants a connection.
    struct Request: Sendable {
        let id: RequestID
        let holder: String
        let deadline: MonotonicInstant
        let since: MonotonicInstant
    }

    /// What the driver must do, in this order.
    enum Action: Sendable {
        /// Open a connection; report `connected` or `connectFailed`.
        case connect(ConnectionID)
        /// Hand the connection to the caller.
        case lease(ConnectionID, to: RequestID)
        /// Fail the caller.
        case fail(RequestID, PostgresError)
        /// Close the connection; report `closed`.
        case close(ConnectionID)
        /// Call `advance` at this instant. Replaces the order before: that one was for later, or is carried out.
        case wakeUp(at: MonotonicInstant)
        /// Shut down and nothing is left: the end.
        case finish
    }

    struct Lease: Sendable {
        let request: Request
        let since: MonotonicInstant
    }

    struct Connection: Sendable {
        enum State: Sendable {
            case connecting
            case idle(since: MonotonicInstant)
            case leased(Lease)
            case closing
        }

        var state: State
        /// The end of its lifetime; set when it has connected.
        var expires = MonotonicInstant(nanoseconds: .max)
    }

    let configuration: PoolConfiguration
    var connections: [ConnectionID: Connection] = [:]
    /// Most recently used last: that one is lent next, so that the others can age.
    var idle: [ConnectionID] = []
    var waiting: Deque<Request> = []
    var backoff: ConnectBackoff
    var counters = PoolStatistics()
    var isShutDown = false
    var lastConnectionNumber = 0
    var scheduledWakeUp: MonotonicInstant?

    init(configuration: PoolConfiguration) {
        self.configuration = configuration
        backoff = ConnectBackoff(initial: configuration.initialBackoff, maximum: configuration.maximumBackoff)
    }

    // MARK: Events

    /// The pool begins to work: opens the minimum.
    mutating func start(now: MonotonicInstant) -> [Action] {
        settle(now: now)
    }

    /// Somebody wants a connection.
    mutating func acquire(_ request: Request, now: MonotonicInstant) -> [Action] {
        counters.requests += 1
        if let refusal = refusal(of: request, now: now) {
            counters.refusals += 1
            return [.fail(request.id, refusal)]
        }
        waiting.append(request)
        return settle(now: now)
    }

    /// A caller stopped waiting. Without effect when it was served or failed meanwhile.
    mutating func cancel(_ id: RequestID, now: MonotonicInstant) -> [Action] {
        guard let index = waiting.firstIndex(where: { $0.id == id }) else { return [] }
        waiting.remove(at: index)
        counters.cancellations += 1
        let error = PostgresError(.cancelled, "cancelled while waiting for a connection")
        return [.fail(id, error)] + settle(now: now)
    }

    /// A connect succeeded.
    ///
    /// - Parameter chance: random in 0..<1; shortens the lifetime.
    mutating func connected(_ id: ConnectionID, chance: Double, now: MonotonicInstant) -> [Action] {
        guard case .connecting? = connections[id]?.state else { return [] }
        counters.connectsSucceeded += 1
        backoff.reset()
        guard !isShutDown else { return startClosing(id) }
        let share = 1 - configuration.lifetimeJitter * chance
        connections[id]?.expires = now + .seconds(configuration.maximumLifetime.inSeconds * share)
        makeIdle(id, now: now)
        return settle(now: now)
    }

    /// A connect failed.
    ///
    /// - Parameter chance: random in 0..<1; draws the pause before the next one.
    mutating func connectFailed(
        _ id: ConnectionID, _ error: PostgresError, chance: Double, now: MonotonicInstant
    ) -> [Action] {
        guard case .connecting? = connections[id]?.state else { return [] }
        connections[id] = nil
        counters.connectsFailed += 1
        backoff.failed(error, chance: chance, now: now)
        guard !isShutDown else { return finishIfEmpty() }
        var actions: [Action] = []
        if error.isConfigurationFault, !hasUsable {
            actions = failAll(counting: \.failures) { Self.hopeless(error, $0) }
        }
        return actions + settle(now: now)
    }

    /// A holder returned its connection.
    ///
    /// - Parameter isClean: whether somebody else can use it.
    mutating func release(_ id: ConnectionID, isClean: Bool, now: MonotonicInstant) -> [Action] {
        guard case .leased? = connections[id]?.state else { return [] }
        if !isClean { counters.broken += 1 }
        guard isClean, !isShutDown else { return startClosing(id) + settle(now: now) }
        // Its lifetime may be over: then it retires like any idle one, before anybody gets it.
        makeIdle(id, now: now)
        return settle(now: now)
    }

    /// A connection was found dead before the caller it was lent to got hold of it: it is replaced, and the caller
    /// waits on at its place in the queue.
    mutating func foundDead(_ id: ConnectionID, for request: Request, now: MonotonicInstant) -> [Action] {
        counters.broken += 1
        counters.leases -= 1
        var actions: [Action] = []
        if case .leased? = connections[id]?.state { actions = startClosing(id) }
        if isShutDown {
            counters.failures += 1
            actions.append(.fail(request.id, Self.shutDownError))
        } else {
            // By order of arrival: several callers may come back at a time.
            let position = waiting.firstIndex { $0.id.number > request.id.number } ?? waiting.endIndex
            waiting.insert(request, at: position)
        }
        return actions + settle(now: now)
    }

    /// A connection has been closed.
    mutating func closed(_ id: ConnectionID, now: MonotonicInstant) -> [Action] {
        guard case .closing? = connections[id]?.state else { return [] }
        connections[id] = nil
        counters.closed += 1
        return isShutDown ? finishIfEmpty() : settle(now: now)
    }

    /// Time has passed.
    mutating func advance(now: MonotonicInstant) -> [Action] {
        if let scheduledWakeUp, scheduledWakeUp <= now { self.scheduledWakeUp = nil }
        return settle(now: now)
    }

    /// No new callers; those waiting fail, idle connections close, leased ones close when they are returned.
    ///
    /// - Parameter reclaimsLeased: close leased connections now; what their holders do with them then fails.
    mutating func shutDown(reclaimsLeased: Bool, now: MonotonicInstant) -> [Action] {
        isShutDown = true
        var actions = failAll(counting: \.failures) { _ in Self.shutDownError }
        for id in connections.keys.sorted() {
            switch connections[id]?.state {
            case .idle: actions += startClosing(id)
            case .leased where reclaimsLeased: actions += startClosing(id)
            case .leased, .connecting, .closing, nil: continue
            }
        }
        return actions + finishIfEmpty()
    }
}
