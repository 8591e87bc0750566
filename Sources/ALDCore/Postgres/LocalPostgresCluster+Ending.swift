import Logging

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

extension LocalPostgresCluster {
    /// How long `pg_ctl stop` waits in each mode, in seconds. Together with the two limits below this bounds a stop.
    private static let stops = [(mode: "fast", seconds: 2), (mode: "immediate", seconds: 1)]
    /// How long processes whose server is gone may take to notice it.
    private static let orphanLimit: Duration = .seconds(1)
    /// How long killed processes may take to disappear.
    private static let killLimit: Duration = .seconds(3)
    private static let endInterval: Duration = .milliseconds(20)

    /// Stops the server, ending its sessions, and removes the socket directory.
    ///
    /// Bounded also when the server is stuck: it is asked twice, then killed, and recovers at its next start.
    func stop() async throws(PostgresError) {
        try await end()
        try await socket.remove()
    }

    /// A server may run although our lock was free: its owner was killed. It is stopped in order, and started again
    /// with the settings of this version.
    func endLeftover() async throws(PostgresError) {
        guard let process = LocalPostgresProcess.recorded(in: data) else { return }
        switch process.state(of: data) {
        case .runsHere:
            logger.notice(
                "a server left behind by a killed process is taken over",
                metadata: ["directory": "\(home)", "pid": "\(process.id)"])
            try await uncancellable { () async throws(PostgresError) in try await end() }
            try checkCancellation()
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

    func isRunning() -> Bool {
        LocalPostgresProcess.recorded(in: data)?.state(of: data) == .runsHere
    }

    private func end() async throws(PostgresError) {
        for (mode, seconds) in Self.stops where isRunning() {
            let outcome = try await control(["stop", "-m", mode], seconds: seconds)
            // The log's process may outlive a stopped server for a moment: it writes the last lines.
            if outcome.isSuccess { return }
        }
        // What is left obeys nobody, was orphaned by a killed server, or has not written its file yet.
        if !isRunning(), await haveEnded(within: Self.orphanLimit) { return }
        let stuck = processes()
        logger.warning(
            "the local server does not stop and is killed",
            metadata: ["directory": "\(home)", "processes": "\(stuck.map(\.id))"])
        for process in stuck { kill(process.id, SIGKILL) }
        guard await haveEnded(within: Self.killLimit) else {
            throw PostgresError(
                .localServerFailed,
                "the local server does not end, not even killed: processes \(processes().map(\.id))",
                place: home, remedy: "Look at \(home)/log and at the system's; the disk may hang.")
        }
    }

    private func processes() -> [LocalPostgresProcess] {
        LocalPostgresProcess.servers(of: data, home: home, account: account)
    }

    private func haveEnded(within limit: Duration) async -> Bool {
        // Real time, whatever clock the program runs on: processes know no other.
        let clock = SystemTime()
        let deadline = clock.now + limit
        while isRunning() || !processes().isEmpty {
            guard clock.now < deadline else { return false }
            do { try await clock.sleep(for: Self.endInterval) } catch { return false }
        }
        return true
    }
}
