import ALDCore
import ALDTestKit
import Synchronization

/// What a writer was told of each batch, attempt by attempt.
final class Answers: Sendable {
    enum Answer: Hashable {
        case landing(BatchLanding)
        case fault(SinkFault.Class)
    }

    private let told = Mutex<[BatchID: [Answer]]>([:])

    /// A sink before another one, which listens.
    func listening(to sink: any BatchSink) -> any BatchSink { ListeningSink(sink: sink, answers: self) }

    func note(_ answer: Answer, of batch: BatchID) { told.withLock { $0[batch, default: []].append(answer) } }

    var all: [BatchID: [Answer]] { told.withLock(\.self) }

    /// Why attempts have failed so far.
    var faults: Set<SinkFault.Class> {
        var faults: Set<SinkFault.Class> = []
        for case .fault(let fault) in all.values.joined() { faults.insert(fault) }
        return faults
    }

    /// What was said of a batch of which an attempt was in doubt.
    struct Doubt: Hashable {
        /// But for attempts of which nothing could be sent.
        var before: Set<Answer>
        var end: Answer?
    }

    var doubts: [Doubt] {
        all.values.filter { $0.contains(.fault(.inDoubt)) }.map { answers in
            Doubt(before: Set(answers.dropLast().filter { $0 != .fault(.unsent) }), end: answers.last)
        }
    }
}

private struct ListeningSink: ForwardingSink {
    let sink: any BatchSink
    let answers: Answers

    func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
        do throws(SinkFault) {
            let landings = try await sink.deliver(batches, deadline: deadline)
            for (batch, landing) in zip(batches, landings) { answers.note(.landing(landing), of: batch.id) }
            return landings
        } catch {
            for batch in batches { answers.note(.fault(error.faultClass), of: batch.id) }
            throw error
        }
    }
}
