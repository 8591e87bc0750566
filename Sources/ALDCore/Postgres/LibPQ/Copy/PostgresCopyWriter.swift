/// Takes the rows of one `COPY … FROM STDIN (FORMAT binary)`; see
/// ``PostgresConnection/copyIn(_:deadline:_:)``.
///
/// Rows are encoded into one buffer, which is handed to the connection whenever it holds ``chunkSize`` bytes. At most
/// one such chunk waits in the connection for the network while the next one is filled: a server that is slower than
/// the caller makes the writing functions wait, and memory stays within about three chunks, unless one row is larger.
public struct PostgresCopyWriter: ~Copyable {
    /// Bytes that are sent in one go.
    public static let chunkSize = 256 * 1024

    /// Columns that the server expects in every row.
    public let columnCount: Int
    /// Results of the statements before the `COPY` in the same script; their values are text.
    public let precedingResults: [PostgresResult]
    /// Rows written so far, including those the server has not seen.
    public private(set) var rowCount = 0

    private let connection: PostgresConnection
    private let copy: PostgresConnection.CopyID
    var row: PostgresCopyRow

    init(
        connection: PostgresConnection, copy: PostgresConnection.CopyID, columnCount: Int,
        precedingResults: [PostgresResult]
    ) {
        self.connection = connection
        self.copy = copy
        self.columnCount = columnCount
        self.precedingResults = precedingResults
        row = PostgresCopyRow(capacity: Self.chunkSize + Self.chunkSize / 8)
    }

    /// Writes one row. When `encode` throws, or appends another number of columns, the row is not written and the
    /// others are not affected.
    ///
    /// - Throws: what `encode` throws; ``PostgresError`` with `misuse` for a wrong number of columns, `timedOut`,
    ///   `cancelled`, `connectionLost`, or the server's refusal of earlier rows, after which nothing more can be
    ///   written. Whatever it is: unless it is caught inside of `copyIn`'s body, no row of this `COPY` is stored.
    public nonisolated(nonsending) mutating func write(_ encode: (inout PostgresCopyRow) throws -> Void) async throws {
        try encodeRow(encode)
        try await flushIfFull()
    }

    /// Writes one row for each element. The fastest way for rows that exist as values: it suspends once in a chunk.
    ///
    /// - Throws: as ``write(_:)``; the rows before the one that failed stay written.
    public nonisolated(nonsending) mutating func write<Elements: Sequence>(
        _ elements: Elements, encode: (Elements.Element, inout PostgresCopyRow) throws -> Void
    ) async throws {
        for element in elements {
            try encodeRow { try encode(element, &$0) }
            try await flushIfFull()
        }
    }

    private mutating func encodeRow(_ encode: (inout PostgresCopyRow) throws -> Void) throws {
        row.begin(columns: Int16(truncatingIfNeeded: columnCount))
        do {
            try encode(&row)
            guard Int(row.fields) == columnCount else {
                throw PostgresError(
                    .misuse, "row \(rowCount) has \(row.fields) columns, the COPY has \(columnCount)",
                    remedy: "Append every column once, in the order of the COPY's column list.")
            }
        } catch {
            row.drop()
            throw error
        }
        rowCount += 1
    }

    mutating func countRows(_ count: Int) {
        rowCount += count
    }

    @inline(__always)
    nonisolated(nonsending) mutating func flushIfFull() async throws(PostgresError) {
        if row.bytes.count >= Self.chunkSize { try await flush() }
    }

    /// Hands over what is buffered.
    nonisolated(nonsending) mutating func flush() async throws(PostgresError) {
        guard row.bytes.count > 0 else { return }
        let chunk = CopyChunk(bytes: row.bytes.contents)
        try await connection.copySend(chunk, of: copy)
        row.bytes.removeAll(keepingAtMost: 2 * Self.chunkSize)
    }

    /// Writes the end of the data.
    nonisolated(nonsending) mutating func finish() async throws(PostgresError) {
        row.bytes.append(CopyFormat.end)
        try await flush()
    }
}

/// Bytes lent to a connection.
///
/// `@unchecked Sendable` is sound because the lender awaits the one call that reads them and changes nothing meanwhile.
struct CopyChunk: @unchecked Sendable {
    let bytes: UnsafeRawBufferPointer
}
