/// Why something cannot be recorded, and what to do.
public struct RecorderError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable {
        /// What the recorder was told makes no sense. The program has to be corrected.
        case invalid
        /// The directory cannot be used, or another process has it.
        case directory
        /// The database is there and refuses: a password, a right, or a machine that is another one there.
        case database
        case unknownParameter
        /// This machine's disk does not take the values: they were not accepted.
        case notAccepted
    }

    public var code: Code
    /// What is wrong, and where.
    public var message: String
    public var remedy: String?

    public var description: String { message + (remedy.map { "; \($0)" } ?? "") }

    init(_ code: Code, _ message: String, remedy: String? = nil) {
        self.code = code
        self.message = message
        self.remedy = remedy
    }
}
