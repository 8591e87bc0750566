#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A parameter of a statement. Sent in PostgreSQL's binary format with its type, so that nothing is ever quoted,
/// parsed or rounded on the way.
///
/// ```swift
/// try await connection.query(
///     "INSERT INTO sample SELECT * FROM unnest($1, $2)", [.int4Array(ids), .float8Array(values)], deadline: deadline)
/// ```
public enum PostgresValue: Hashable, Sendable {
    /// SQL NULL. The server infers its type from where it is used.
    case null
    case bool(Bool)
    case int2(Int16)
    case int4(Int32)
    case int8(Int64)
    case float4(Float)
    case float8(Double)
    /// Without loss: see ``PostgresNumeric``.
    case numeric(PostgresNumeric)
    /// Must not contain U+0000, which PostgreSQL cannot store (it answers 22021).
    case text(String)
    case bytea([UInt8])
    case uuid(UUID)
    /// Microseconds, which is exactly what the type holds.
    case timestamptz(Timestamp)
    /// JSON text; the server checks it (22P02).
    case jsonb(String)
    case int2Array([Int16])
    case int4Array([Int32])
    case int8Array([Int64])
    /// `nil` elements become SQL NULL; NaN and infinities are stored as such.
    case float8Array([Double?])
    case timestamptzArray([Timestamp])
    case textArray([String])
    /// An array of any other type, or with nulls.
    case array(PostgresArray)
}
