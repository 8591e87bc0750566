/// Why a caller got no connection, and how the pool stood at that moment.
public struct PoolFailure: Sendable, Hashable {
    public enum Reason: Sendable, Hashable {
        /// Every connection that the caller may have was lent to others.
        case exhausted
        /// Too many callers of his lane wait already.
        case queueFull
        /// The deadline passed while the first connect was still under way.
        case connecting
        /// Nobody listens there, or the way to it is closed.
        case refused
        /// Connects were not answered in time.
        case unanswered
        /// The name of the host could not be turned into an address.
        case nameResolution
        case authentication
        /// The database does not exist, or the configuration cannot be used.
        case misconfigured
        /// The server is a standby, or read-only.
        case notPrimary
        /// The server, or a pooler before it, has no place left.
        case saturated
        /// The server starts, recovers or shuts down.
        case starting
        /// Connecting has failed too often; nobody tries again before `retryAfter` is over.
        case breakerOpen(retryAfter: Duration)
        /// With the words of whoever paused the pool.
        case paused(String)
        case shutDown
        /// The caller's own task was cancelled.
        case cancelled
        /// The deadline had passed before he asked.
        case late
    }

    public let reason: Reason
    public let statistics: PoolStatistics
    /// The lease that lasts longest; `nil` when nothing is lent.
    public let oldestLease: PoolLease?
}

/// Somebody who holds a connection now.
public struct PoolLease: Sendable, Hashable {
    public let holder: PoolHolder
    public let lane: PoolLane
    public let age: Duration
}

/// Who asked for a connection, and where in the code.
public struct PoolHolder: Sendable, Hashable, CustomStringConvertible {
    public let name: String
    /// `Module/File.swift`, as `#fileID` has it.
    public let fileID: String
    public let line: Int

    public var description: String { "\"\(name)\" (\(fileID):\(line))" }
}

extension PoolFailure.Reason {
    /// What a failed connect means to somebody who waits for a connection.
    init(connecting error: PostgresError) {
        switch error.code {
        case .authenticationFailed: self = .authentication
        case .databaseMissing, .configurationInvalid: self = .misconfigured
        case .notPrimary: self = .notPrimary
        case .tooManyConnections: self = .saturated
        case .serverStarting: self = .starting
        case .nameResolutionFailed: self = .nameResolution
        case .timedOut: self = .unanswered
        default: self = .refused
        }
    }
}
