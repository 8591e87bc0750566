/// What a database error means for the batch that ran into it. One table for the whole writer.
enum FaultClassifier {
    /// The history has no partition for a row's day. It shares SQLSTATE 23514 with violated checks; only the missing
    /// constraint name tells them apart.
    static func isMissingPartition(_ error: PostgresError) -> Bool {
        error.sqlState == .checkViolation && error.constraintName == nil
    }

    /// A schema, table or function that a migration creates is not there.
    static func isMissingSchema(_ error: PostgresError) -> Bool {
        ["3F000", "42P01", "42883"].contains(error.sqlState?.rawValue)
    }

    static func classify(_ error: PostgresError) -> SinkFault {
        var root = error
        while let cause = root.cause { root = cause }
        return SinkFault(faultClass(of: error), "\(error)", cause: root.message)
    }

    private static func faultClass(of error: PostgresError) -> SinkFault.Class {
        if error.effect == .unknown { return .inDoubt }
        switch error.code {
        case .queryFailed:
            return isPassing(error.sqlState) ? .transient : .rejected
        case .connectionFailed, .serverStarting, .tooManyConnections, .connectionLost, .timedOut, .cancelled,
            .notPrimary, .nameResolutionFailed, .breakerOpen, .poolPaused, .poolExhausted, .poolShutDown:
            return .transient
        case .authenticationFailed, .databaseMissing, .configurationInvalid, .encodingFailed, .decodingFailed, .misuse,
            .localServerMissing, .localServerDirectoryInUse, .localServerDirectoryUnusable,
            .localServerVersionMismatch, .localServerFailed:
            return .rejected
        }
    }

    /// SQL errors that go away by themselves: conflicts between transactions, shortages, operator interventions.
    private static func isPassing(_ state: SQLState?) -> Bool {
        switch state?.class {
        case "08", "40", "53", "55", "57", "58": true
        default: state == .internalError
        }
    }
}

extension PostgresError {
    /// Whether the database is away, busy or short of something, so that waiting helps. False for what a person has to
    /// change: a wrong password, a missing right, a schema that does not fit.
    public var isOutage: Bool { FaultClassifier.classify(self).faultClass != .rejected }
}
