import Logging

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Where a local server keeps everything: the requested directory, or its stand-in where the server's user can reach.
enum LocalPostgresHome {
    static let standInRoot = "/var/lib/ald"

    /// Creates the directory, hands it to the server's user and makes sure that the user can work there.
    ///
    /// - Returns: the real path, symbolic links followed.
    /// - Throws: ``PostgresError/Code/localServerDirectoryUnusable``.
    static func prepare(
        _ requested: String, for account: LocalPostgresAccount, logger: Logger
    ) async throws(PostgresError) -> String {
        let existed = LocalPostgresFiles.exists(requested)
        try LocalPostgresFiles.createDirectory(requested, mode: 0o700)
        let path = LocalPostgresFiles.resolved(requested)
        guard LocalPostgresFiles.isDirectory(path) else {
            errno = ENOTDIR
            throw LocalPostgresFiles.failure("use", path)
        }
        guard account.isOther else {
            guard access(path, W_OK | X_OK) == 0 else { throw LocalPostgresFiles.failure("use", path) }
            return path
        }
        if !existed || LocalPostgresFiles.names(in: path).isEmpty { try account.own(path) }
        if try await isReachable(path, by: account) { return path }
        guard LocalPostgresFiles.names(in: path).isEmpty else {
            throw PostgresError(
                .localServerDirectoryUnusable, "the user \(account.name), as whom the server runs, cannot use \(path)",
                place: path, remedy: "Give the directory to \(account.name), and let it enter the parents (chmod o+x).")
        }
        return try await standIn(for: requested, account, logger)
    }

    /// Asks the system as that user: modes, lists of access rights and mount options all count.
    private static func isReachable(
        _ path: String, by account: LocalPostgresAccount
    ) async throws(PostgresError) -> Bool {
        try await account.run("/bin/sh", ["-c", "test -x \"$0\" && test -w \"$0\"", path]).isSuccess
    }

    private static func standIn(
        for requested: String, _ account: LocalPostgresAccount, _ logger: Logger
    ) async throws(PostgresError) -> String {
        let path = standInRoot + "/" + LocalPostgresFiles.shortHash(requested)
        try LocalPostgresFiles.createDirectory(standInRoot)
        try LocalPostgresFiles.createDirectory(path, mode: 0o700)
        try account.own(path)
        guard try await isReachable(path, by: account) else {
            throw PostgresError(
                .localServerDirectoryUnusable, "the user \(account.name) can use neither \(requested) nor \(path)",
                place: path, remedy: "Let \(account.name) enter the parents of one of them (chmod o+x).")
        }
        // Empty, as checked above; `rmdir` makes sure of it.
        guard rmdir(requested) == 0, symlink(path, requested) == 0 else {
            throw LocalPostgresFiles.failure("link", requested)
        }
        logger.notice(
            "the database lies elsewhere: the server's user cannot enter the requested directory",
            metadata: ["requested": "\(requested)", "actual": "\(path)", "user": "\(account.name)"])
        return path
    }
}
