import Logging

/// The cluster in a directory and the server that runs on it.
///
/// Everything inside the directory is changed by programs that run as the server's user, who controls every path in
/// it. Root itself only looks: at names, and at a few files as ``LocalPostgresFiles/contents(of:part:)`` reads them.
///
/// PostgreSQL's programs get relative paths and find the cluster by their working directory: `pg_ctl` hands its paths
/// to a shell, which would execute what the name of the directory says.
struct LocalPostgresCluster: Sendable {
    /// How long the server may take to start, crash recovery included, in seconds.
    static let startTimeout = 60
    /// How long one `pg_ctl start` waits for the server, in seconds. Below ``LocalPostgresAccount/usualLimit``.
    static let controlTimeout = 5
    /// The pause between two looks at a server that is starting.
    static let startInterval: Duration = .milliseconds(250)
    static let initdbLimit: Duration = .seconds(60)
    /// Lines of the server's log that an error quotes.
    static let quotedLines = 8

    let home: String
    let account: LocalPostgresAccount
    let logger: Logger
    let time: any TimeSource
    let binaries: LocalPostgresBinaries
    let socket: LocalPostgresSocket
    var connections = LocalPostgresSettings.usualConnections

    var data: String { Self.data(in: home) }
    private var startLog: String { home + "/" + Self.startLogName }

    private static let dataName = "data"
    private static let startLogName = "log/start.log"

    static func data(in home: String) -> String { home + "/" + dataName }

    func connectionString(database: String) -> String {
        "host=\(ConnectionStringValue.quoted(socket.directory)) port=\(LocalPostgresSocket.port)"
            + " user=\(LocalPostgres.roleName) dbname=\(ConnectionStringValue.quoted(database))"
    }

    // MARK: Starting

    /// Creates the cluster if there is none, ends a server that was left behind, and starts.
    func start() async throws(PostgresError) {
        try await create()
        try await endLeftover()
        try await configure()
        try await socket.create()
        try await shell(": > \"$0\"", startLog)
        try await launch()
    }

    private func launch() async throws(PostgresError) {
        for attempt in 1... {
            // Killing `pg_ctl` would leave a server that nobody knows of: it ends by itself, then we heed the caller.
            let outcome = try await uncancellable { () async throws(PostgresError) in
                try await control(["start", "-l", Self.startLogName], seconds: Self.controlTimeout)
            }
            try checkCancellation()
            if outcome.isSuccess { return }
            if isRunning() { return try await waitUntilReady(outcome) }
            // Processes of a server whose head was killed take a moment to notice; PostgreSQL refuses until then.
            guard attempt < 40, log(lines: Self.quotedLines).contains("shared memory block") else {
                throw startError(outcome)
            }
            try await pause(Self.startInterval)
        }
    }

    /// A server that recovers from a crash takes longer than one `pg_ctl` waits. The eighth line of its file tells.
    private func waitUntilReady(_ outcome: LocalPostgresAccount.Outcome) async throws(PostgresError) {
        let deadline = time.now + .seconds(Self.startTimeout)
        while time.now < deadline, isRunning() {
            let lines = LocalPostgresFiles.contents(of: data + "/postmaster.pid")?
                .split(separator: "\n", omittingEmptySubsequences: false)
            if let lines, lines.count > 7, lines[7].hasPrefix("ready") { return }
            try await pause(Self.startInterval)
        }
        throw startError(outcome)
    }

    /// Creates the cluster next to its place and moves it there when it is complete, so that an interrupted
    /// creation leaves nothing that looks like a cluster.
    private func create() async throws(PostgresError) {
        if LocalPostgresFiles.exists(data + "/PG_VERSION") { return }
        guard LocalPostgresFiles.names(in: data).isEmpty else {
            throw PostgresError(
                .localServerDirectoryUnusable, "\(data) is not empty and holds no PostgreSQL cluster", place: home,
                remedy: "Choose another directory, or move these files away.")
        }
        let unfinished = data + ".new"
        try await shell("rm -rf \"$0\"", unfinished)
        logger.info("creating a PostgreSQL cluster", metadata: ["directory": "\(data)"])
        let outcome = try await account.run(
            binaries.path("initdb"),
            [
                "--pgdata", Self.dataName + ".new", "--username", LocalPostgres.roleName, "--encoding", "UTF8",
                "--locale", "C",
                "--data-checksums", "--auth-local", "trust", "--auth-host", "reject",
            ], in: home, limit: Self.initdbLimit)
        guard outcome.isSuccess else {
            throw PostgresError(.localServerFailed, "initdb failed: \(outcome.output)", place: home)
        }
        try await shell("if [ -d \"$1\" ]; then rmdir \"$1\"; fi && mv \"$0\" \"$1\"", unfinished, data)
    }

