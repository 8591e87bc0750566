public import ALDCore

/// A sink before another one, which says and does everything as that one does but for what it is made to do wrong.
public protocol ForwardingSink: BatchSink {
    var sink: any BatchSink { get }
}

extension ForwardingSink {
    public var takesDeadLetters: Bool { sink.takesDeadLetters }
    public var recordableTimes: ClosedRange<Timestamp>? { sink.recordableTimes }
    public var session: Int { sink.session }

    public func void(
        _ batch: Batch, as cut: BatchCut, deadline: MonotonicInstant
    ) async throws(SinkFault) -> BatchClosing {
        try await sink.void(batch, as: cut, deadline: deadline)
    }

    public func missing(
        of batches: [BatchHeader], deadline: MonotonicInstant
    ) async throws(SinkFault) -> [BatchHeader]? {
        try await sink.missing(of: batches, deadline: deadline)
    }
}
