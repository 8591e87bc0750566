import Logging
import Synchronization

/// Hands what a run says to the writer, beside the run: the run only puts it here.
final class ProcessRecorder: Sendable {
    /// Records that could not be written to disk are kept in memory up to so many; of more than that the oldest are given
    /// up, and the log says so. The run goes on all the same.
    static let capacity = 100_000
    /// Between two hand-overs: one row of the ledger each.
    private static let interval: Duration = .milliseconds(100)

    private struct State {
        var records: [RecipeMachine.Record] = []
        var requests: [(words: String, at: MonotonicInstant)] = []
        var ending: (RecipeMachine.Ending, MonotonicInstant)?
        var givenUp = 0
    }

    private let writer: BatchWriter
    private let machine: Int32
    private let time: any TimeSource
    private let logger: Logger
    private let state = Mutex(State())
    private let wakeup = Wakeup()

    init(writer: BatchWriter, machine: Int32, time: any TimeSource, logger: Logger) {
        self.writer = writer
        self.machine = machine
        self.time = time
        self.logger = logger
    }

    /// Takes no time worth speaking of.
    func note(_ records: [RecipeMachine.Record]) {
        state.withLock { $0.records += records }
        wakeup.signal()
    }

    /// Somebody has asked something of the run.
    func noteRequest(_ words: String, at instant: MonotonicInstant) {
        state.withLock { $0.requests.append((words, instant)) }
        wakeup.signal()
    }

    /// The run has ended; ``run(_:)`` returns when this is on disk, too.
    func end(_ ending: RecipeMachine.Ending) {
        let now = time.now
        state.withLock { $0.ending = (ending, now) }
        wakeup.signal()
    }

    /// Until the end of the run is accepted by the writer, or `giveUp` says that there is no time left.
    func run(_ narrator: ProcessNarrator, giveUp: @Sendable () -> Bool) async {
        var narrator = narrator
        var waiting: [ProcessEvent] = []
        var reports = ReportThrottle<String>()
        while true {
            let (records, requests, ending) = state.withLock { state in
                defer { (state.records, state.requests) = ([], []) }
                return (state.records, state.requests, state.ending)
            }
            for request in requests { narrator.tellRequest(request.words, at: request.at) }
            waiting += narrator.tell(records)
            if let ending { waiting += narrator.end(ending.0, at: ending.1) }
            let isLast = ending != nil
            while !waiting.isEmpty {
                do throws(SpoolError) {
                    try await writer.append(.processEvents(waiting), machine: machine)
                    waiting = []
                } catch {
                    if reports.isDue("disk", now: time.now) {
                        logger.error(
                            "records of the run are not accepted and wait in memory", metadata: ["reason": "\(error)"])
                    }
                    if waiting.count > Self.capacity { giveUpOldest(&waiting) }
                    if giveUp() { return lost(waiting.count) }
                    await wakeup.wait(until: time.now + .seconds(1), time: time)
                    if !isLast { break }
                }
            }
            if isLast { return }
            // What was refused is tried again, whether more comes or not.
            if waiting.isEmpty { await wakeup.wait() }
            // What a short step says comes in one record with what comes behind it.
            let next = time.now + Self.interval
            while state.withLock({ $0.ending == nil }), time.now < next {
                await wakeup.wait(until: next, time: time)
            }
        }
    }

    private func giveUpOldest(_ waiting: inout [ProcessEvent]) {
        let count = waiting.count - Self.capacity
        waiting.removeFirst(count)
        lost(count)
    }

    private func lost(_ count: Int) {
        state.withLock { $0.givenUp += count }
        logger.error("records of the run are lost", metadata: ["records": "\(count)"])
    }

    /// Records that nobody can be told of any more.
    var givenUp: Int { state.withLock(\.givenUp) }
}
