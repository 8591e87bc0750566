import Dispatch
import Foundation
import Synchronization

/// What gives a spool its turns.
package enum SpoolTurns: Sendable {
    /// A thread of its own. A commit blocks it for a disk's sync; a thread of the shared pool would be missing to
    /// everybody else meanwhile, and a hop to another executor per commit costs up to a third of it.
    case thread
    /// A simulated world, which runs the turn that it is given once, in the moment that is named.
    case simulated(@Sendable (_ moment: Moment, _ turn: @escaping @Sendable () -> Void) -> Void)

    package enum Moment: Sendable {
        /// Somebody waits for it.
        case soon
        /// Nobody has asked for anything for as long as the thread waits before it does what can wait.
        case idle
        /// The same after ``SpoolEngine/commitPause``.
        case quiet
    }
}

/// The spool's own thread and what waits for it.
final class SpoolThread: Sendable {
    struct Append: Sendable {
        /// In one commit, in this order.
        var records: [EncodedRecords]
        /// Told once, with the batch of each.
        var tell: @Sendable (Result<[BatchID], SpoolError>) -> Void
    }

    typealias Job = @Sendable (inout SpoolEngine) -> Void

    /// What one turn does: everything that waited when it began.
    struct Work: Sendable {
        var appends: [Append] = []
        var jobs: [Job] = []
        var isLast = false

        var isEmpty: Bool { appends.isEmpty && jobs.isEmpty && !isLast }
    }

    private struct State {
        var work = Work()
        var queuedBytes = 0
        var isEnding = false
        /// A simulated world has a quiet moment yet to come.
        var looksAgain = false
    }

    private let state = Mutex(State())
    private let bell = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)
    private let engine: Mutex<SpoolEngine>
    private let maximumBytes: Int
    private let maximumAppends: Int
    private let turns: SpoolTurns
    /// How long it waits before it does what can wait.
    private static let idleTime = DispatchTimeInterval.milliseconds(50)

    init(engine: SpoolEngine, maximumBytes: Int, maximumAppends: Int, turns: SpoolTurns) {
        self.engine = Mutex(engine)
        self.turns = turns
        self.maximumBytes = maximumBytes
        self.maximumAppends = maximumAppends
    }

    func start() {
        guard case .thread = turns else { return }
        let thread = Thread { self.run() }
        thread.name = "ald.spool"
        thread.start()
    }

    // MARK: Asking

    enum Refusal { case ended, overloaded }

    /// - Returns: why the append was not taken; it is then the caller who tells.
    func submit(_ append: Append) -> Refusal? {
        let bytes = append.records.reduce(0) { $0 + $1.payload.count }
        let (refusal, isNews) = state.withLock { state -> (Refusal?, Bool) in
            if state.isEnding { return (.ended, false) }
            let isRoom = state.queuedBytes + bytes <= maximumBytes && state.work.appends.count < maximumAppends
            // One that is larger than the whole queue is taken when it is empty.
            guard isRoom || state.work.appends.isEmpty else { return (.overloaded, false) }
            state.queuedBytes += bytes
            defer { state.work.appends.append(append) }
            return (nil, state.work.isEmpty)
        }
        if isNews { ring() }
        return refusal
    }

    /// - Returns: whether the job was taken; not so after the end.
    func submit(_ job: @escaping Job) -> Bool {
        let isTaken = state.withLock { state in
            guard !state.isEnding else { return false }
            state.work.jobs.append(job)
            return true
        }
        if isTaken { ring() }
        return isTaken
    }

    /// After what waits now, the thread ends. Further calls change nothing.
    func end() {
        let isFirst = state.withLock { state in
            defer { state.isEnding = true }
            if !state.isEnding { state.work.isLast = true }
            return !state.isEnding
        }
        guard isFirst else { return }
        switch turns {
        case .thread: bell.signal()
        case .simulated: turn(isIdle: false)
        }
    }

    /// Blocks until the thread has ended.
    func waitForEnd() {
        ended.wait()
        ended.signal()
    }

    // MARK: Running

    private func ring() {
        switch turns {
        case .thread: bell.signal()
        case .simulated(let later):
            later(.soon) {
                self.turn(isIdle: false)
                later(.idle) { self.idleTurn(later) }
            }
        }
    }

    /// The thread looks in every idle moment, a simulated world as seldom as makes no difference.
    private func idleTurn(_ later: @escaping @Sendable (SpoolTurns.Moment, @escaping @Sendable () -> Void) -> Void) {
        turn(isIdle: true)
        guard engine.withLock(\.owesProgress) else { return }
        let looksAgain = state.withLock { state in
            defer { state.looksAgain = true }
            return !state.looksAgain && !state.isEnding
        }
        guard looksAgain else { return }
        later(.quiet) {
            self.state.withLock { $0.looksAgain = false }
            self.idleTurn(later)
        }
    }

    private func run() {
        while !turn(isIdle: bell.wait(timeout: .now() + Self.idleTime) == .timedOut) {}
    }

    /// - Returns: whether it was the last one.
    @discardableResult private func turn(isIdle: Bool) -> Bool {
        let (work, isOver) = state.withLock { state in
            defer { (state.work, state.queuedBytes) = (Work(), 0) }
            return (state.work, state.isEnding && !state.work.isLast)
        }
        // A simulated world has kept this turn for longer than the spool was open.
        if isOver { return true }
        engine.withLock { engine in
            if !work.isEmpty { engine.perform(work) }
            if isIdle || work.isLast { engine.tidyUp(mayWait: !work.isLast) }
            if work.isLast { engine.close() }
        }
        if work.isLast { ended.signal() }
        return work.isLast
    }
}
