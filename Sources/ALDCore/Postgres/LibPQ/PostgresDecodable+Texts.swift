#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension String: PostgresDecodable {
    /// From every type whose binary form is its text (text, varchar, char, name, json, xml, enumerations and other
    /// user-defined text-like types), from jsonb and from uuid (in lower case).
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> String {
        guard !cell.isNull else { throw cell.mismatch("String") }
        switch cell.type {
        case .uuid:
            return try UUID.decode(cell).uuidString.lowercased()
        case .jsonb:
            guard let text = cell.text(from: 1) else { throw cell.mismatch("String", "it is not valid UTF-8") }
            return text
        case .text, .varchar, .bpchar, .name, .json, .xml, .char, .unknown: break
        case let type where type.rawValue >= PostgresType.firstUserDefined: break
        default: throw cell.mismatch("String", "its type is \(cell.type); cast it to text in the statement")
        }
        guard let text = cell.text(from: 0) else { throw cell.mismatch("String", "it is not valid UTF-8") }
        return text
    }
}

extension PostgresCell {
    fileprivate func text(from offset: Int) -> String? {
        withBytes { bytes in String(validating: bytes.dropFirst(offset), as: UTF8.self) }
    }
}

extension Array: PostgresDecodable where Element: PostgresArrayElement {
    /// From a one-dimensional array, or from bytea as `[UInt8]`.
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> [Element] {
        guard !cell.isNull else { throw cell.mismatch("[\(Element.self)]") }
        return try Element.decodeArray(cell)
    }
}
