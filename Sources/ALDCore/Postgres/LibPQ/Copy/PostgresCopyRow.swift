#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// One row of a `COPY … FROM STDIN` while it is written: one `append` for each column, in the order of the columns.
///
/// There is no conversion in a binary COPY: the Swift type must be that of the column (`Int32` for int4, `Int16` for
/// int2, `Timestamp` for timestamptz, …), or the server refuses the data with 22P03, in unlucky cases stores nonsense.
/// `nil` of any type writes null.
public struct PostgresCopyRow: ~Copyable {
    var bytes: BinaryWriter
    private(set) var fields: Int16 = 0
    private var start = 0

    init(capacity: Int) {
        bytes = BinaryWriter(capacity: capacity)
        bytes.append(contentsOf: CopyFormat.header)
    }

    mutating func begin(columns: Int16) {
        start = bytes.count
        fields = 0
        bytes.append(columns)
    }

    /// Forgets the row that was begun last.
    mutating func drop() {
        bytes.rewind(to: start)
    }

    @inline(__always)
    private mutating func appendNumber<Number: FixedWidthInteger>(_ number: Number?) {
        fields &+= 1
        guard let number else { return bytes.append(CopyFormat.null) }
        bytes.append(Int32(MemoryLayout<Number>.size))
        bytes.append(number)
    }

    /// int2
    public mutating func append(_ value: Int16?) { appendNumber(value) }

    /// int4
    public mutating func append(_ value: Int32?) { appendNumber(value) }

    /// int8
    public mutating func append(_ value: Int64?) { appendNumber(value) }

    /// float8; NaN and infinities are stored as such.
    public mutating func append(_ value: Double?) { appendNumber(value?.bitPattern) }

    /// float4
    public mutating func append(_ value: Float?) { appendNumber(value?.bitPattern) }

    /// bool
    public mutating func append(_ value: Bool?) { appendNumber(value.map { $0 ? 1 as UInt8 : 0 }) }

    /// timestamptz
    ///
    /// - Throws: ``PostgresError/Code/encodingFailed`` for a moment PostgreSQL cannot represent.
    public mutating func append(_ value: Timestamp?) throws(PostgresError) {
        guard let value else { return appendNull() }
        appendNumber(try value.postgresMicroseconds)
    }

    /// uuid
    public mutating func append(_ value: UUID?) {
        guard let value else { return appendNull() }
        fields &+= 1
        bytes.append(16 as Int32)
        withUnsafeBytes(of: value.uuid) { bytes.append(contentsOf: $0) }
    }

    /// Any other value: text, bytea, numeric, jsonb, arrays.
    ///
    /// - Throws: ``PostgresError/Code/encodingFailed``.
    public mutating func append(_ value: PostgresValue) throws(PostgresError) {
        fields &+= 1
        try value.encodeWithLength(into: &bytes)
    }

    public mutating func appendNull() {
        fields &+= 1
        bytes.append(CopyFormat.null)
    }
}
