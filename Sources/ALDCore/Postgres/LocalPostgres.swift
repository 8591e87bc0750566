public import Logging

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A private PostgreSQL server in a directory: what the terminals use when nobody names a database.
///
/// It creates the cluster at the first start (UTF8, locale C, data checksums, fsync on), listens on a unix socket in
/// a private directory and nowhere else, and has a database and a superuser called `ald`. Several programs share a
/// cluster by connecting to it; only one may own it.
///
/// Layout of the directory: `ald.lock` (who owns it), `data/` (the cluster), `log/` (the server's log: one file per
/// weekday, overwritten after a week, and `start.log`). Settings of yours go to the end of `data/postgresql.conf`;
/// ours are in `data/ald.conf` and are written anew at every start.
///
/// Started as root, the server runs as the user `postgres` if there is one, else as `nobody`, and that user owns the
/// directory. If the user cannot reach it (it is below a private home), the cluster goes below `/var/lib/ald` and a
/// symbolic link takes the place of the directory.
public actor LocalPostgres {
    /// The oldest major version this package works with.
    public static let minimumMajorVersion = 15

    static let databaseName = "ald"
    static let roleName = "ald"

    private let directory: String
    private let binaryDirectory: String?
    private let connections: Int
    private let time: any TimeSource
    private let logger: Logger
    private var running: Running?

    private struct Running {
        let cluster: LocalPostgresCluster
        let lock: LocalPostgresLock
        /// False when a start failed and so did cleaning up after it: only ``LocalPostgres/stop()`` is of use then.
        let isReady: Bool
    }

    /// - Parameters:
    ///   - directory: created if it does not exist, with its parents. Relative paths count from the working directory.
    ///   - binaryDirectory: where `postgres`, `initdb` and `pg_ctl` are; the value of `ALD_POSTGRES_BIN`. Defaults to
    ///     `nil`: the newest of `PATH`, `/usr/lib/postgresql/*/bin`, `/usr/pgsql-*/bin` and Homebrew that fits.
    public init(
        directory: String, binaryDirectory: String? = nil, time: any TimeSource = SystemTime(), logger: Logger
    ) {
        self.init(
            directory: directory, binaryDirectory: binaryDirectory,
            connections: LocalPostgresSettings.usualConnections, time: time, logger: logger)
    }

    /// - Parameter connections: sessions that the server has room for.
    package init(
        directory: String, binaryDirectory: String?, connections: Int, time: any TimeSource = SystemTime(),
        logger: Logger
    ) {
        self.directory = LocalPostgresFiles.absolute(directory)
        self.binaryDirectory = binaryDirectory
        self.connections = connections
        self.time = time
        self.logger = logger
    }

    /// How to reach the server with `psql`, or `nil` while it is not running. Contains no secret: the socket's
    /// directory is open to the server's user and root only.
    public var connectionString: String? {
        guard let running, running.isReady else { return nil }
        return running.cluster.connectionString(database: Self.databaseName)
    }

    /// Starts the server, after creating the cluster if there is none, and the database. Returns at once when running.
    ///
    /// A server that a killed owner left behind is stopped and started anew. When the task is cancelled, nothing that
    /// was started keeps running; should even that fail, the directory stays locked and ``stop()`` can be called.
    ///
    /// - Returns: the configuration to connect with.
    /// - Throws: ``PostgresError/Code/localServerMissing``, `localServerDirectoryInUse`,
    ///   `localServerDirectoryUnusable`, `localServerVersionMismatch`, `localServerFailed` or
    ///   `cancelled`.
    public func start() async throws(PostgresError) -> PostgresConfiguration {
        if let running, !running.isReady { try await stop() }
        if let running {
            return try PostgresConfiguration(
                connectionString: running.cluster.connectionString(database: Self.databaseName))
        }
        let account = try LocalPostgresAccount.current()
        let home = try await LocalPostgresHome.prepare(directory, for: account, logger: logger)
        let lock = try LocalPostgresLock(directory: home)
        let cluster = try await cluster(in: home, account)
        do throws(PostgresError) {
            try await cluster.start()
            try await cluster.createDatabase(Self.databaseName)
            let configuration = try PostgresConfiguration(
                connectionString: cluster.connectionString(database: Self.databaseName))
            running = Running(cluster: cluster, lock: lock, isReady: true)
            logger.info(
                "the local PostgreSQL server is running",
                metadata: ["directory": "\(home)", "psql": "psql '\(configuration)'"])
            return configuration
        } catch {
            await abandonStart(cluster, lock)
            throw error
        }
    }

    private func cluster(
        in home: String, _ account: LocalPostgresAccount
    ) async throws(PostgresError) -> LocalPostgresCluster {
        let version = LocalPostgresFiles.contents(of: LocalPostgresCluster.data(in: home) + "/PG_VERSION")
        let binaries = try await LocalPostgresBinaries.find(
            given: binaryDirectory, clusterVersion: version.flatMap { Int($0.trimmed) }, account: account,
            in: LocalPostgresBinaries.usualDirectories())
        let socket = try LocalPostgresSocket(
            home: home, account: account,
            temporaryDirectories: try await LocalPostgresSocket.temporaryDirectories(for: account))
        return LocalPostgresCluster(
            home: home, account: account, logger: logger, time: time, binaries: binaries, socket: socket,
            connections: connections)
    }

    /// A start that failed half way leaves nothing running and nothing behind.
    private func abandonStart(_ cluster: LocalPostgresCluster, _ lock: LocalPostgresLock) async {
        do throws(PostgresError) {
            try await uncancellable { () async throws(PostgresError) in try await cluster.stop() }
        } catch {
            running = Running(cluster: cluster, lock: lock, isReady: false)
            logger.warning("cannot clean up after a failed start", metadata: ["error": "\(error)"])
        }
    }

    /// Starts the server again, with the same data at the same place, if it has died since ``start()``.
    ///
    /// - Returns: whether it had died.
    /// - Throws: as ``start()``; it can be called again.
    public func revive() async throws(PostgresError) -> Bool {
        guard let running, running.isReady, !running.cluster.isRunning() else {
            return false
        }
        try await running.cluster.start()
        return true
    }

    /// Stops the server (open sessions are ended, transactions rolled back), removes its socket directory and gives
    /// the directory free. A server that does not obey is killed and recovers at its next start. Heeds no
    /// cancellation, and is harmless when not running.
    ///
    /// - Throws: ``PostgresError/Code/localServerFailed`` when not even killing the server ends it within seconds;
    ///   the directory then stays locked and `stop` can be called again.
    public func stop() async throws(PostgresError) {
        guard let running else { return }
        let cluster = running.cluster
        try await uncancellable { () async throws(PostgresError) in try await cluster.stop() }
        self.running = nil
        running.lock.release()
    }
}
