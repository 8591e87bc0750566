/// A type that a result's value can become.
///
/// Conforming here: every ``PostgresScalar`` (`Bool`, `Int16`, `Int32`, `Int64`, `Float`, `Double`, `String`, `[UInt8]`,
/// `UUID`, ``Timestamp``, ``PostgresNumeric``, ``PostgresJSON``), `Int`, `UInt32` (oid), arrays of scalars and of
/// optional scalars, and optionals of all of them.
public protocol PostgresDecodable: Sendable {
    /// - Throws: ``PostgresError/Code/decodingFailed`` when the cell is null or its type or value does not fit.
    static func decode(_ cell: PostgresCell) throws(PostgresError) -> Self
}

/// One value of one row, as the server sent it.
public struct PostgresCell: Sendable {
    let storage: any RowStorage
    let row: Int
    let column: Int

    public var type: PostgresType { storage.columns[column].type }
    public var name: String { storage.columns[column].name }
    public var isNull: Bool { storage.bytes(row: row, column: column) == nil }

    /// Lends the value's bytes in PostgreSQL's binary format for the time of the call; empty when null.
    public func withBytes<R, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> R
    ) throws(Failure) -> R {
        try withExtendedLifetime(storage) { () throws(Failure) -> R in
            try body(storage.bytes(row: row, column: column) ?? UnsafeRawBufferPointer(start: nil, count: 0))
        }
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
