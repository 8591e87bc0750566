/// A five-character PostgreSQL error code, such as `23505`. Digits and upper-case ASCII letters only; anything else
/// cannot be represented.
///
/// See the PostgreSQL manual, appendix A, for the complete list. The members here are those this package decides by.
public struct SQLState: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: String

    /// - Returns: `nil` unless `rawValue` is five characters of `0-9A-Z`.
    public init?(rawValue: String) {
        let legal = rawValue.utf8.allSatisfy { byte in
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
        }
        guard legal, rawValue.utf8.count == 5 else { return nil }
        self.rawValue = rawValue
    }

    private init(_ known: StaticString) {
        rawValue = known.description
    }

    /// The first two characters: the error class, for instance `08` (connection) or `23` (integrity).
    public var `class`: String { String(rawValue.prefix(2)) }

    public var description: String { rawValue }
}

extension SQLState {
    public static let connectionFailure = SQLState("08006")
    /// Also what PgBouncer answers for every fault of its own.
    public static let protocolViolation = SQLState("08P01")
    /// Also: a cached plan must not change its result type.
    public static let featureNotSupported = SQLState("0A000")
    public static let notNullViolation = SQLState("23502")
    public static let foreignKeyViolation = SQLState("23503")
    public static let uniqueViolation = SQLState("23505")
    /// Also raised, without a constraint name, for a row that finds no partition.
    public static let checkViolation = SQLState("23514")
    public static let readOnlyTransaction = SQLState("25006")
    public static let inFailedTransaction = SQLState("25P02")
    /// A prepared statement of this name does not exist.
    public static let invalidStatementName = SQLState("26000")
    public static let invalidAuthorization = SQLState("28000")
    public static let invalidPassword = SQLState("28P01")
    public static let databaseMissing = SQLState("3D000")
    public static let serializationFailure = SQLState("40001")
    public static let deadlockDetected = SQLState("40P01")
    public static let syntaxError = SQLState("42601")
    public static let duplicateStatement = SQLState("42P05")
    public static let undefinedTable = SQLState("42P01")
    public static let diskFull = SQLState("53100")
    public static let tooManyConnections = SQLState("53300")
    public static let lockNotAvailable = SQLState("55P03")
    public static let queryCanceled = SQLState("57014")
    public static let adminShutdown = SQLState("57P01")
    public static let crashShutdown = SQLState("57P02")
    public static let cannotConnectNow = SQLState("57P03")
    /// Also what Supavisor answers for every fault of its own, with the reason in parentheses in the message.
    public static let internalError = SQLState("XX000")
}
