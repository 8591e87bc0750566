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
        for name in ["postgres", "nobody"] {
            if let entry = getpwnam(name), entry.pointee.pw_uid != 0 {
                return LocalPostgresAccount(
                    name: name, userID: entry.pointee.pw_uid, groupID: entry.pointee.pw_gid, isOther: true)
            }
        }
        throw PostgresError(
            .localServerFailed, "PostgreSQL does not run as root, and there is neither a user postgres nor nobody",
            remedy: "Create a user named postgres, or start this program as another user.")
    }

    struct Outcome: Sendable {
        let isSuccess: Bool
        /// Standard output and error together.
        let output: String
    }

    /// Runs a program as this user with `/` as its working directory, which every user can enter, and
    /// with nothing of our environment, which may hold secrets.
    ///
    /// - Throws: ``PostgresError/Code/localServerFailed`` when the program cannot be started.
    func run(_ program: String, _ arguments: [String]) async throws(PostgresError) -> Outcome {
        var options = PlatformOptions()
        // A terminal's Ctrl-C goes to the whole foreground group; a half-done initdb or stop helps nobody.
        options.createSession = true
        do {
            let result = try await Subprocess.run(
                .name("sh"),
                arguments: Arguments(["-c", "cd / && exec \"$@\"", "sh"] + changeOfUser + [program] + arguments),
                environment: .custom(["LC_ALL": "C", "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"]),
                platformOptions: options, output: .string(limit: 1 << 20), error: .combinedWithOutput)
            return Outcome(
                isSuccess: result.terminationStatus.isSuccess, output: result.standardOutput.trimmed)
        } catch {
            throw PostgresError(.localServerFailed, "cannot run \(program): \(error)")
        }
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
