/// A type whose arrays can be decoded. Closed: the conformances below are all there are.
public protocol PostgresArrayElement: Sendable {
    /// - Throws: ``PostgresError/Code/decodingFailed`` when the cell is not such an array.
    static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [Self]
}

extension UInt8: PostgresArrayElement {
    public static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [UInt8] {
        guard cell.type == .bytea else { throw cell.mismatch("[UInt8]") }
        return cell.withBytes { [UInt8]($0) }
    }
}

extension Int16: PostgresArrayElement {
    public static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [Int16] {
        try cell.elements(of: .int2Array) { $0.number(Int16.self) }
    }
}

extension Int32: PostgresArrayElement {
    public static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [Int32] {
        try cell.elements(of: .int4Array) { $0.number(Int32.self) }
    }
}

extension Int64: PostgresArrayElement {
    public static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [Int64] {
        try cell.elements(of: .int8Array) { $0.number(Int64.self) }
    }
}

extension Double: PostgresArrayElement {
    public static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [Double] {
        try cell.elements(of: .float8Array) { $0.number(UInt64.self).map(Double.init(bitPattern:)) }
    }
}

extension Optional: PostgresArrayElement where Wrapped == Double {
    public static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [Double?] {
        try cell.elements(of: .float8Array, null: .some(nil)) { bytes in
            bytes.number(UInt64.self).map { .some(Double(bitPattern: $0)) }
        }
    }
}

extension String: PostgresArrayElement {
    public static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [String] {
        try cell.elements(of: .textArray) { String(validating: $0, as: UTF8.self) }
    }
}

extension Timestamp: PostgresArrayElement {
    public static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [Timestamp] {
        try cell.elements(of: .timestamptzArray) {
            $0.number(Int64.self).flatMap(Timestamp.init(postgresMicroseconds:))
        }
    }
}

extension Slice<UnsafeRawBufferPointer> {
    fileprivate func number<Number: FixedWidthInteger>(_: Number.Type) -> Number? {
        guard count == MemoryLayout<Number>.size else { return nil }
        return Number(bigEndian: UnsafeRawBufferPointer(rebasing: self).loadUnaligned(as: Number.self))
    }
}

extension PostgresCell {
    /// Walks an array: header, then a length (−1 for null) before every element.
    ///
    /// - Parameter null: what a null element becomes; without it, a null element is an error.
    fileprivate func elements<Element>(
        of wanted: PostgresType, null: Element? = nil, _ decode: (Slice<UnsafeRawBufferPointer>) -> Element?
    ) throws(PostgresError) -> [Element] {
        let swiftType = "[\(Element.self)]"
        guard type == wanted else { throw mismatch(swiftType) }
        return try withBytes { bytes throws(PostgresError) -> [Element] in
            var rest = bytes[...]
            func next() -> Int32? {
                let value = rest.prefix(4).number(Int32.self)
                rest = rest.dropFirst(4)
                return value
            }
            guard let dimensions = next(), next() != nil, next() != nil else {
                throw mismatch(swiftType, "its header is cut off")
            }
            if dimensions == 0 { return [] }
            guard dimensions == 1, let count = next(), count >= 0, next() != nil else {
                throw mismatch(swiftType, "it has \(dimensions) dimensions")
            }
            var result: [Element] = []
            result.reserveCapacity(min(Int(count), rest.count / 4))
            for index in 0..<count {
                guard let length = next() else { throw mismatch(swiftType, "it ends before element \(index)") }
                if length < 0 {
                    guard let null else { throw mismatch(swiftType, "element \(index) is null") }
                    result.append(null)
                    continue
                }
                guard rest.count >= Int(length), let element = decode(rest.prefix(Int(length))) else {
                    throw mismatch(swiftType, "element \(index) is malformed or has no counterpart")
                }
                result.append(element)
                rest = rest.dropFirst(Int(length))
            }
            return result
        }
    }
}
