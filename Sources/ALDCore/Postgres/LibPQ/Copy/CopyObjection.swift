import CLibPQ

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Notices early that the server has refused the data of a `COPY … FROM STDIN`, so that the rest need not be sent.
///
/// libpq tells it only when the data have ended. But until then a server has nothing to say except notices, which libpq
/// hands over as soon as they are complete. So something that arrived, became no notice and is followed by silence is
/// an error. If that were wrong, the `COPY` would fail without cause: hence the silence, as a notice may come in pieces,
/// and hence nothing of it behind a pooler, which may have messages of its own.
struct CopyObjection {
    /// Whether the server speaks for itself.
    var isTrusted = true
    private var isSuspected = false
    private(set) var isRaised = false

    /// Reads what has arrived.
    ///
    /// - Returns: whether the server has refused the data.
    mutating func look(at handle: LibPQHandle) -> Bool {
        if isRaised { return true }
        guard handle.isReadable else {
            isRaised = isSuspected
            return isRaised
        }
        // Behind an error, the end of the stream would make libpq forget the error.
        if isSuspected, handle.isAtEnd {
            isRaised = true
            return true
        }
        let before = handle.notices.count
        PQconsumeInput(handle.pointer)
        // Without data it only looks through the input.
        PQputCopyData(handle.pointer, nil, 0)
        isSuspected = isTrusted && handle.notices.count == before
        // A link that broke says nothing more.
        if !handle.isAlive { isRaised = true }
        return isRaised
    }
}
