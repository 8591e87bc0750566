/// Everything that can go wrong between this package and a PostgreSQL server.
///
/// The `code` says which kind of failure it is and is what programs decide by; the rest is what the server or libpq
/// said about it. No rendering of an error contains a password: texts are redacted before they are stored.
public struct PostgresError: Error, Sendable {
    /// What failed. A new kind may be added in a minor version.
    public enum Code: String, Sendable, CaseIterable {
        /// No session could be set up: refused, unreachable, TLS, or a peer that does not speak the protocol.
        case connectionFailed
        /// The server knows who we are and said no: wrong password, unknown role, or no matching `pg_hba.conf` line.
        case authenticationFailed
        /// The server is starting, shutting down or recovering (57P03) and asks to come again.
        case serverStarting
        /// The database named in the configuration does not exist.
        case databaseMissing
        /// The server or a pooler before it has no connection slot left.
        case tooManyConnections
        /// An established session ended: the link broke or the server terminated it.
        case connectionLost
        /// Our own deadline passed.
        case timedOut
        /// Our own task was cancelled.
        case cancelled
        /// The server answered a statement with an error. The connection is healthy.
        case queryFailed
        /// The session is read-only or on a standby while a primary is needed (or the other way round).
        case notPrimary
        /// A parameter cannot be represented in PostgreSQL's binary format.
        case encodingFailed
        /// A column is missing, null, or of a type that cannot become the requested Swift type.
        case decodingFailed
        /// Two statements at once were asked of one connection, or `COPY` of a function that cannot do it.
        case misuse
        /// The name of the server's host could not be turned into an address.
        case nameResolutionFailed
        /// Connecting has failed so often that nobody tries for a while.
        case breakerOpen
        /// The pool is paused by an operator.
        case poolPaused
        /// Every connection of the pool stayed leased until the deadline, or its queue is full.
        case poolExhausted
        /// The pool is shutting down or has ended.
        case poolShutDown
        /// The connection string or a configuration value is unusable.
        case configurationInvalid
        /// No usable PostgreSQL server binaries are installed.
        case localServerMissing
        /// Another process holds the local server's directory.
        case localServerDirectoryInUse
        /// The local server's directory cannot be created, written or entrusted to the server's user.
        case localServerDirectoryUnusable
        /// The cluster in the directory was made by another major version.
        case localServerVersionMismatch
        /// The local server did not start, did not stop, or could not be set up.
        case localServerFailed
    }

    /// What is known about the statement's effect on the database. Decides whether a write may be repeated blindly.
    public enum Effect: Sendable {
        /// Nothing reached the server.
        case notSent
        /// The server rejected or cancelled the statement: it changed nothing.
        case notApplied
        /// The statement was sent and its outcome is not known. It may have been committed.
        case unknown
    }

    public var code: Code
    /// What happened, in one sentence without a trailing full stop.
    public var message: String
    public var effect: Effect
    /// The server's error code, or `nil` when the failure did not come from a server.
    public var sqlState: SQLState?
    /// `ERROR`, `FATAL` or `PANIC`, never translated; `nil` when the failure did not come from a server.
    public var severity: String?
    /// The server's detail. May contain values of the row in question.
    public var detail: String?
    public var hint: String?
    /// Where in the server it happened: PL/pgSQL call stack, COPY line, and the like.
    public var context: String?
    public var schemaName: String?
    public var tableName: String?
    public var columnName: String?
    public var constraintName: String?
    /// Server or component concerned, for instance `localhost:5432/ald` or a directory.
    public var place: String?
    /// What a person can do about it.
    public var remedy: String?

    /// A struct cannot contain itself; an array can hold the one element.
    private var causes: [PostgresError] = []

    /// The failure behind this one, for instance the last failed connect behind a pool's timeout.
    public var cause: PostgresError? {
        get { causes.first }
        set { causes = newValue.map { [$0] } ?? [] }
    }

    /// Not one of a hundred errors has it, so it must not make all of them bigger.
    private var pools: [PoolFailure] = []

    /// Why a pool lent no connection, and how it stood then; `nil` when the error did not come from a pool.
    public internal(set) var pool: PoolFailure? {
        get { pools.first }
        set { pools = newValue.map { [$0] } ?? [] }
    }

    public init(
        _ code: Code, _ message: String, effect: Effect = .notSent, place: String? = nil, remedy: String? = nil,
        cause: PostgresError? = nil
    ) {
        self.code = code
        self.message = message
        self.effect = effect
        self.place = place
        self.remedy = remedy
        self.cause = cause
    }
}

extension PostgresError {
    /// Whether trying again cannot help until a person has changed something.
    public var isConfigurationFault: Bool {
        switch code {
        case .authenticationFailed, .databaseMissing, .configurationInvalid: true
        default: false
        }
    }

    /// Whether the session ended with this error; false when the server merely said no.
    public var endsConnection: Bool {
        switch code {
        case .queryFailed, .notPrimary, .encodingFailed, .decodingFailed: severity == "FATAL" || severity == "PANIC"
        default: true
        }
    }
}

extension PostgresError: CustomStringConvertible {
    /// One line: what, where, the server's code and fields, the cause, and what to do.
    public var description: String {
        var text = message
        if let sqlState { text += " [\(sqlState)]" }
        if let place { text += " (\(place))" }
        let fields: [(String, String?)] = [
            ("detail", detail), ("hint", hint), ("schema", schemaName), ("table", tableName), ("column", columnName),
            ("constraint", constraintName), ("context", context),
        ]
        for case (let name, let value?) in fields { text += "; \(name): \(value)" }
        if let cause { text += "; cause: \(cause)" }
        if let remedy { text += ". \(remedy)" }
        return "\(code.rawValue): \(text)"
    }
}
