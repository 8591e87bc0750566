/// A `jsonb` value as its text, for arrays and for columns in which a plain `String` would be taken for `text`.
///
/// The text is not looked at here; the server refuses what is not JSON (22P02).
public struct PostgresJSON: Hashable, Sendable {
    public var text: String

    public init(text: String) {
        self.text = text
    }

    /// The only version of the binary format there is: one byte before the text.
    static let version: UInt8 = 1

    init?(binary bytes: UnsafeRawBufferPointer) {
        guard bytes.first == Self.version, let text = String(validating: bytes.dropFirst(), as: UTF8.self) else {
            return nil
        }
        self.text = text
    }
}

extension PostgresJSON: PostgresDecodable {
    /// From jsonb and json.
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> PostgresJSON {
        guard cell.type == .jsonb || cell.type == .json else { throw cell.mismatch("PostgresJSON") }
        return PostgresJSON(text: try String.decode(cell))
    }
}
