/// A type that a result's value can become.
///
/// Conforming here: `Bool`, `Int16`, `Int32`, `Int64`, `Int`, `UInt32` (oid), `Float`, `Double`, `String`, `[UInt8]`,
/// `UUID`, ``Timestamp``, arrays of `Int16`, `Int32`, `Int64`, `Double`, `Double?`, `String` and ``Timestamp``, and
/// optionals of all of them.
public protocol PostgresDecodable: Sendable {
    /// - Throws: ``PostgresError/Code/decodingFailed`` when the cell is null or its type or value does not fit.
    static func decode(_ cell: PostgresCell) throws(PostgresError) -> Self
}

/// One value of one row, as the server sent it.
public struct PostgresCell: Sendable {
    let storage: ResultStorage
    let row: Int
    let column: Int

    public var type: PostgresType { storage.columns[column].type }
    public var name: String { storage.columns[column].name }
    public var isNull: Bool { storage.isNull(row: row, column: column) }

    /// Lends the value's bytes in PostgreSQL's binary format for the time of the call; empty when null.
    public func withBytes<R, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        try storage.withBytes(row: row, column: column, body)
    }

    /// The error to throw when this cell cannot become what was asked for.
    public func mismatch(_ wanted: String, _ reason: String? = nil) -> PostgresError {
        let why = reason ?? (isNull ? "it is null" : "its type is \(type)")
        return PostgresError(
            .decodingFailed, "column \"\(name)\" of row \(row) cannot become \(wanted): \(why)", effect: .unknown,
            remedy: isNull ? "Decode it as \(wanted)?." : nil)
    }
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Wrapped? {
        if cell.isNull { return nil }
        return try Wrapped.decode(cell)
    }
}
