#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The directory of a local server's unix socket: short, because a socket's path is limited by the kernel, and
/// private, because whoever can reach the socket is the database's superuser.
struct LocalPostgresSocket: Sendable {
    /// Only a part of the socket's file name: nothing listens on TCP.
    static let port = 5432
    /// `sockaddr_un.sun_path` less its final zero; 107 on Linux, 103 on macOS.
    static let maximumPathLength = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    let directory: String
    let account: LocalPostgresAccount

    /// Derives the directory from the cluster's, so that it is the same at every start.
    ///
    /// - Parameter temporaryDirectories: in order of preference; the first one that is short enough is taken.
    init(home: String, account: LocalPostgresAccount, temporaryDirectories: [String]) throws(PostgresError) {
        let names = temporaryDirectories.map { $0 + "/ald-pg-" + LocalPostgresFiles.shortHash(home) }
        guard let directory = names.first(where: { Self.socketPath(in: $0).utf8.count <= Self.maximumPathLength })
        else {
            throw PostgresError(
                .localServerDirectoryUnusable,
                "no temporary directory is short enough for a socket: \(temporaryDirectories.joined(separator: ", "))",
                remedy: "Set TMPDIR to a path of at most \(Self.maximumPathLength - 40) bytes.")
        }
        self.directory = directory
        self.account = account
    }

    /// `TMPDIR` where the server's user can use it, then `/tmp`.
    static func temporaryDirectories(for account: LocalPostgresAccount) async throws(PostgresError) -> [String] {
        guard var given = getenv("TMPDIR").map({ String(cString: $0) }), given.hasPrefix("/") else { return ["/tmp"] }
        while given.count > 1, given.hasSuffix("/") { given.removeLast() }
        let isUsable = try await account.run("/bin/sh", ["-c", "test -d \"$0\" && test -w \"$0\"", given]).isSuccess
        return isUsable ? [given, "/tmp"] : ["/tmp"]
    }

    private static func socketPath(in directory: String) -> String { directory + "/.s.PGSQL.\(port)" }

    /// - Throws: ``PostgresError/Code/localServerDirectoryUnusable`` also when somebody else made the directory:
    ///   he could put his own server there.
    func create() async throws(PostgresError) {
        let outcome = try await account.run("/bin/mkdir", ["-m", "0700", directory])
        if outcome.isSuccess { return }
        var status = stat()
        guard lstat(directory, &status) == 0 else {
            throw PostgresError(
                .localServerDirectoryUnusable, "cannot create the socket directory: \(outcome.output)",
                place: directory, remedy: "Set TMPDIR to a directory that \(account.name) can write.")
        }
        let isOurs =
            status.st_mode & S_IFMT == S_IFDIR && status.st_uid == account.userID && status.st_mode & 0o077 == 0
        guard isOurs else {
            throw PostgresError(
                .localServerDirectoryUnusable, "\(directory) exists and is not a private directory of \(account.name)",
                place: directory, remedy: "Find out who made it, then remove it.")
        }
        try await removeSockets()
    }

    func remove() async throws(PostgresError) {
        try await removeSockets()
        _ = try await account.run("/bin/rmdir", [directory])
    }

    /// No server runs when this is called, so what is there is left over, and its recorded process may be anybody.
    private func removeSockets() async throws(PostgresError) {
        let socket = Self.socketPath(in: directory)
        _ = try await account.run("/bin/rm", ["-f", socket, socket + ".lock"])
    }
}
