/// Where batches land. PostgreSQL in production; a model of it in the simulated world.
public protocol BatchSink: Sendable {
    /// Whether dead letters land here, too. Where not, a record that is refused holds all of its kind instead.
    var takesDeadLetters: Bool { get }

    /// Readings of other times can never land here, so they are not accepted; `nil`: of all times can.
    var recordableTimes: ClosedRange<Timestamp>? { get }

    /// Changes whenever the database may be reached in another way than before, so that it may be another one, or one
    /// that was restored: with every connection that comes or goes.
    var session: Int { get }

    /// Makes the batches, all of one machine and kind, and their ledger entries visible in one transaction.
    ///
    /// A batch that was applied before, also by an attempt that is still under way, is recognised and has no further
    /// effect; so has one whose name is taken or closed, or with readings of parameters that nobody has registered. When
    /// this throws, none of them has landed, unless in doubt.
    ///
    /// - Returns: for each batch, in their order, what became of it.
    func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding]

    /// Closes the name of a batch in the ledger for ever: no attempt that is still on its way can land it any more. The
    /// batch is to live on as `cut` says, or as somebody has said who has closed the name before.
    func void(
        _ batch: Batch, as cut: BatchCut, deadline: MonotonicInstant
    ) async throws(SinkFault) -> BatchClosing

    /// Which of these confirmed batches, all of one machine, the ledger does not know.
    ///
    /// - Returns: `nil` when there is no ledger that could forget.
    func missing(
        of batches: [BatchHeader], deadline: MonotonicInstant
    ) async throws(SinkFault) -> [BatchHeader]?
}

extension BatchSink {
    public var takesDeadLetters: Bool { true }

    public var recordableTimes: ClosedRange<Timestamp>? { nil }

    public var session: Int { 0 }

    public func missing(
        of batches: [BatchHeader], deadline: MonotonicInstant
    ) async throws(SinkFault) -> [BatchHeader]? { nil }

    /// Delivers one batch by itself. Doing so again has no further effect.
    ///
    /// - Throws: also when its name is taken by other contents, or closed.
    public func apply(_ batch: Batch, deadline: MonotonicInstant) async throws(SinkFault) {
        switch try await deliver([batch], deadline: deadline).first {
        case .landed, .known, .forgotten: return
        case .unregistered(let parameters, _): throw .unregistered(parameters, machine: batch.machine)
        case .collision, .voided, nil:
            throw SinkFault(
                .ownBug, "the ledger knows batch \(batch.id) with other contents; nothing was written",
                cause: "a batch's name is taken by other contents")
        }
    }
}
