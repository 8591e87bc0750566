#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// An installed PostgreSQL server: the directory with its programs and its major version.
struct LocalPostgresBinaries: Sendable, Equatable {
    let directory: String
    let majorVersion: Int

    func path(_ program: String) -> String { directory + "/" + program }

    /// The newest server that fits.
    ///
    /// - Parameters:
    ///   - given: the only directory to look at, if not `nil`.
    ///   - clusterVersion: the version an existing cluster demands, if there is one.
    ///   - directories: where to look.
    /// - Throws: ``PostgresError/Code/localServerMissing`` or `localServerVersionMismatch`.
    static func find(
        given: String?, clusterVersion: Int?, account: LocalPostgresAccount, in directories: [String]
    ) async throws(PostgresError) -> LocalPostgresBinaries {
        var found: [LocalPostgresBinaries] = []
        for directory in given.map({ [$0] }) ?? directories {
            if let binaries = try await inspect(directory, account) { found.append(binaries) }
        }
        let usable = found.filter { $0.majorVersion >= LocalPostgres.minimumMajorVersion }
        if let clusterVersion, !found.isEmpty {
            if let match = found.first(where: { $0.majorVersion == clusterVersion }) { return match }
            let installed = found.map { String($0.majorVersion) }.joined(separator: ", ")
            throw PostgresError(
                .localServerVersionMismatch,
                "the cluster was made by PostgreSQL \(clusterVersion), installed is \(installed)",
                remedy: "Install postgresql-\(clusterVersion), or convert the cluster with pg_upgrade.")
        }
        if let newest = usable.max(by: { $0.majorVersion < $1.majorVersion }) { return newest }
        let looked = (given.map { [$0] } ?? directories).joined(separator: ", ")
        let old = found.map { "\($0.majorVersion) in \($0.directory)" }.joined(separator: ", ")
        throw PostgresError(
            .localServerMissing,
            "no PostgreSQL server of version \(LocalPostgres.minimumMajorVersion) or newer"
                + (old.isEmpty ? "" : " (only \(old))") + "; looked in \(looked)",
            remedy: "Install it (Debian, Ubuntu: apt install postgresql; Fedora: dnf install postgresql-server;"
                + " macOS: brew install postgresql), set ALD_POSTGRES_BIN to its bin directory,"
                + " or set ALD_DATABASE_URL to a server that runs already.")
    }

    /// Where servers are usually installed, `PATH` first.
    static func usualDirectories() -> [String] {
        var result = (getenv("PATH").map { String(cString: $0) } ?? "").split(separator: ":").map(String.init)
        for (root, prefix) in [
            ("/usr/lib/postgresql", ""), ("/usr", "pgsql-"), ("/opt/homebrew/opt", "postgresql"),
            ("/usr/local/opt", "postgresql"), ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
        ] {
            result += LocalPostgresFiles.names(in: root).filter { $0.hasPrefix(prefix) }.map { "\(root)/\($0)/bin" }
        }
        return result
    }

    private static func inspect(
        _ directory: String, _ account: LocalPostgresAccount
    ) async throws(PostgresError) -> Self? {
        let programs = ["postgres", "initdb", "pg_ctl"]
        guard programs.allSatisfy({ LocalPostgresFiles.isExecutable(directory + "/" + $0) }) else { return nil }
        let answer = try await account.run(directory + "/postgres", ["--version"])
        guard answer.isSuccess, let version = majorVersion(in: answer.output) else { return nil }
        return LocalPostgresBinaries(directory: directory, majorVersion: version)
    }

    /// `postgres (PostgreSQL) 15.18 (Debian …)` is 15, `… 18beta1` is 18.
    static func majorVersion(in text: String) -> Int? {
        guard let marker = text.firstRange(of: "(PostgreSQL) ") else { return nil }
        return Int(text[marker.upperBound...].prefix { $0.isASCII && $0.isNumber })
    }
}
