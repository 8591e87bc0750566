extension LocalPostgres {
    /// How to reach the server that runs in `directory`, whoever started it; `nil` when none does.
    ///
    /// For tools that look into a database while its owner records. Contains no secret.
    public static func connectionString(ofServerIn directory: String) -> String? {
        let data = LocalPostgresCluster.data(in: LocalPostgresFiles.resolved(directory))
        guard LocalPostgresProcess.recorded(in: data)?.state(of: data) == .runsHere,
            let contents = LocalPostgresFiles.contents(of: data + "/postmaster.pid")
        else { return nil }
        // Process, data directory, start time, port, socket directory, one a line.
        let lines = contents.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count > 4, !lines[4].isEmpty else { return nil }
        return "host=\(ConnectionStringValue.quoted(String(lines[4]))) port=\(lines[3]) user=\(roleName)"
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
