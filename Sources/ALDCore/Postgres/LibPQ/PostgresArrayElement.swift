/// A type whose Swift arrays can be decoded: every ``PostgresScalar``, optionals of them for arrays with nulls, and
/// `UInt8`, of which an array is a `bytea`. Closed.
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

extension Array: PostgresArrayElement where Element == UInt8 {}

extension Optional: PostgresArrayElement where Wrapped: PostgresScalar {
    public static func decodeArray(_ cell: PostgresCell) throws(PostgresError) -> [Wrapped?] {
        try cell.elements(of: Wrapped.postgresType, null: .some(nil)) { bytes in
            Wrapped.decode(element: bytes).map { .some($0) }
        }
    }
}

extension PostgresCell {
    /// Walks an array: header, then a length (−1 for null) before every element.
    ///
    /// - Parameter null: what a null element becomes; without it, a null element is an error.
    func elements<Element>(
        of wanted: PostgresType, null: Element? = nil, _ decode: (UnsafeRawBufferPointer) -> Element?
    ) throws(PostgresError) -> [Element] {
        let swiftType = "[\(Element.self)]"
        guard !isNull, type == wanted.array else { throw mismatch(swiftType) }
        return try withBytes { bytes throws(PostgresError) -> [Element] in
            var position = 0
            func take(_ length: Int) -> UnsafeRawBufferPointer? {
                guard length >= 0, bytes.count - position >= length else { return nil }
                defer { position += length }
                return UnsafeRawBufferPointer(rebasing: bytes[position..<position + length])
            }
            func next() -> Int32? { take(4)?.number() }
            guard let dimensions = next(), next() != nil, let element = next() else {
                throw mismatch(swiftType, "its header is cut off")
            }
            guard UInt32(bitPattern: element) == wanted.rawValue else {
                throw mismatch(swiftType, "its elements are \(PostgresType(rawValue: UInt32(bitPattern: element)))")
            }
            if dimensions == 0 { return [] }
            guard dimensions == 1, let count = next(), count >= 0, next() != nil else {
                throw mismatch(swiftType, "it has \(dimensions) dimensions; unnest it in the statement")
            }
            var result: [Element] = []
            result.reserveCapacity(min(Int(count), bytes.count / 4))
            for index in 0..<count {
                guard let length = next() else { throw mismatch(swiftType, "it ends before element \(index)") }
                if length < 0 {
                    guard let null else { throw mismatch(swiftType, "element \(index) is null") }
                    result.append(null)
                    continue
                }
                guard let field = take(Int(length)), let element = decode(field) else {
                    throw mismatch(swiftType, "element \(index) is malformed or has no counterpart")
                }
                result.append(element)
            }
            return result
        }
    }
}
