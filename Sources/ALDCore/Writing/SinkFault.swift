import Foundation

/// Why batches did not land, in the terms that decide what happens next.
public struct SinkFault: Error, Sendable, CustomStringConvertible {
    /// What to do about a fault. Whatever the class, the records stay in the spool until they have landed.
    public enum Class: String, Sendable, CaseIterable {
        /// Nothing was sent: no connection could be had. Tried again soon.
        case unsent
        /// The attempt was sent and its result is unknown. The same batches are sent again; the ledger decides.
        case inDoubt
        /// The database said no for a reason that passes by itself. Tried again soon.
        case transient
        /// This server does not take writes. Another one is looked for.
        case notPrimary
        /// The database, or a pooler before it, is short of something. Tried again, but not soon.
        case resource
        /// Somebody has to change a right, a name or a setting. What is of this kind is held and tried again slowly.
        case misconfigured
        /// The schema does not fit the data as a whole. Held as `misconfigured`; nothing becomes a dead letter.
        case systemic
        /// One record breaks a rule of the database. It is looked for and becomes a dead letter; the others land.
        case poison
        /// Too much at once. Tried again with less.
        case tooBig
        /// The server reports damage of its own. Held; a person has to look at the server.
        case serverSick
        /// What was sent makes no sense to the server. Held; the fault is in this program.
        case ownBug
    }

    public var faultClass: Class
    /// What happened, where and what to do, without secrets. For the log.
    public var message: String
    /// The cause alone, in a few words. For a status line.
    public var cause: String
    /// What the database said; `nil` when it was not the database that spoke.
    public var evidence: FaultEvidence?
    /// Whether sending less at once may help, whatever the class.
    public var isAboutSize: Bool

    public init(
        _ faultClass: Class, _ message: String, cause: String? = nil, evidence: FaultEvidence? = nil,
        isAboutSize: Bool = false
    ) {
        self.faultClass = faultClass
        self.message = message
        self.cause = cause ?? message
        self.evidence = evidence
        self.isAboutSize = isAboutSize || faultClass == .tooBig
    }

    /// A reading of a parameter that nobody has registered has no name, unit or limits. All readings of it are alike, and
    /// they are in order as soon as somebody registers it: this is no matter of single records.
    static func unregistered(_ parameters: Set<Int32>, machine: Int32) -> SinkFault {
        let first = parameters.sorted().prefix(10).map(String.init).joined(separator: ", ")
        let names = first + (parameters.count > 10 ? ", …" : "")
        return SinkFault(
            .misconfigured,
            "readings of machine \(machine) wait for parameters that are not registered: \(names); register them with "
                + "`ald database seed`",
            cause: "parameters are not registered: \(names)")
    }

    public var description: String { message }

    /// What is the same for two records that break the same rule.
    public var fingerprint: String { evidence?.fingerprint ?? "\(faultClass.rawValue): \(cause)" }
}

/// What the database said about a fault, field by field.
public struct FaultEvidence: Hashable, Sendable {
    public var sqlState: String?
    public var message: String
    public var detail: String?
    public var hint: String?
    public var context: String?
    public var schema: String?
    public var table: String?
    public var column: String?
    public var constraint: String?

    public init(message: String, sqlState: String? = nil) {
        self.message = message
        self.sqlState = sqlState
    }

    /// Code, table, column and constraint: the rule that was broken, without the values that broke it. A partition
    /// counts as its table, which has the same rules.
    public var fingerprint: String {
        let whole = table?.replacing(/_[0-9]{6,8}$/, with: "")
        return [sqlState, whole, column, constraint].map { $0 ?? "" }.joined(separator: "/")
    }

    /// The row of a `COPY`, from 1, at which the server stopped. A trigger's own lines may stand before it.
    public var copyLine: Int? {
        guard let context, let start = context.range(of: "COPY ", options: .backwards),
            let line = context.range(of: ", line ", range: start.upperBound..<context.endIndex)
        else { return nil }
        return Int(context[line.upperBound...].prefix { $0.isASCII && $0.isNumber })
    }
}
