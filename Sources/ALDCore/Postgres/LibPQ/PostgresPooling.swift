/// What stands between this program and the server.
public enum PostgresPooling: String, Hashable, Sendable, CaseIterable {
    /// Found out at connect; see ``PoolerFingerprint``.
    case automatic
    /// Nothing: the session is the server's. Saves the question.
    case none
    /// A pooler that keeps one server session for each of ours as long as it lasts.
    case session
    /// A pooler that lends server sessions for one transaction (PgBouncer `pool_mode = transaction`, Supavisor on port
    /// 6543). Nothing can be kept in a session: no prepared statements, no `LISTEN`, no session settings.
    case transaction
}

/// How a pooler is told from a server.
///
/// A server announces the number of the process that serves the session, for cancel requests. A pooler announces a
/// number of its own, since the process changes. PgBouncer takes it by chance from 32 bits, of which only one in a
/// thousand could be a process; for all others the server is asked for its number, and a different one proves the
/// pooler. Its mode cannot be asked for, so the stricter one is assumed; say ``PostgresPooling/session`` if it is not.
struct PoolerFingerprint: Sendable {
    /// The largest process number of 64-bit Linux; other systems stay below.
    static let maximumProcessID: Int32 = 4_194_304

    enum Judgement: Equatable, Sendable {
        case direct, pooled
        /// Only the server's own number tells.
        case ask
    }

    /// - Parameter isKnownDirect: an earlier connection to the same place was direct.
    static func judge(_ declared: PostgresPooling, announced: Int32, isKnownDirect: Bool) -> Judgement {
        switch declared {
        case .none, .session: .direct
        case .transaction: .pooled
        case .automatic where !(1...maximumProcessID).contains(announced): .pooled
        case .automatic: isKnownDirect ? .direct : .ask
        }
    }

    /// Whether an error in answer to the question proves a pooler. Poolers have codes of their own; a server that
    /// cannot answer (a role's time limit, a missing right) is no pooler for that.
    static func isPoolers(_ error: PostgresError) -> Bool {
        error.sqlState == .protocolViolation || PoolerFault(state: error.sqlState, message: error.message) != nil
    }
}
