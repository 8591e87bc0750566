import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Ownership of a local server's directory: an exclusive `flock` that the kernel drops when the process ends, however
/// it ends. The file names the owner for people.
final class LocalPostgresLock: Sendable {
    private let descriptor: Mutex<Int32?>

    /// - Throws: ``PostgresError/Code/localServerDirectoryInUse`` naming the process that holds it.
    init(directory: String) throws(PostgresError) {
        let path = directory + "/ald.lock"
        // Closed on exec: a server that inherited the lock would hold it for ever.
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw LocalPostgresFiles.failure("open", path) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let reason = errno
            close(file)
            guard reason == EWOULDBLOCK else {
                errno = reason
                throw LocalPostgresFiles.failure("lock", path)
            }
            let owner = LocalPostgresFiles.contents(of: path)?.trimmed ?? ""
            throw PostgresError(
                .localServerDirectoryInUse, "process \(owner.isEmpty ? "(starting)" : owner) uses \(directory) already",
                place: directory, remedy: "Stop that process, connect to its server, or choose another directory.")
        }
        let text = "\(getpid())\n"
        ftruncate(file, 0)
        _ = pwrite(file, text, text.utf8.count, 0)
        descriptor = Mutex(file)
    }

    deinit {
        release()
    }

    func release() {
        descriptor.withLock { file in
            if let file { FileLock.release(file) }
            file = nil
        }
    }
}
