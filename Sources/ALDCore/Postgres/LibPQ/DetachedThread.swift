import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A thread of its own, for what must block: the reactor's sleep, name resolution, libpq's cancel request.
enum DetachedThread {
    private final class Work: Sendable {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// - Parameter name: at most 15 bytes; shown by `top -H`.
    /// - Throws: ``PostgresError/Code/connectionFailed`` when the system refuses another thread.
    static func start(name: String, _ body: @escaping @Sendable () -> Void) throws(PostgresError) {
        let work = Unmanaged.passRetained(Work(name: name, body: body))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        #if canImport(Darwin)
            var thread: pthread_t?
            let status = pthread_create(&thread, &attributes, { Self.enter($0) }, work.toOpaque())
        #else
            var thread = pthread_t()
            let status = pthread_create(&thread, &attributes, { Self.enter($0) }, work.toOpaque())
        #endif
        guard status == 0 else {
            work.release()
            throw PostgresError(
                .connectionFailed, "cannot start a thread: \(String(cString: strerror(status)))",
                remedy: "Raise the limit of processes (ulimit -u) or of the container.")
        }
    }

    private static func enter(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
        guard let context else { return nil }
        let work = Unmanaged<Work>.fromOpaque(context).takeRetainedValue()
        rename(work.name)
        work.body()
        return nil
    }

    /// Only for people who look at the process; a failure changes nothing.
    private static func rename(_ name: String) {
        #if canImport(Darwin)
            pthread_setname_np(name)
        #else
            let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
            guard file >= 0 else { return }
            _ = write(file, name, name.utf8.count)
            close(file)
        #endif
    }
}
