public import Logging
public import ServiceLifecycle
import Synchronization

/// Keeps connections to one database and lends them for the time of a closure.
///
/// Run it as a service; connections are opened while ``run()`` runs. Callers that come before it wait, until their
/// deadline. It ends on graceful shutdown once every lent connection is back and closed; on cancellation it closes
/// lent ones too, and their holders' statements fail.
///
/// A server that went away needs no intervention: dead connections are noticed when they are about to be lent or when
/// they come back, and are replaced with growing pauses until the server is there again.
public final class ConnectionPool: Service, Sendable {
    typealias Machine = PoolStateMachine

    enum Command: Sendable {
        case connect(Machine.ConnectionID)
        case close(Machine.ConnectionID)
        case wakeUp(at: MonotonicInstant)
        case finish
    }

    /// Where a caller is on its way to a connection.
    enum Caller {
        /// Has asked and does not wait yet.
        case announced
        /// Served or failed before it began to wait.
        case settled(Result<Machine.ConnectionID, PostgresError>)
        case waiting(CheckedContinuation<Result<Machine.ConnectionID, PostgresError>, Never>)
    }

    struct State {
        var machine: Machine
        var connections: [Machine.ConnectionID: PostgresConnection] = [:]
        var callers: [Machine.RequestID: Caller] = [:]
        var lastRequest = 0
        var hasRun = false
    }

    let configuration: PostgresConfiguration
    let pool: PoolConfiguration
    let time: any TimeSource
    let logger: Logger
    let state: Mutex<State>
    let commands = CommandQueue<Command>()

    /// - Throws: ``PostgresError/Code/configurationInvalid`` with every problem of `pool`.
    public init(
        configuration: PostgresConfiguration, pool: PoolConfiguration = PoolConfiguration(),
        time: any TimeSource = SystemTime(), logger: Logger
    ) throws(PostgresError) {
        try pool.validate()
        self.configuration = configuration
        self.pool = pool
        self.time = time
        self.logger = logger
        state = Mutex(State(machine: Machine(configuration: pool)))
    }

    /// A consistent snapshot.
    public var statistics: PoolStatistics { state.withLock { $0.machine.statistics } }

    /// Lends a connection for the time of `body`. Whatever `body` does, the connection comes back; one that is not
    /// clean then (an open transaction, a lost link) is closed and replaced.
    ///
    /// - Parameters:
    ///   - holder: who wants it, for messages about exhausted pools.
    ///   - deadline: for getting the connection, as an instant of the pool's time source. `body` keeps its own.
    /// - Throws: what `body` throws, or ``PostgresError`` when there was no connection in time: `poolExhausted`,
    ///   `poolShutDown`, `cancelled`, `timedOut` (still connecting), or the code of the failed connect with that
    ///   failure as its `cause`. A failure that time does not heal (password, database name) is thrown at once.
    public nonisolated(nonsending) func withConnection<R>(
        holder: String, deadline: MonotonicInstant, _ body: (PostgresConnection) async throws -> R
    ) async throws -> R {
        let lease = try await acquire(holder: holder, deadline: deadline)
        do {
            let result = try await body(lease.connection)
            await giveBack(lease)
            return result
        } catch {
            await giveBack(lease)
            throw error
        }
    }

    /// Opens, tends and closes the connections. Once per pool.
    ///
    /// - Throws: ``PostgresError/Code/misuse`` when called a second time.
    public func run() async throws {
        let isFirst = state.withLock { state in
            defer { state.hasRun = true }
            return !state.hasRun
        }
        guard isFirst else { throw PostgresError(.misuse, "a connection pool runs once; make a new one") }
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await performCommands()
            } onGracefulShutdown: {
                self.update { $0.machine.shutDown(reclaimsLeased: false, now: $1) }
            }
        } onCancel: {
            self.update { $0.machine.shutDown(reclaimsLeased: true, now: $1) }
        }
    }

    private func performCommands() async {
        // The one alarm: replaced when an earlier instant comes, and awaited before the end.
        var alarm: Task<Void, Never>?
        await withDiscardingTaskGroup { group in
            update { $0.machine.start(now: $1) }
            while true {
                switch await commands.next() {
                case .connect(let id): group.addTask { await self.connect(id) }
                case .close(let id): group.addTask { await self.close(id) }
                case .wakeUp(let instant):
                    await Self.end(alarm)
                    alarm = Task { await self.ring(at: instant) }
                case .finish:
                    await Self.end(alarm)
                    group.cancelAll()
                    return
                }
            }
        }
    }

    private static func end(_ alarm: Task<Void, Never>?) async {
        alarm?.cancel()
        await alarm?.value
    }
}
