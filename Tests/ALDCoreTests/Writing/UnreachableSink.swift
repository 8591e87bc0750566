@testable import ALDCore

/// Nothing lands: the spool keeps everything that was ever accepted.
struct UnreachableSink: BatchSink {
    func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
        throw SinkFault(.unsent, "no database", cause: "no database")
    }

    func void(_ batch: Batch, as cut: BatchCut, deadline: MonotonicInstant) async throws(SinkFault) -> BatchClosing {
        throw SinkFault(.unsent, "no database", cause: "no database")
    }
}
