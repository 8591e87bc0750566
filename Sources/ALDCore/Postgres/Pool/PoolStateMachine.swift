/// Every decision of the pool, as a value: no clock, no I/O, no randomness. Events go in with the time at which they
/// happen, actions come out and are performed by ``ConnectionPool``.
///
/// A connection is in exactly one state:
///
/// | State | Meaning | Can transition to |
/// |---|---|---|
/// | connecting | a connect is under way | idle, leased, closing, gone |
/// | idle | open, ready to be lent | leased, checking, closing |
/// | checking | idle so long that the server is asked whether it is still there | idle, leased, closing |
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
        let holder: PoolHolder
        let lane: PoolLane
        let deadline: MonotonicInstant
        let since: MonotonicInstant
        let limits: LeaseLimits
    }

    /// What has to be found out about a connection before its caller gets it.
    enum Proof: Sendable, Hashable {
        /// It was in use a moment ago: a look at the socket will do.
        case glance
        /// It has been idle: the server has to answer.
        case answer
    }

    /// What the driver must do, in this order.
    enum Action: Sendable {
        /// Open a connection; report `connected` or `connectFailed`.
        case connect(ConnectionID)
        /// Hand the connection to the caller once it is proved alive; report `foundDead` if it is not, and `release`
        /// when it comes back.
        case lease(ConnectionID, to: RequestID, Proof)
        /// Fail the caller.
        indirect case fail(RequestID, PostgresError)
        /// Close the connection; report `closed`.
        case close(ConnectionID)
        /// Ask the server whether it is still there; report `checked`.
        case check(ConnectionID)
        /// Cancel on the server what the connection is doing.
        case cancelStatement(ConnectionID)
        /// Call `advance` at this instant. Replaces the order before: that one was for later, or is carried out.
        case wakeUp(at: MonotonicInstant)
        /// Paused, and nothing is left open.
        case drained
        /// Shut down and nothing is left: the end.
        case finish
    }

    struct Lease: Sendable {
        let request: Request
        let since: MonotonicInstant
        /// What was done already because it lasts too long.
        var stage: LeakStage?
    }

    struct Connection: Sendable {
        enum State: Sendable {
            case connecting
            case idle(since: MonotonicInstant)
            case checking(idleSince: MonotonicInstant)
            case leased(Lease)
            case closing(PoolCloseCause)
        }

        var state: State
        /// It was begun in this generation; one of an earlier generation is closed as soon as it is free.
        let generation: Int
        let begun: MonotonicInstant
        /// The end of its lifetime; set when it has connected, like the next two.
        var expires = MonotonicInstant(nanoseconds: .max)
        /// How long the server may be silent until it is asked whether it is still there, in nanoseconds.
        var keepAlive: Int64 = 0
        /// When the server answered last.
        var proved = MonotonicInstant(nanoseconds: .min)
    }

    let configuration: PoolConfiguration
    /// Whether somebody wants to know of every lease. What is notable is reported anyway.
    let isObserved: Bool
    let reserved: PerLane<Int>
    /// Connections that every lane may have.
    let shared: Int
    // As plain numbers of nanoseconds, for the way of every caller.
    let pingAfter: Int64
    let idleTimeout: Int64

    var connections: [ConnectionID: Connection] = [:]
    /// Most recently used last: that one is lent next, so that the others can age.
    var idle: [ConnectionID] = []
    var queue = PoolQueue()
    var gate: ConnectGate
    /// Also the numbers of connections by state, kept by ``move(_:to:)``.
    var counters = PoolStatistics()
    var leasedByLane = PerLane { _ in 0 }
    /// Leases beyond what is reserved for their lanes.
    var sharedInUse = 0
    /// Since the driver last took them.
    var events: [PoolEvent] = []

    /// Connects under way that were begun in an earlier generation: nobody will be lent what comes of them.
    var outdatedConnects = 0
    var pauseReason: String?
    var isShutDown = false
    var lastConnectionNumber = 0
    var lastEviction: MonotonicInstant?

    // No idle connection and no lease needs tending before these instants. They may be too early, never too late.
    var idleDue = MonotonicInstant(nanoseconds: .max)
    var leakDue = MonotonicInstant(nanoseconds: .max)
    /// Whether a connection was kept although it is idle for too long, because it was needed for the minimum.
    var keepsStale = false
    var scheduledWakeUp: MonotonicInstant?
    var hasReportedDrained = false

    init(configuration: PoolConfiguration, isObserved: Bool = false) {
        self.configuration = configuration
        self.isObserved = isObserved
        reserved = PerLane { configuration.reservedConnections[$0] ?? 0 }
        shared = configuration.maximumConnections - configuration.reservedConnections.values.reduce(0, +)
        gate = ConnectGate(configuration)
        pingAfter = configuration.pingAfter.wholeNanoseconds
        idleTimeout = configuration.idleTimeout.wholeNanoseconds
    }

    /// Every transition of a connection that exists; `nil` when it is gone.
    mutating func move(_ id: ConnectionID, to state: Connection.State?) {
        guard let index = connections.index(forKey: id) else { return }
        tally(connections.values[index].state, by: -1)
        guard let state else {
            connections.remove(at: index)
            return
        }
        connections.values[index].state = state
        tally(state, by: 1)
    }

    mutating func tally(_ state: Connection.State, by change: Int) {
        switch state {
        case .connecting: counters.connecting += change
        case .idle: counters.idle += change
        case .checking: counters.checking += change
        case .closing: counters.closing += change
        case .leased(let lease):
            let lane = lease.request.lane
            counters.leased += change
            sharedInUse -= max(0, leasedByLane[lane] - reserved[lane])
            leasedByLane[lane] += change
            sharedInUse += max(0, leasedByLane[lane] - reserved[lane])
        }
    }

    mutating func note(_ event: PoolEvent) {
        if isObserved || event.isNotable { events.append(event) }
    }
}
