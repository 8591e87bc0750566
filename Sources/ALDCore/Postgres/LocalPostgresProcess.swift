#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The process that `postmaster.pid` names.
struct LocalPostgresProcess: Sendable {
    enum State: Sendable {
        /// It is the server of this cluster.
        case runsHere
        case gone
        /// A process with that number exists and has nothing to do with this cluster.
        case isSomethingElse
    }

    /// A number that no process can have.
    static let impossibleID: pid_t = .max

    let id: pid_t

    static func recorded(in data: String) -> LocalPostgresProcess? {
        let line = LocalPostgresFiles.contents(of: data + "/postmaster.pid")?.split(separator: "\n").first
        return line.flatMap { pid_t(String($0).trimmed) }.map { LocalPostgresProcess(id: $0) }
    }

    /// The server's processes in this cluster, its children included, whether or not `postmaster.pid` knows them.
    ///
    /// A server works in its home until it has entered the data directory, and only then writes its file. Programs
    /// of other users or of other names are never among them. Where there is no `/proc`: what the file says.
    static func servers(of data: String, home: String, account: LocalPostgresAccount) -> [LocalPostgresProcess] {
        #if os(Linux)
            let places = [LocalPostgresFiles.resolved(data), LocalPostgresFiles.resolved(home)]
            return LocalPostgresFiles.names(in: "/proc").compactMap { pid_t($0) }.filter { id in
                var status = stat()
                guard stat("/proc/\(id)", &status) == 0, status.st_uid == account.userID else { return false }
                // Not the program's path: it is unknown once the package has been upgraded.
                let name = LocalPostgresFiles.contents(of: "/proc/\(id)/comm") ?? ""
                return name.contains("postgres") && places.contains(LocalPostgresFiles.resolved("/proc/\(id)/cwd"))
            }.map { LocalPostgresProcess(id: $0) }
        #else
            let recorded = recorded(in: data).map { [$0] } ?? []
            return account.isOther ? [] : recorded.filter { $0.state(of: data) == .runsHere }
        #endif
    }

    /// A server's working directory is its data directory, which tells it from a stranger with the same number.
    func state(of data: String) -> State {
        let mayBeSignalled = kill(id, 0) == 0
        guard id > 0, mayBeSignalled || errno == EPERM else { return .gone }
        #if os(Linux)
            return LocalPostgresFiles.resolved("/proc/\(id)/cwd") == LocalPostgresFiles.resolved(data)
                ? .runsHere : .isSomethingElse
        #else
            // Only the kernel's permission check tells here: a process of another user is never ours.
            return mayBeSignalled ? .runsHere : .isSomethingElse
        #endif
    }
}
