extension LocalPostgres {
    /// How to reach the server that runs in `directory`, whoever started it; `nil` when none does.
    ///
    /// For tools that look into a database while its owner records. Contains no secret.
    public static func connectionString(ofServerIn directory: String) -> String? {
        let data = LocalPostgresCluster.data(in: LocalPostgresFiles.resolved(directory))
        guard LocalPostgresProcess.recorded(in: data)?.state(of: data) == .runsHere,
            let contents = LocalPostgresFiles.contents(of: data + "/postmaster.pid")
        else { return nil }
        return connectionString(inProcessFile: contents)
    }

    /// The file's lines are process, data directory, start time, port, socket directory. The server's user may write
    /// into it what he likes, so nothing reaches the string unquoted.
    static func connectionString(inProcessFile contents: String) -> String? {
        let lines = contents.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count > 4, !lines[4].isEmpty, lines[3].allSatisfy({ "0"..."9" ~= $0 }), let port = UInt16(lines[3])
        else { return nil }
        return "host=\(ConnectionStringValue.quoted(String(lines[4]))) port=\(port) user=\(roleName)"
            + " dbname=\(databaseName)"
    }
}

extension LocalPostgres {
    /// The PostgreSQL programs that ``start()`` would use for a new cluster.
    ///
    /// - Throws: ``PostgresError/Code/localServerMissing`` with where they were looked for and what to install.
    public static func installedServer(
        binaryDirectory: String?
    ) async throws(PostgresError) -> (directory: String, majorVersion: Int) {
        let found = try await LocalPostgresBinaries.find(
            given: binaryDirectory, clusterVersion: nil, account: try LocalPostgresAccount.current(),
            in: LocalPostgresBinaries.usualDirectories())
        return (found.directory, found.majorVersion)
    }
}