    private func configure() async throws(PostgresError) {
        try await shell("mkdir -p \"$0\"", home + "/log")
        let settings = LocalPostgresSettings.text(socketDirectory: socket.directory, connections: connections)
        try await shell("printf %s \"$1\" > \"$0\"", data + "/ald.conf", settings)
        try await shell(
            "grep -q \"^include 'ald.conf'\" \"$0\" || printf %s \"$1\" >> \"$0\"", data + "/postgresql.conf",
            LocalPostgresSettings.include)
    }

    /// Creates a database unless it exists.
    func createDatabase(_ name: String) async throws(PostgresError) {
        let deadline = time.now + .seconds(Self.startTimeout)
        let configuration = try PostgresConfiguration(connectionString: connectionString(database: "postgres"))
        let connection = try await PostgresConnection.connect(
            configuration, deadline: deadline, time: time, logger: logger)
        do throws(PostgresError) {
            let existing = try await connection.query(
                "SELECT 1 FROM pg_database WHERE datname = $1", [.text(name)], deadline: deadline)
            if existing.isEmpty {
                _ = try await connection.query("CREATE DATABASE \(name)", deadline: deadline)
            }
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    // MARK: Programs

    /// - Parameter seconds: how long `pg_ctl` waits for the server.
    func control(
        _ arguments: [String], seconds: Int
    ) async throws(PostgresError) -> LocalPostgresAccount.Outcome {
        try await account.run(
            binaries.path("pg_ctl"), arguments + ["-D", Self.dataName, "-w", "-s", "-t", String(seconds)], in: home)
    }

    /// Runs a line of shell as the server's user; `$0` and `$1` are the arguments.
    func shell(_ line: String, _ arguments: String...) async throws(PostgresError) {
        let outcome = try await account.run("/bin/sh", ["-c", line] + arguments)
        guard outcome.isSuccess else {
            throw PostgresError(
                .localServerDirectoryUnusable, "cannot prepare \(arguments.first ?? home): \(outcome.output)",
                place: home, remedy: "Check owner, mode and free space of \(home).")
        }
    }

    private func pause(_ duration: Duration) async throws(PostgresError) {
        // Only cancellation ends a sleep early.
        do { try await time.sleep(for: duration) } catch { throw Self.startCancelled(home) }
    }

    func checkCancellation() throws(PostgresError) {
        if Task.isCancelled { throw Self.startCancelled(home) }
    }

    private static func startCancelled(_ home: String) -> PostgresError {
        PostgresError(.cancelled, "cancelled while the local server was starting", place: home)
    }

    private func startError(_ outcome: LocalPostgresAccount.Outcome) -> PostgresError {
        PostgresError(
            .localServerFailed,
            "the local server did not start: \(outcome.output); its log says: \(log(lines: Self.quotedLines))",
            place: home, remedy: "Correct what the log complains about; the whole log is in \(home)/log.")
    }

    /// The end of the log: what the server said before its own log began, then the newest file of that log.
    private func log(lines: Int) -> String {
        let newest = LocalPostgresFiles.newest(in: home + "/log", prefix: "postgresql-")
        return [startLog, newest].compactMap { $0 }.map { path in
            let text = LocalPostgresFiles.contents(of: path, part: .end) ?? ""
            return text.split(separator: "\n").suffix(lines).joined(separator: " | ")
        }.filter { !$0.isEmpty }.joined(separator: " || ")
    }
}
