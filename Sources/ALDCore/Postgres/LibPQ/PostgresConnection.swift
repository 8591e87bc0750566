import Logging
import Synchronization

/// One session with a PostgreSQL server, driven by libpq without ever blocking a thread of Swift's pool.
///
/// One statement runs at a time; a second one asked for meanwhile fails with ``PostgresError/Code/misuse``. An error
/// that is the server's answer leaves the connection usable, a lost link closes it for good: make a new one, or let
/// ``ConnectionPool`` do so.
///
/// Deadlines are instants of the time source given to ``connect(_:deadline:time:logger:)``. They are translated to
/// real time once, when an operation starts: a server answers in real time, whatever clock the program runs on.
public actor PostgresConnection {
    /// How long a connection whose statement was abandoned waits for the server to confirm. Such a call returns at
    /// the latest this long after its deadline or cancellation.
    public static let cancellationGrace: Duration = .seconds(1)

    /// The pause between two cancel requests for one statement.
    static let cancellationInterval: Duration = .milliseconds(100)

    let reactor: Reactor
    let time: any TimeSource
    let logger: Logger
    let grace: Duration
    let systemClock = SystemTime()

    var handle: LibPQHandle? {
        didSet { publishVitals() }
    }
    private let vitals = Mutex(ConnectionVitals())
    /// Where the session is, for messages: `host:port/database`.
    public internal(set) var place = ""
    var isBusy = false {
        didSet { publishVitals() }
    }
    var isClosing = false
    /// The wait that ``close()`` must end.
    var currentWait: Reactor.WaitID?
    /// The COPY that a closure is feeding or draining.
    var copy: OpenCopy?
    /// Whether an exchange is being driven for ``copy``. Otherwise its closure is busy with other things.
    var isDriving = false
    /// The COPY before, and why it ended.
    var endedCopy: (id: CopyID, failure: PostgresError?)?
    var lastCopy = 0
    /// Where notifications go as long as a closure has the connection for them.
    var mailbox: NotificationMailbox?
    var statements = StatementCache(capacity: PostgresConnection.maximumPreparedStatements)
    /// What the session was told at its beginning, if anything.
    var timeouts = PostgresTimeouts()
    /// Whether a statement may have changed the session for those that follow.
    var hasTrace = false {
        didSet { publishVitals() }
    }
    private var closeWaiters: [CheckedContinuation<Void, Never>] = []

    public nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    /// - Parameter grace: ``cancellationGrace``, unless a test wants to see the confirmation however late it is.
    init(
        reactor: Reactor, time: any TimeSource, logger: Logger, grace: Duration = PostgresConnection.cancellationGrace
    ) {
        self.reactor = reactor
        self.time = time
        self.logger = logger
        self.grace = grace
    }

    // MARK: State

    /// Whether a statement can be run: the session is open and none is running. Looks at the socket without a round
    /// trip, so a server that closed an idle session is noticed; a peer that vanished silently is not.
    public var isUsable: Bool {
        guard let handle, !isBusy, !isClosing else { return false }
        handle.absorbIdleInput()
        if !handle.isReady { release() }
        return self.handle != nil
    }

    /// Whether the session is open, idle and outside any transaction, so that somebody else can use it.
    public var isClean: Bool { isUsable && transactionStatus == .idle }

    /// Whether something between here and the server lends its sessions for one transaction at a time, as far as known
    /// (see ``PostgresPooling``). Then nothing is prepared, `LISTEN` is refused and ``PostgresTimeouts`` are not set.
    public internal(set) var isPooled = false

    /// Whether a pooler of any kind stands between here and the server, as far as known: errors may be its own then.
    public internal(set) var isBehindPooler = false

    public var transactionStatus: PostgresTransactionStatus { handle?.transactionStatus ?? .unknown }

    /// The server process of this session as in `pg_stat_activity.pid`; 0 when closed. Behind a pooler, the pooler's.
    public var backendProcessID: Int32 { handle?.backendProcessID ?? 0 }

    /// For instance 150018 for 15.18; 0 when closed.
    public var serverVersion: Int { handle?.serverVersion ?? 0 }

    /// ``isClean`` as of the end of the last operation plus a look at the socket, from any thread and without waiting
    /// for the reactor's. False may be a false alarm (a notice arrived); ask ``isClean`` then.
    ///
    /// Only for the one who has the connection to himself: nobody else must be closing it meanwhile.
    nonisolated var seemsClean: Bool { vitals.withLock { $0 }.seemClean }

    /// As ``seemsClean``, without the look at the socket: for a connection that is given back, and looked at when it
    /// is lent again.
    nonisolated var wasClean: Bool { vitals.withLock(\.isClean) }

    /// ``hasTrace`` as of the end of the last operation, from any thread.
    nonisolated var bearsTrace: Bool { vitals.withLock(\.hasTrace) }

    private func publishVitals() {
        let isClean = !isBusy && handle?.isReady == true && handle?.transactionStatus == .idle
        let current = ConnectionVitals(socket: handle?.socket ?? -1, isClean: isClean, hasTrace: hasTrace)
        vitals.withLock { $0 = current }
    }

    // MARK: Closing

    /// Ends the session. A running statement is cancelled on the server first and fails with
    /// ``PostgresError/Code/connectionLost``; waits for that, ``cancellationGrace`` at most, and never for a closure that
    /// listens or copies. Harmless when closed.
    public func close() async {
        isClosing = true
        guard isBusy else { return release() }
        if let copy, !isDriving {
            // Nobody waits for the server: the closure of the COPY learns it at its next call.
            release()
            return end(copy, .linkLost("the connection was closed during the COPY", place: place, effect: .notApplied))
        }
        if mailbox != nil, currentWait == nil {
            // Nobody reads: the task was cancelled. The closure may go on for ever, and learns it at its next call.
            return loseListener(.linkLost("the connection was closed", place: place, effect: .notApplied))
        }
        if let currentWait { reactor.end(currentWait, as: .interrupted) }
        await withCheckedContinuation { closeWaiters.append($0) }
    }

    /// Frees the session now. Nobody may be waiting for its socket.
    func release() {
        handle = nil
    }

    /// The end of every operation: whoever waits in ``close()`` goes on.
    func endOperation() {
        isBusy = false
        if isClosing { release() }
        for waiter in closeWaiters { waiter.resume() }
        closeWaiters = []
    }

    // MARK: Waiting

    /// An instant of `time` as one of the system clock.
    func systemInstant(of deadline: MonotonicInstant) -> MonotonicInstant {
        systemClock.now + (deadline - time.now)
    }

    func waitForSocket(
        _ socket: Int32, _ interest: Reactor.Interest, until limit: MonotonicInstant, heedingCancellation: Bool
    ) async -> Reactor.Outcome {
        let id = reactor.makeWaitID()
        currentWait = id
        defer { currentWait = nil }
        return heedingCancellation
            ? await reactor.waitHeedingCancellation(id, for: socket, interest, until: limit)
            : await reactor.wait(id, for: socket, interest, until: limit)
    }
}
