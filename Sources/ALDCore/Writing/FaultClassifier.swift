/// What a database error means for the batches that ran into it. One table for the whole writer.
///
/// Three things decide: whether the statement may have taken effect, who spoke (the server, or a pooler that answers
/// all its own faults with one code) and the code itself. A code that is not in the table never costs a record: the
/// batch is held until somebody has looked.
enum FaultClassifier {
    /// Who may have spoken.
    enum Origin: CaseIterable {
        case server
        case pooler
        /// Not known whether a pooler stands in between.
        case unknown
    }

    /// The history has no partition for a row's day. It shares SQLSTATE 23514 with violated checks; only the missing
    /// constraint name tells them apart.
    static func isMissingPartition(_ error: PostgresError) -> Bool {
        error.sqlState == .checkViolation && error.constraintName == nil
    }

    /// A schema, table or function that a migration creates is not there.
    static func isMissingSchema(_ error: PostgresError) -> Bool {
        ["3F000", "42P01", "42883"].contains(error.sqlState?.rawValue)
    }

    static func classify(_ error: PostgresError, from origin: Origin = .unknown) -> SinkFault {
        var root = error
        while let cause = root.cause { root = cause }
        let state = error.sqlState?.rawValue
        return SinkFault(
            faultClass(of: error, from: origin), "\(error)", cause: root.message, evidence: FaultEvidence(error),
            isAboutSize: state.map { isAboutSize($0) } ?? false)
    }

    static func faultClass(of error: PostgresError, from origin: Origin) -> SinkFault.Class {
        // An answer to a malformed row, in the class of lost connections: sending it again would get the same answer.
        if isOwnEncoding(error) { return .ownBug }
        if error.effect == .unknown || isUnconfirmedByStandby(error) { return .inDoubt }
        switch error.code {
        case .queryFailed, .connectionFailed, .connectionLost, .serverStarting:
            guard let state = error.sqlState else { return error.code == .queryFailed ? .misconfigured : .unsent }
            return faultClass(of: state, error, from: origin)
        case .timedOut, .cancelled, .nameResolutionFailed, .poolPaused, .poolShutDown: return .unsent
        case .poolExhausted, .breakerOpen:
            // Nobody gets a connection as long as the password is wrong.
            let hasConfigurationFault = error.cause.map(rootIsConfigurationFault) ?? false
            return hasConfigurationFault ? .misconfigured : .unsent
        case .tooManyConnections: return .resource
        case .notPrimary: return .notPrimary
        case .encodingFailed, .decodingFailed, .misuse: return .ownBug
        case .authenticationFailed, .databaseMissing, .configurationInvalid, .localServerMissing,
            .localServerDirectoryInUse, .localServerDirectoryUnusable, .localServerVersionMismatch,
            .localServerFailed:
            return .misconfigured
        }
    }

    private static func faultClass(
        of state: SQLState, _ error: PostgresError, from origin: Origin
    ) -> SinkFault.Class {
        switch state.rawValue {
        case "08P01":
            // PgBouncer's for everything; of a server's own it means that we broke the protocol.
            return isPoolers(error, origin) ? .resource : .ownBug
        case "XX000":
            if isPoolers(error, origin) { return .resource }
            return isRaceInCatalogue(error) ? .transient : .serverSick
        case "0A000": return error.message.contains("cached plan") ? .transient : .misconfigured
        case "23505":
            // Our claims take a conflict for an answer, so this is another attempt that has just been faster.
            return error.constraintName?.hasPrefix("ingest_batches") == true ? .transient : .poison
        case "23514": return isMissingPartition(error) ? .systemic : .poison
        case let state: return tabled(state)
        }
    }

    /// Two sessions have changed the same table's entry, for instance because both needed a partition: an internal error
    /// for the server, and done by the next attempt. Internal errors are never translated.
    private static func isRaceInCatalogue(_ error: PostgresError) -> Bool {
        error.message.contains("tuple concurrently ")
    }

    private static func isOwnEncoding(_ error: PostgresError) -> Bool {
        error.sqlState == .protocolViolation && error.severity == "ERROR"
            && (error.context?.contains("COPY ") ?? false)
    }

    /// "canceling wait for synchronous replication …": committed here, and perhaps nowhere else.
    private static func isUnconfirmedByStandby(_ error: PostgresError) -> Bool {
        error.sqlState?.rawValue == "01000"
    }

    private static func isPoolers(_ error: PostgresError, _ origin: Origin) -> Bool {
        if origin == .server { return false }
        if PoolerFault(state: error.sqlState, message: error.message) != nil { return true }
        // A server ends no session with these codes. What passes through a pooler may still be the server's own XX000;
        // an 08P01 is not, as long as we keep the protocol.
        return error.severity == "FATAL" || (origin == .pooler && error.sqlState == .protocolViolation)
    }

    private static func rootIsConfigurationFault(_ error: PostgresError) -> Bool {
        error.isConfigurationFault || error.cause.map(rootIsConfigurationFault) ?? false
    }
}

extension FaultEvidence {
    init(_ error: PostgresError) {
        self.init(message: error.message, sqlState: error.sqlState?.rawValue)
        detail = error.detail
        hint = error.hint
        context = error.context
        schema = error.schemaName
        table = error.tableName
        column = error.columnName
        constraint = error.constraintName
    }
}

extension PostgresError {
    /// Whether the database is away, busy, sick or short of something, so that waiting helps. False for what a person has
    /// to change: a wrong password, a missing right, a schema that does not fit.
    public var isOutage: Bool {
        switch FaultClassifier.classify(self).faultClass {
        case .unsent, .inDoubt, .transient, .notPrimary, .resource, .serverSick: true
        case .misconfigured, .systemic, .poison, .tooBig, .ownBug: false
        }
    }
}
