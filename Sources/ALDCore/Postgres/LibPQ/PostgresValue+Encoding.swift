#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension PostgresValue {
    /// The type announced to the server.
    var type: PostgresType {
        switch self {
        case .null: .unspecified
        case .bool: .bool
        case .int2: .int2
        case .int4: .int4
        case .int8: .int8
        case .float4: .float4
        case .float8: .float8
        case .numeric: .numeric
        case .text: .text
        case .bytea: .bytea
        case .uuid: .uuid
        case .timestamptz: .timestamptz
        case .jsonb: .jsonb
        case .int2Array: .int2Array
        case .int4Array: .int4Array
        case .int8Array: .int8Array
        case .float8Array: .float8Array
        case .timestamptzArray: .timestamptzArray
        case .textArray: .textArray
        case .array(let array): array.elementType.array ?? .unspecified
        }
    }

    /// Appends the value without its length.
    ///
    /// - Throws: ``PostgresError/Code/encodingFailed`` for a moment PostgreSQL cannot represent and for an array of
    ///   more than `Int32.max` elements.
    func encode(into writer: inout BinaryWriter) throws(PostgresError) {
        switch self {
        case .null: break
        case .bool(let value): writer.append(value ? 1 as UInt8 : 0)
        case .int2(let value): writer.append(value)
        case .int4(let value): writer.append(value)
        case .int8(let value): writer.append(value)
        case .float4(let value): writer.append(value.bitPattern)
        case .float8(let value): writer.append(value.bitPattern)
        case .numeric(let value): value.encode(into: &writer)
        case .text(let value): writer.append(value)
        case .bytea(let value): writer.append(contentsOf: value)
        case .uuid(let value): withUnsafeBytes(of: value.uuid) { writer.append(contentsOf: UnsafeRawBufferPointer($0)) }
        case .timestamptz(let value): writer.append(try value.postgresMicroseconds)
        case .jsonb(let value):
            writer.append(PostgresJSON.version)
            writer.append(value)
        case .int2Array(let values): try Self.encode(values, of: .int2, into: &writer)
        case .int4Array(let values): try Self.encode(values, of: .int4, into: &writer)
        case .int8Array(let values): try Self.encode(values, of: .int8, into: &writer)
        case .float8Array(let values): try Self.encodeFloats(values, into: &writer)
        case .timestamptzArray(let values):
            var microseconds: [Int64] = []
            microseconds.reserveCapacity(values.count)
            for value in values { microseconds.append(try value.postgresMicroseconds) }
            try Self.encode(microseconds, of: .timestamptz, into: &writer)
        case .textArray(let values): try Self.encodeTexts(values, into: &writer)
        case .array(let array):
            try Self.encodeArrayHeader(
                count: array.count, hasNulls: array.hasNulls, element: array.elementType, into: &writer)
            writer.append(contentsOf: array.elements)
        }
    }

    /// Appends the value with its length before it, −1 for null.
    ///
    /// - Throws: ``PostgresError/Code/encodingFailed``, as ``encode(into:)``, and when it is longer than 2³¹−1 bytes.
    func encodeWithLength(into writer: inout BinaryWriter) throws(PostgresError) {
        let start = writer.count
        writer.append(-1 as Int32)
        guard self != .null else { return }
        try encode(into: &writer)
        guard let length = Int32(exactly: writer.count - start - 4) else {
            throw PostgresError(.encodingFailed, "a value of \(writer.count - start) bytes is too long")
        }
        writer.overwrite(length, at: start)
    }

    /// dimensions, null flag, element type, then length and lower bound of the only dimension. An empty array has no
    /// dimension.
    private static func encodeArrayHeader(
        count: Int, hasNulls: Bool, element: PostgresType, into writer: inout BinaryWriter
    ) throws(PostgresError) {
        guard let length = Int32(exactly: count) else {
            throw PostgresError(.encodingFailed, "an array of \(count) elements is too long for PostgreSQL")
        }
        writer.append(length == 0 ? 0 as Int32 : 1)
        writer.append(hasNulls ? 1 as Int32 : 0)
        writer.append(element.rawValue)
        guard length > 0 else { return }
        writer.append(length)
        writer.append(1 as Int32)
    }

    private static func encode<Number: FixedWidthInteger>(
        _ values: [Number], of element: PostgresType, into writer: inout BinaryWriter
    ) throws(PostgresError) {
        try encodeArrayHeader(count: values.count, hasNulls: false, element: element, into: &writer)
        for value in values {
            writer.append(Int32(MemoryLayout<Number>.size))
            writer.append(value)
        }
    }

    private static func encodeFloats(_ values: [Double?], into writer: inout BinaryWriter) throws(PostgresError) {
        let hasNulls = values.contains { $0 == nil }
        try encodeArrayHeader(count: values.count, hasNulls: hasNulls, element: .float8, into: &writer)
        for value in values {
            if let value {
                writer.append(8 as Int32)
                writer.append(value.bitPattern)
            } else {
                writer.append(-1 as Int32)
            }
        }
    }

    private static func encodeTexts(_ values: [String], into writer: inout BinaryWriter) throws(PostgresError) {
        try encodeArrayHeader(count: values.count, hasNulls: false, element: .text, into: &writer)
        for value in values {
            writer.append(Int32(truncatingIfNeeded: value.utf8.count))
            writer.append(value)
        }
    }
}

extension Timestamp {
    /// PostgreSQL counts from 2000-01-01T00:00:00Z.
    static let postgresEpochMicroseconds: Int64 = 946_684_800_000_000

    /// Microseconds as PostgreSQL counts them. The two extreme values mean ±infinity there and are refused.
    var postgresMicroseconds: Int64 {
        get throws(PostgresError) {
            let (result, overflow) = microseconds.subtractingReportingOverflow(Self.postgresEpochMicroseconds)
            guard !overflow, result != .min, result != .max else {
                throw PostgresError(.encodingFailed, "\(microseconds) µs since 1970 is out of PostgreSQL's range")
            }
            return result
        }
    }
}
