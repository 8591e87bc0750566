#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

/// A Swift type that stands for one PostgreSQL type in both directions, alone and in arrays. Closed: the conformances
/// below are all there are.
public protocol PostgresScalar: PostgresArrayElement, PostgresDecodable {
    static var postgresType: PostgresType { get }
    /// The value as a parameter.
    var postgresValue: PostgresValue { get }
    /// - Parameter element: in PostgreSQL's binary format, of ``postgresType``.
    /// - Returns: `nil` when it is malformed or has no counterpart.
    static func decode(element: UnsafeRawBufferPointer) -> Self?
}

extension PostgresScalar {
    public static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [Self] {
        try cell.elements(of: postgresType) { decode(element: $0) }
    }
}

extension UnsafeRawBufferPointer {
    /// The one big-endian number that the bytes are, or `nil`.
    @inline(__always)
    func number<Number: FixedWidthInteger>(_: Number.Type = Number.self) -> Number? {
        guard count == MemoryLayout<Number>.size else { return nil }
        return Number(bigEndian: loadUnaligned(as: Number.self))
    }
}

extension Bool: PostgresScalar {
    public static var postgresType: PostgresType { .bool }
    public var postgresValue: PostgresValue { .bool(self) }
    public static func decode(element: UnsafeRawBufferPointer) -> Bool? { element.number(UInt8.self).map { $0 != 0 } }
}

extension Int16: PostgresScalar {
    public static var postgresType: PostgresType { .int2 }
    public var postgresValue: PostgresValue { .int2(self) }
    public static func decode(element: UnsafeRawBufferPointer) -> Int16? { element.number() }
}

extension Int32: PostgresScalar {
    public static var postgresType: PostgresType { .int4 }
    public var postgresValue: PostgresValue { .int4(self) }
    public static func decode(element: UnsafeRawBufferPointer) -> Int32? { element.number() }
}

extension Int64: PostgresScalar {
    public static var postgresType: PostgresType { .int8 }
    public var postgresValue: PostgresValue { .int8(self) }
    public static func decode(element: UnsafeRawBufferPointer) -> Int64? { element.number() }
}

extension Float: PostgresScalar {
    public static var postgresType: PostgresType { .float4 }
    public var postgresValue: PostgresValue { .float4(self) }
    public static func decode(element: UnsafeRawBufferPointer) -> Float? {
        element.number().map(Float.init(bitPattern:))
    }
}

extension Double: PostgresScalar {
    public static var postgresType: PostgresType { .float8 }
    public var postgresValue: PostgresValue { .float8(self) }
    public static func decode(element: UnsafeRawBufferPointer) -> Double? {
        element.number().map(Double.init(bitPattern:))
    }
}

extension PostgresNumeric: PostgresScalar {
    public static var postgresType: PostgresType { .numeric }
    public var postgresValue: PostgresValue { .numeric(self) }
    public static func decode(element: UnsafeRawBufferPointer) -> PostgresNumeric? { PostgresNumeric(binary: element) }
}

extension String: PostgresScalar {
    public static var postgresType: PostgresType { .text }
    public var postgresValue: PostgresValue { .text(self) }
    public static func decode(element: UnsafeRawBufferPointer) -> String? { String(validating: element, as: UTF8.self) }
}

extension UUID: PostgresScalar {
    public static var postgresType: PostgresType { .uuid }
    public var postgresValue: PostgresValue { .uuid(self) }
    public static func decode(element: UnsafeRawBufferPointer) -> UUID? {
        element.count == 16 ? UUID(uuid: element.loadUnaligned(as: uuid_t.self)) : nil
    }
}

extension Timestamp: PostgresScalar {
    public static var postgresType: PostgresType { .timestamptz }
    public var postgresValue: PostgresValue { .timestamptz(self) }
    public static func decode(element: UnsafeRawBufferPointer) -> Timestamp? {
        element.number(Int64.self).flatMap(Timestamp.init(postgresMicroseconds:))
    }
}

extension PostgresJSON: PostgresScalar {
    public static var postgresType: PostgresType { .jsonb }
    public var postgresValue: PostgresValue { .jsonb(text) }
    public static func decode(element: UnsafeRawBufferPointer) -> PostgresJSON? { PostgresJSON(binary: element) }
}

/// Bytes: `bytea`.
extension Array: PostgresScalar where Element == UInt8 {
    public static var postgresType: PostgresType { .bytea }
    public var postgresValue: PostgresValue { .bytea(self) }
    public static func decode(element: UnsafeRawBufferPointer) -> [UInt8]? { [UInt8](element) }
}
