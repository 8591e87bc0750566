#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A pipe to oneself: a thread that sleeps in `poll(2)` wakes up when another one rings. Lives as long as the process.
struct WakeUpPipe: Sendable {
    let readEnd: Int32
    private let writeEnd: Int32

    init() throws(PostgresError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw PostgresError(
                .connectionFailed, "cannot create a pipe: \(String(cString: strerror(errno)))",
                remedy: "Raise the limit of open files (ulimit -n).")
        }
        readEnd = ends[0]
        writeEnd = ends[1]
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
    }

    /// A full pipe is as good as a written one: the sleeper has not drained it yet.
    func ring() {
        var byte: UInt8 = 0
        _ = write(writeEnd, &byte, 1)
    }

    func drain() {
        var buffer: [UInt8] = Array(repeating: 0, count: 64)
        while read(readEnd, &buffer, buffer.count) == buffer.count {}
    }
}
