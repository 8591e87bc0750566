/// Where batches land. PostgreSQL in production; a model of it in the simulated world.
public protocol BatchSink: Sendable {
    /// Makes the batch and its ledger entry visible in one transaction, or recognises that it was applied before.
    ///
    /// Applying the same batch again, also while an earlier attempt is still under way, has no further effect.
    func apply(_ batch: Batch, deadline: MonotonicInstant) async throws(SinkFault)
}
