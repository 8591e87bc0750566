import Subprocess

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The user as whom the server's programs run: PostgreSQL refuses to run as root.
struct LocalPostgresAccount: Sendable {
    let name: String
    let userID: uid_t
    let groupID: gid_t
    /// Whether we are root and must change to that user.
    let isOther: Bool

    static func current() throws(PostgresError) -> LocalPostgresAccount {
        let own = geteuid()
        guard own == 0 else {
            return LocalPostgresAccount(name: "uid \(own)", userID: own, groupID: getegid(), isOther: false)
        }
        if let first = serverUsers.first { return first }
        throw PostgresError(
            .localServerFailed, "PostgreSQL does not run as root, and there is neither a user postgres nor nobody",
            remedy: "Create a user named postgres, or start this program as another user.")
    }

    /// The users as whom root runs servers, the preferred one first.
    static let serverUsers = ["postgres", "nobody"].compactMap { name -> LocalPostgresAccount? in
        guard let entry = getpwnam(name), entry.pointee.pw_uid != 0 else { return nil }
        return LocalPostgresAccount(
            name: name, userID: entry.pointee.pw_uid, groupID: entry.pointee.pw_gid, isOther: true)
    }

    struct Outcome: Sendable {
        let isSuccess: Bool
        /// Standard output and error together.
        let output: String
    }

    /// What a program may take unless its caller knows better.
    static let usualLimit: Duration = .seconds(30)

    /// Runs a program as this user, with nothing of our environment, which may hold secrets.
    ///
    /// - Parameters:
    ///   - directory: its working directory, entered as this user. Defaults to `/`, which every user can enter.
    ///   - limit: the time after which it is killed with all it started in its session. Defaults to 30 seconds.
    /// - Throws: ``PostgresError/Code/localServerFailed`` when the program cannot be started or took too long,
    ///   `cancelled` when the task was cancelled, which kills the program.
    func run(
        _ program: String, _ arguments: [String], in directory: String = "/", limit: Duration = usualLimit
    ) async throws(PostgresError) -> Outcome {
        // Two shells: our own working directory may be closed to the user, and the other one to us.
        let command =
            ["-c", "cd / && exec \"$@\"", "sh"] + changeOfUser
            + ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", directory, program] + arguments
        let outcome: Result<Outcome?, PostgresError> = await withTaskGroup(
            of: Result<Outcome?, PostgresError>.self
        ) { group in
            group.addTask {
                do {
                    return .success(try await Self.execute(command))
                } catch {
                    return .failure(PostgresError(.localServerFailed, "cannot run \(program): \(error)"))
                }
            }
            group.addTask {
                // A cancelled sleep ends early; then the program's end has come first or the task was cancelled.
                do { try await SystemTime().sleep(for: limit) } catch { return .success(nil) }
                return .success(nil)
            }
            defer { group.cancelAll() }
            return await group.next() ?? .success(nil)
        }
        if Task.isCancelled { throw PostgresError(.cancelled, "cancelled while \(program) was running") }
        guard let ended = try outcome.get() else {
            throw PostgresError(.localServerFailed, "\(program) did not end within \(limit.inSeconds) seconds")
        }
        return ended
    }

    private static func execute(_ command: [String]) async throws -> Outcome {
        var options = PlatformOptions()
        // A terminal's Ctrl-C goes to the whole foreground group; a half-done initdb or stop helps nobody.
        options.createSession = true
        options.teardownSequence = [
            .send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .zero)
        ]
        let result = try await Subprocess.run(
            .name("sh"), arguments: Arguments(command),
            environment: .custom(["LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"]),
            platformOptions: options, output: .string(limit: 1 << 20), error: .combinedWithOutput)
        return Outcome(isSuccess: result.terminationStatus.isSuccess, output: result.standardOutput.trimmed)
    }

    /// The words before a command that make it run as this user.
    ///
    /// Not `PlatformOptions.userID`: swift-subprocess 1.0.2 then calls `setgroups` in a process made by a bare `clone`,
    /// where glibc waits for threads that only the parent has. One start in four or so hung there for ever.
    private var changeOfUser: [String] {
        guard isOther else { return [] }
        #if os(Linux)
            return ["setpriv", "--reuid=\(userID)", "--regid=\(groupID)", "--clear-groups", "--"]
        #else
            return ["sudo", "-n", "-u", name, "--"]
        #endif
    }

    /// Gives a file or directory to this user.
    func own(_ path: String) throws(PostgresError) {
        guard isOther else { return }
        guard lchown(path, userID, groupID) == 0 else { throw LocalPostgresFiles.failure("change the owner of", path) }
    }
}
