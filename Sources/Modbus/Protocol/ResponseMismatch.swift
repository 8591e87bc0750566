/// Why bytes are not the answer to a request.
public struct ResponseMismatch: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was expected and what came, in words.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
