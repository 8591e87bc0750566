import CLibPQ

/// A request to cancel whatever a session is running, detached from its connection.
///
/// `@unchecked Sendable` is sound because libpq documents `PQcancel` as callable from any thread, the object is a copy of
/// address and key that is never changed, and it is freed when the last reference is gone.
final class CancelRequest: @unchecked Sendable {
    private let pointer: OpaquePointer

    init?(_ handle: LibPQHandle) {
        guard let pointer = PQgetCancel(handle.pointer) else { return nil }
        self.pointer = pointer
    }

    deinit {
        PQfreeCancel(pointer)
    }

    /// Opens a connection of its own and blocks until the server has passed the request on.
    ///
    /// - Returns: whether it was delivered; the statement may have ended by itself before.
    func send() -> Bool {
        var message = [CChar](repeating: 0, count: 256)
        return PQcancel(pointer, &message, Int32(message.count)) == 1
    }
}
