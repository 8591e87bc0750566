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
