/// The rows of one `COPY … TO STDOUT`; see ``PostgresConnection/copyOut(_:columns:deadline:_:)``.
///
/// They come in batches of at most 4096 rows or 256 KiB, unless one row is larger; the server waits when nobody takes
/// them. One iteration at a time: every iterator goes on where the last one ended.
public struct PostgresCopyRows: AsyncSequence, Sendable {
    public typealias Element = PostgresRow
    public typealias Failure = PostgresError

    let connection: PostgresConnection
    let copy: PostgresConnection.CopyID

    public func makeAsyncIterator() -> Iterator {
        Iterator(connection: connection, copy: copy)
    }

    public struct Iterator: AsyncIteratorProtocol {
        let connection: PostgresConnection
        let copy: PostgresConnection.CopyID
        private var batch: CopyBatch?
        private var index = 0

        init(connection: PostgresConnection, copy: PostgresConnection.CopyID) {
            self.connection = connection
            self.copy = copy
        }

        /// - Throws: ``PostgresError``, as ``PostgresConnection/query(_:_:deadline:)``; `misuse` outside of the body of
        ///   `copyOut`.
        public mutating func next() async throws(PostgresError) -> PostgresRow? {
            if let batch, index < batch.rowCount { return take(from: batch) }
            batch = try await connection.copyReceive(of: copy)
            index = 0
            return batch.map { take(from: $0) }
        }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(PostgresError) -> PostgresRow? {
            if let batch, index < batch.rowCount { return take(from: batch) }
            batch = try await connection.copyReceive(of: copy)
            index = 0
            return batch.map { take(from: $0) }
        }

        private mutating func take(from batch: CopyBatch) -> PostgresRow {
            defer { index += 1 }
            return PostgresRow(storage: batch, index: index)
        }
    }
}
