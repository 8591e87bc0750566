#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

extension PostgresCell {
    /// The value as one big-endian integer; `nil` unless it has exactly that size.
    func integer<Number: FixedWidthInteger>(_: Number.Type = Number.self) -> Number? {
        withBytes { bytes in
            guard bytes.count == MemoryLayout<Number>.size else { return nil }
            return Number(bigEndian: bytes.loadUnaligned(as: Number.self))
        }
    }

    /// Any integer column, widened.
    fileprivate var wideInteger: Int64? {
        if isNull { return nil }
        switch type {
        case .int2: return integer(Int16.self).map(Int64.init)
        case .int4: return integer(Int32.self).map(Int64.init)
        case .int8: return integer(Int64.self)
        case .oid: return integer(UInt32.self).map(Int64.init)
        default: return nil
        }
    }

    fileprivate func fixedWidth<Number: FixedWidthInteger>(_: Number.Type) throws(PostgresError) -> Number {
        guard let wide = wideInteger else {
            throw mismatch("\(Number.self)", type == .numeric && !isNull ? "it is numeric; cast it to int8" : nil)
        }
        guard let value = Number(exactly: wide) else { throw mismatch("\(Number.self)", "\(wide) does not fit") }
        return value
    }
}

extension Bool: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Bool {
        guard !cell.isNull, cell.type == .bool, let byte = cell.integer(UInt8.self) else { throw cell.mismatch("Bool") }
        return byte != 0
    }
}

extension Int16: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Int16 { try cell.fixedWidth(Int16.self) }
}

extension Int32: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Int32 { try cell.fixedWidth(Int32.self) }
}

extension Int64: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Int64 { try cell.fixedWidth(Int64.self) }
}

extension Int: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Int { try cell.fixedWidth(Int.self) }
}

extension UInt32: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> UInt32 { try cell.fixedWidth(UInt32.self) }
}

extension Double: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Double {
        if !cell.isNull {
            if cell.type == .float8, let bits = cell.integer(UInt64.self) { return Double(bitPattern: bits) }
            if cell.type == .float4, let bits = cell.integer(UInt32.self) { return Double(Float(bitPattern: bits)) }
            if cell.type == .numeric { throw cell.mismatch("Double", "it is numeric; cast it to float8") }
        }
        throw cell.mismatch("Double")
    }
}

extension Float: PostgresDecodable {
    /// Only from float4: a float8 would lose digits silently.
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Float {
        guard !cell.isNull, cell.type == .float4, let bits = cell.integer(UInt32.self) else {
            throw cell.mismatch("Float")
        }
        return Float(bitPattern: bits)
    }
}

extension Timestamp: PostgresDecodable {
    /// From timestamptz only: a timestamp without time zone does not say which moment it means.
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> Timestamp {
        guard !cell.isNull, cell.type == .timestamptz, let count = cell.integer(Int64.self) else {
            throw cell.mismatch("Timestamp")
        }
        guard let timestamp = Timestamp(postgresMicroseconds: count) else {
            throw cell.mismatch("Timestamp", "it is infinity or beyond the year 290000")
        }
        return timestamp
    }

    /// `nil` for ±infinity and for what does not fit.
    init?(postgresMicroseconds count: Int64) {
        let (result, overflow) = count.addingReportingOverflow(Self.postgresEpochMicroseconds)
        guard !overflow, count != .min, count != .max else { return nil }
        self.init(microseconds: result)
    }
}

extension UUID: PostgresDecodable {
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> UUID {
        let uuid: UUID? = cell.withBytes { bytes in
            guard !cell.isNull, cell.type == .uuid, bytes.count == 16 else { return nil }
            return UUID(uuid: bytes.loadUnaligned(as: uuid_t.self))
        }
        guard let uuid else { throw cell.mismatch("UUID") }
        return uuid
    }
}
