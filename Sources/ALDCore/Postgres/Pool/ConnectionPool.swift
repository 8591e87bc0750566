public import Logging
public import ServiceLifecycle
import Synchronization

/// Keeps connections to one database and lends them for the time of a closure.
///
/// Run it as a service; connections are opened while ``run()`` runs. Callers that come before it wait, until their
/// deadline. It ends on graceful shutdown once every lent connection is back and closed; on cancellation it closes
/// lent ones too, and their holders' statements fail.
///
/// A server that went away needs no intervention: dead connections are noticed when they are about to be lent, while
/// they are idle or when they come back, and are replaced with growing pauses until the server is there again. A
/// holder that does not give back what it was lent needs none either, see ``LeaseLimits``.
public final class ConnectionPool: Service, Sendable {
    typealias Machine = PoolStateMachine

    /// Says how to connect, every time anew: for passwords that expire and servers that move. It is given what the
    /// pool was made with, has ``PoolConfiguration/connectTimeout`` together with the connect, is cancelled when that
    /// is over, and must end soon then. What it throws is the reason of the failed connect.
    public typealias Credentials = @Sendable (PostgresConfiguration) async throws -> PostgresConfiguration

    struct State {
        var machine: Machine
        var connections: [Machine.ConnectionID: PostgresConnection] = [:]
        var callers: [Machine.RequestID: Caller] = [:]
        var lastRequest = 0
        var hasRun = false
        /// When the alarm is to ring next.
        var alarm: MonotonicInstant?
        /// Who waits until nothing is open any more.
        var drainers: [Wakeup] = []
    }

    let configuration: PostgresConfiguration
    let pool: PoolConfiguration
    let credentials: Credentials?
    let observer: (any PoolObserver)?
    let time: any TimeSource
    let logger: Logger
    let lookUp: NameResolution.LookUp
    let state: Mutex<State>
    let commands = CommandQueue<Command>()
    let alarm = Wakeup()

    /// - Parameters:
    ///   - configuration: where the database is, unless `credentials` says otherwise.
    ///   - credentials: asked before every connect.
    ///   - observer: for metrics.
    /// - Throws: ``PostgresError/Code/configurationInvalid`` with every problem of `pool`.
    public convenience init(
        configuration: PostgresConfiguration, pool: PoolConfiguration = PoolConfiguration(),
        credentials: Credentials? = nil, observer: (any PoolObserver)? = nil, time: any TimeSource = SystemTime(),
        logger: Logger
    ) throws(PostgresError) {
        try self.init(
            configuration: configuration, pool: pool, credentials: credentials, observer: observer, time: time,
            logger: logger, lookUp: NameResolution.addresses)
    }

    init(
        configuration: PostgresConfiguration, pool: PoolConfiguration, credentials: Credentials? = nil,
        observer: (any PoolObserver)? = nil, time: any TimeSource = SystemTime(), logger: Logger,
        lookUp: @escaping NameResolution.LookUp
    ) throws(PostgresError) {
        try pool.validate()
        self.configuration = configuration
        self.pool = pool
        self.credentials = credentials
        self.observer = observer
        self.time = time
        self.logger = logger
        self.lookUp = lookUp
        state = Mutex(State(machine: Machine(configuration: pool, isObserved: observer != nil)))
    }

    /// A consistent snapshot.
    public var statistics: PoolStatistics { state.withLock { $0.machine.statistics } }

    /// How the pool is, for health checks.
    public var health: PoolHealth { state.withLock { $0.machine.health } }

    /// Lends a connection for the time of `body`. Whatever `body` does, the connection comes back; one that is not
    /// clean then (an open transaction, a lost link) is closed and replaced.
    ///
    /// What `body` sets for the session alone (`SET`, `SET ROLE`, `LISTEN`, temporary tables) ends with the lease, see
    /// ``PoolConfiguration/sessionReset``; what functions set within a `SELECT` (`set_config('ald.acting_for', …,
    /// false)`) does not, unless the pool resets always: use `SET LOCAL`, or `set_config(…, true)` in a transaction.
    ///
    /// - Parameters:
    ///   - holder: who wants it, for messages about exhausted pools and leaks.
    ///   - lane: what for; see ``PoolConfiguration/reservedConnections``.
    ///   - deadline: for getting the connection, as an instant of the pool's time source. `body` keeps its own.
    ///   - limits: how long `body` may take before the pool takes the connection for leaked, and takes it back.
    ///     Defaults to ``PoolConfiguration/leaseLimits``.
    /// - Throws: what `body` throws, or ``PostgresError`` when there was no connection in time: `poolExhausted`,
    ///   `poolShutDown`, `poolPaused`, `cancelled`, `timedOut` (still connecting), or the code of the failed connect
    ///   with that failure as its `cause`; ``PostgresError/pool`` says why and how the pool stands. A failure that
    ///   time does not heal (password, database name) is thrown at once.
    public nonisolated(nonsending) func withConnection<R>(
        holder: String, lane: PoolLane = .reader, deadline: MonotonicInstant, limits: LeaseLimits? = nil,
        fileID: String = #fileID, line: Int = #line, _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        let lease = try await acquire(
            PoolHolder(name: holder, fileID: fileID, line: line), lane, deadline: deadline,
            limits: limits ?? pool.leaseLimits)
        do {
            let result = try await body(lease.connection)
            await giveBack(lease)
            return result
        } catch {
            await giveBack(lease, after: error as? PostgresError)
            throw error
        }
    }
}
