import Logging

/// The cluster in a directory and the server that runs on it. Everything inside the directory is done by programs
/// that run as the server's user: root never follows a path which that user controls.
struct LocalPostgresCluster: Sendable {
    /// How long the server may take to start (crash recovery included) or to stop, in seconds.
    static let controlTimeout = 60
    /// Lines of the server's log that an error quotes.
    static let quotedLines = 8

    let home: String
    let account: LocalPostgresAccount
    let logger: Logger
    let time: any TimeSource
    let binaries: LocalPostgresBinaries
    let socket: LocalPostgresSocket

    var data: String { Self.data(in: home) }
    private var startLog: String { home + "/log/start.log" }

    static func data(in home: String) -> String { home + "/data" }

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
        for attempt in 1... {
            let outcome = try await control(["start", "-l", startLog])
            if outcome.isSuccess { return }
            // Processes of a server whose head was killed take a moment to notice; PostgreSQL refuses until then.
            guard attempt < 40, log(lines: Self.quotedLines).contains("shared memory block") else {
                throw startError(outcome)
            }
            try await pause(.milliseconds(250))
        }
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
                "--pgdata", unfinished, "--username", LocalPostgres.roleName, "--encoding", "UTF8", "--locale", "C",
                "--data-checksums", "--auth-local", "trust", "--auth-host", "reject",
            ])
        guard outcome.isSuccess else {
            throw PostgresError(.localServerFailed, "initdb failed: \(outcome.output)", place: home)
        }
        try await shell("if [ -d \"$1\" ]; then rmdir \"$1\"; fi && mv \"$0\" \"$1\"", unfinished, data)
    }

    private func configure() async throws(PostgresError) {
        try await shell("mkdir -p \"$0\"", home + "/log")
        let settings = LocalPostgresSettings.text(socketDirectory: socket.directory)
        try await shell("printf %s \"$1\" > \"$0\"", data + "/ald.conf", settings)
        try await shell(
            "grep -q \"^include 'ald.conf'\" \"$0\" || printf %s \"$1\" >> \"$0\"", data + "/postgresql.conf",
            LocalPostgresSettings.include)
    }

    /// Creates a database unless it exists.
    func createDatabase(_ name: String) async throws(PostgresError) {
        let deadline = time.now + .seconds(Self.controlTimeout)
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

    // MARK: Ending

    /// Stops the server, ending its sessions, and removes the socket directory.
    func stop() async throws(PostgresError) {
        if isRunning() {
            let outcome = try await control(["stop", "-m", "fast"])
            guard outcome.isSuccess || !isRunning() else {
                throw PostgresError(
                    .localServerFailed, "the local server does not stop: \(outcome.output)", place: home,
                    remedy: "Look at \(home)/log, then stop it with pg_ctl stop -m immediate -D \(data).")
            }
        }
        try await socket.remove()
    }

    /// A server may run although our lock was free: its owner was killed. It is stopped in order, and started again
    /// with the settings of this version.
    private func endLeftover() async throws(PostgresError) {
        guard let process = LocalPostgresProcess.recorded(in: data) else { return }
        switch process.state(of: data) {
        case .runsHere:
            logger.notice(
                "a server left behind by a killed process is taken over",
                metadata: ["directory": "\(home)", "pid": "\(process.id)"])
            let outcome = try await control(["stop", "-m", "fast"])
            if outcome.isSuccess || process.state(of: data) != .runsHere { return }
            let forced = try await control(["stop", "-m", "immediate"])
            if forced.isSuccess || process.state(of: data) != .runsHere { return }
            throw PostgresError(
                .localServerFailed, "a server left behind (process \(process.id)) does not stop: \(forced.output)",
                place: home)
        case .gone:
            return
        case .isSomethingElse:
            // After a crash or a reboot the number may belong to anybody, and PostgreSQL would refuse to start. The
            // rest of the file stays: PostgreSQL finds with it the shared memory that a dead server's children use.
            logger.notice(
                "postmaster.pid names an unrelated process", metadata: ["directory": "\(home)", "pid": "\(process.id)"])
            try await shell(
                "sed \"1s/.*/$1/\" \"$0\" > \"$0.new\" && mv \"$0.new\" \"$0\"", data + "/postmaster.pid",
                String(LocalPostgresProcess.impossibleID))
        }
    }

    private func isRunning() -> Bool {
        LocalPostgresProcess.recorded(in: data)?.state(of: data) == .runsHere
    }

    // MARK: Programs

    private func control(_ arguments: [String]) async throws(PostgresError) -> LocalPostgresAccount.Outcome {
        try await account.run(
            binaries.path("pg_ctl"), arguments + ["-D", data, "-w", "-s", "-t", String(Self.controlTimeout)])
    }

    /// Runs a line of shell as the server's user; `$0` and `$1` are the arguments.
    private func shell(_ line: String, _ arguments: String...) async throws(PostgresError) {
        let outcome = try await account.run("/bin/sh", ["-c", line] + arguments)
        guard outcome.isSuccess else {
            throw PostgresError(
                .localServerDirectoryUnusable, "cannot prepare \(arguments.first ?? home): \(outcome.output)",
                place: home, remedy: "Check owner, mode and free space of \(home).")
        }
    }

    private func pause(_ duration: Duration) async throws(PostgresError) {
        do {
            try await time.sleep(for: duration)
        } catch {
            throw PostgresError(.cancelled, "cancelled while the local server was starting", place: home)
        }
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
            let text = LocalPostgresFiles.contents(of: path) ?? ""
            return text.split(separator: "\n").suffix(lines).joined(separator: " | ")
        }.filter { !$0.isEmpty }.joined(separator: " || ")
    }
}
