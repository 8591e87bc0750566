/// Limits that the server keeps, nested inside of the client's deadlines: lock < statement < deadline, so that the one
/// who gives up first is the one who knows why.
///
/// They are set for the session at connect, in the round trip that also looks for a pooler. Behind a transaction pooler
/// a session is not ours, so they are **not** set there: `ALTER ROLE … SET statement_timeout = …` on the server is the
/// way that always works, or begin your transactions and scripts with ``setLocal``.
///
/// No server limit ends a commit: it may be waiting for a standby, and only the client's deadline bounds that wait.
public struct PostgresTimeouts: Hashable, Sendable {
    /// `lock_timeout`: the longest wait for one lock (55P03 afterwards). Defaults to the server's.
    public var lock: Duration?
    /// `statement_timeout`: the longest run of one statement (57014 afterwards). Defaults to the server's.
    public var statement: Duration?
    /// `idle_in_transaction_session_timeout`: how long an open transaction may do nothing (25P03 and the end of the
    /// session afterwards). Defaults to the server's.
    public var idleInTransaction: Duration?

    public init(lock: Duration? = nil, statement: Duration? = nil, idleInTransaction: Duration? = nil) {
        self.lock = lock
        self.statement = statement
        self.idleInTransaction = idleInTransaction
    }

    /// For the connections of a recorder. A transaction that was left open keeps its locks, and one on
    /// `process_executions` holds up the recording of its machine; so it is ended after half a minute. A statement whose
    /// client has died ends soon after the client would have given it up, which the pruning of the ledger relies on.
    public static let recording = PostgresTimeouts(
        lock: .seconds(5), statement: .seconds(25), idleInTransaction: .seconds(30))

    /// `SET LOCAL …; SET LOCAL …`, for the beginning of a transaction. Empty when nothing is set here.
    public var setLocal: String {
        settings.map { "SET LOCAL \($0.name) = \($0.milliseconds)" }.joined(separator: "; ")
    }

    var settings: [(name: String, milliseconds: Int64)] {
        [
            ("lock_timeout", lock), ("statement_timeout", statement),
            ("idle_in_transaction_session_timeout", idleInTransaction),
        ].compactMap { name, duration in duration.map { (name, $0.wholeNanoseconds / 1_000_000) } }
    }

    /// - Throws: ``PostgresError/Code/configurationInvalid`` with every problem.
    func validate() throws(PostgresError) {
        var problems = settings.filter { !(1...Int64(Int32.max)).contains($0.milliseconds) }.map { setting in
            "\(setting.name) must be between 1 ms and 24 days"
        }
        if let lock, let statement, lock >= statement {
            problems.append("lock_timeout must be shorter than statement_timeout, or it never says anything")
        }
        guard problems.isEmpty else {
            throw PostgresError(.configurationInvalid, problems.joined(separator: "; "))
        }
    }
}
