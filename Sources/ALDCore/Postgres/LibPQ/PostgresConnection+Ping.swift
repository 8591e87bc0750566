import CLibPQ

extension PostgresConnection {
    /// Asks the server for a sign of life: one round trip of a statement without content, which it neither parses nor
    /// plans. Proves that the link and the server process work; says nothing about the role, tables or disk.
    ///
    /// - Returns: how long the answer took.
    /// - Throws: ``PostgresError``, as ``query(_:_:deadline:)``. A connection without answer is closed.
    @discardableResult
    public func ping(deadline: MonotonicInstant) async throws(PostgresError) -> Duration {
        let start = systemClock.now
        _ = try await exchange(deadline: deadline) { PQsendQuery($0, "") == 1 }
        return systemClock.now - start
    }
}
