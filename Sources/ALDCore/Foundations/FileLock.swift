#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The lock of `flock` on a file that a process has open.
enum FileLock {
    /// Gives the lock up by name, and closes the file: closing alone would leave the lock with a program that this process
    /// is just starting, until that has closed its copy.
    static func release(_ descriptor: Int32) {
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
