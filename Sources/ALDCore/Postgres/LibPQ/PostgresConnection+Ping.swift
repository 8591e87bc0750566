import CLibPQ
import Logging

extension PostgresConnection {
    /// Asks the server for a sign of life: one round trip of a statement without content, which it neither parses nor
    /// plans. Proves that the link and the server process work; says nothing about the role, tables or disk.
    ///
    /// - Returns: how long the answer took.
    /// - Throws: ``PostgresError``, as ``query(_:_:deadline:)``. A connection without answer is closed at once: there is
    ///   nothing to cancel, so nobody waits for a confirmation.
    @discardableResult
    public func ping(deadline: MonotonicInstant) async throws(PostgresError) -> Duration {
        let start = systemClock.now
        _ = try await exchange(deadline: deadline, grace: .zero) { PQsendQuery($0, "") == 1 }
        return systemClock.now - start
    }

    /// Whether an idle connection can be lent: it is clean, and the server answers a ``ping(deadline:)`` in time.
    ///
    /// - Parameter deadline: an instant of the connection's time source.
    func answers(by deadline: MonotonicInstant) async -> Bool {
        guard isClean else { return false }
        do {
            try await ping(deadline: deadline)
        } catch {
            logger.debug("no answer to a ping", metadata: ["error": "\(error)"])
            return false
        }
        // The server may have said farewell behind its answer.
        return handle?.isReady == true
    }
}
