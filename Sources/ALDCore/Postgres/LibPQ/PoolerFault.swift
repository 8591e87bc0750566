/// A fault of a pooler, recognised by its words.
///
/// PgBouncer answers every fault of its own with 08P01 and Supavisor with XX000 and a code in parentheses, so the
/// SQLSTATE alone would file "pool full" under "protocol violation" and "internal error".
struct PoolerFault: Equatable, Sendable {
    let code: PostgresError.Code
    /// Whether the statement never reached a server.
    let isUnsent: Bool
    /// Whether the session is over although the message does not say so: PgBouncer calls it an ERROR that a client has
    /// waited for a server too long, and hangs up.
    let endsSession: Bool

    /// - Parameter message: as it came; neither pooler translates.
    /// - Returns: `nil` when a server said it.
    init?(state: SQLState?, message: String) {
        let isSupavisors: Bool
        switch state {
        case .some(.protocolViolation): isSupavisors = false
        case .some(.internalError), .some(.connectionFailure), .none: isSupavisors = true
        default: return nil
        }
        endsSession = !isSupavisors && message == Self.waitedTooLong
        let rules = isSupavisors ? Self.supavisor : Self.pgBouncer
        if let rule = rules.first(where: { message.contains($0.sign) }) {
            code = rule.code
            isUnsent = rule.isUnsent
        } else if state == .internalError, Self.hasSupavisorCode(message) {
            // One that came into being later: what became of the statement is not known.
            code = .connectionFailed
            isUnsent = false
        } else {
            return nil
        }
    }

    /// `(ESOMETHING) …`, as Supavisor begins its messages.
    private static func hasSupavisorCode(_ message: String) -> Bool {
        message.contains(/\(E[A-Z]{3,}\)\s/)
    }

    private static let waitedTooLong = "query_wait_timeout"

    private static let pgBouncer: [(sign: String, code: PostgresError.Code, isUnsent: Bool)] = [
        ("no more connections allowed", .tooManyConnections, true),
        ("client connections exceeded", .tooManyConnections, true),
        (waitedTooLong, .tooManyConnections, true),
        ("server login has been failing", .connectionFailed, true),
        ("server login failed", .connectionFailed, true),
        ("pgbouncer cannot connect to server", .connectionFailed, true),
        ("no such database", .databaseMissing, true),
        ("no such user", .authenticationFailed, true),
        ("password authentication failed", .authenticationFailed, true),
        ("SASL authentication failed", .authenticationFailed, true),
        ("unsupported startup parameter", .configurationInvalid, true),
    ]

    private static let supavisor: [(sign: String, code: PostgresError.Code, isUnsent: Bool)] = [
        ("(EMAXCONN", .tooManyConnections, true),
        ("(ECHECKOUTTIMEOUT)", .tooManyConnections, true),
        ("(EMAXPOOLSREACHED)", .tooManyConnections, true),
        // Ten wrong passwords lock an address out for two minutes: trying on would only prolong it.
        ("(ECIRCUITBREAKER) too many authentication", .authenticationFailed, true),
        ("(ECIRCUITBREAKER)", .tooManyConnections, true),
        ("(EWRONGPASSWORD)", .authenticationFailed, true),
        ("(ENOTFOUND)", .authenticationFailed, true),
        ("(EADDRNOTALLOWED)", .authenticationFailed, true),
        ("(EBANNED)", .authenticationFailed, true),
        ("(ESSLREQUIRED)", .configurationInvalid, true),
        ("(ENOIDENTIFIER)", .configurationInvalid, true),
        ("(EINVALIDUSERINFO)", .configurationInvalid, true),
    ]
}
