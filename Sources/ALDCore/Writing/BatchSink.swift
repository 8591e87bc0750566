/// Where batches land. PostgreSQL in production; a model of it in the simulated world.
public protocol BatchSink: Sendable {
    /// Makes the batch and its ledger entry visible in one transaction, or recognises that it was applied before.
    ///
    /// Applying the same batch again, also while an earlier attempt is still under way, has no further effect.
    func apply(_ batch: Batch, deadline: MonotonicInstant) async throws(SinkFault)
}

/// Why a batch did not land, in the terms that decide what happens next.
public struct SinkFault: Error, Sendable, CustomStringConvertible {
    public enum Class: Sendable, CaseIterable {
        /// The database could not be reached, was busy or short of something. Trying again will help.
        case transient
        /// The attempt was sent and its result is unknown. The same batch, unchanged, is sent again.
        case inDoubt
        /// The database answered, and the answer was no: trying again helps only after somebody changed something.
        case rejected
    }

    public var faultClass: Class
    /// What happened, where and what to do, without secrets. For the log.
    public var message: String
    /// The cause alone, in a few words. For a status line.
    public var cause: String

    public init(_ faultClass: Class, _ message: String, cause: String? = nil) {
        self.faultClass = faultClass
        self.message = message
        self.cause = cause ?? message
    }

    public var description: String { message }
}
