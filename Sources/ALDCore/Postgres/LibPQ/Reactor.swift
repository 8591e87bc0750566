import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// One thread that waits for all database sockets and runs the connections' code.
///
/// It is the executor of every ``PostgresConnection``: libpq is called on this thread only, a socket that becomes
/// ready continues its connection without a change of threads, and no thread of Swift's pool ever waits for a server.
/// It sleeps in `poll(2)` until a socket, a deadline or another thread needs it.
final class Reactor: SerialExecutor {
    /// How a wait ended.
    enum Outcome: Sendable {
        /// The socket is ready, or the event was signalled.
        case ready
        case timedOut
        /// The task was cancelled, or somebody interrupted the wait.
        case interrupted
    }

    /// What to wait for on a socket.
    enum Interest: Sendable {
        case readable
        case writable
        case both
        /// No socket: the wait ends by a signal, its deadline or an interruption.
        case signal
    }

    struct WaitID: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    private struct Wait {
        let socket: Int32
        let interest: Interest
        let deadline: MonotonicInstant
        let continuation: CheckedContinuation<Outcome, Never>
    }

    private struct State {
        var jobs: [UnownedJob] = []
        var waits: [WaitID: Wait] = [:]
        /// Names whose wait has not begun, with the outcome of those that were ended already. Bounded because every
        /// name is waited for exactly once or retired.
        var announced: [WaitID: Outcome?] = [:]
        var lastID: UInt64 = 0
        var isAsleep = false
    }

    private static let processWide = Mutex<Reactor?>(nil)

    private let state = Mutex(State())
    private let wakeUp: WakeUpPipe
    private let clock = SystemTime()

    /// The reactor of this process, started at the first use.
    ///
    /// - Throws: ``PostgresError/Code/connectionFailed`` when the process has no file descriptor or thread left.
    static func shared() throws(PostgresError) -> Reactor {
        try processWide.withLock { (current: inout Reactor?) throws(PostgresError) -> Reactor in
            if let current { return current }
            let reactor = Reactor(wakeUp: try WakeUpPipe())
            try DetachedThread.start(name: "ald-postgres") { reactor.run() }
            current = reactor
            return reactor
        }
    }

    private init(wakeUp: WakeUpPipe) {
        self.wakeUp = wakeUp
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        wake { $0.jobs.append(job) }
    }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    // MARK: Waiting

    /// A name for a wait that is about to begin, so that others can end it. Every name must be waited for or retired.
    func makeWaitID() -> WaitID {
        state.withLock { state in
            state.lastID += 1
            let id = WaitID(number: state.lastID)
            state.announced[id] = .some(nil)
            return id
        }
    }

    /// Suspends until the socket is ready, the deadline (of ``SystemTime``) passes or the wait is ended by name.
    func wait(_ id: WaitID, for socket: Int32, _ interest: Interest, until deadline: MonotonicInstant) async -> Outcome
    {
        await withCheckedContinuation { continuation in
            let wait = Wait(socket: socket, interest: interest, deadline: deadline, continuation: continuation)
            var early: Outcome?
            wake { state in
                early = state.announced.removeValue(forKey: id) ?? nil
                if early == nil { state.waits[id] = wait }
            }
            if let early { continuation.resume(returning: early) }
        }
    }

    /// As ``wait(_:for:_:until:)``, and ends as interrupted when the task is or becomes cancelled.
    func waitHeedingCancellation(
        _ id: WaitID, for socket: Int32, _ interest: Interest, until deadline: MonotonicInstant
    ) async -> Outcome {
        await withTaskCancellationHandler {
            await wait(id, for: socket, interest, until: deadline)
        } onCancel: {
            end(id, as: .interrupted)
        }
    }

    /// Ends a wait from any thread, also one that has not begun yet. Without effect on one that has ended.
    func end(_ id: WaitID, as outcome: Outcome) {
        var continuation: CheckedContinuation<Outcome, Never>?
        state.withLock { state in
            if let wait = state.waits.removeValue(forKey: id) {
                continuation = wait.continuation
            } else if state.announced[id] != nil {
                state.announced[id] = .some(outcome)
            }
        }
        continuation?.resume(returning: outcome)
    }

    /// Forgets a name that nobody will wait for.
    func retire(_ id: WaitID) {
        state.withLock { _ = $0.announced.removeValue(forKey: id) }
    }

    // MARK: The thread

    private func wake(_ change: (inout State) -> Void) {
        let sleeps = state.withLock { state in
            change(&state)
            defer { state.isAsleep = false }
            return state.isAsleep
        }
        if sleeps { wakeUp.ring() }
    }

    private func run() {
        var sockets: [pollfd] = []
        var names: [WaitID] = []
        while true {
            let jobs = state.withLock { state in
                let jobs = state.jobs
                state.jobs.removeAll(keepingCapacity: true)
                return jobs
            }
            for job in jobs { job.runSynchronously(on: asUnownedSerialExecutor()) }
            let timeout = prepare(&sockets, &names)
            _ = poll(&sockets, nfds_t(sockets.count), timeout)
            if sockets[0].revents != 0 { wakeUp.drain() }
            finish(sockets, names)
        }
    }

    /// Fills the poll set, the wake-up pipe first, and returns how long to sleep in milliseconds.
    private func prepare(_ sockets: inout [pollfd], _ names: inout [WaitID]) -> Int32 {
        sockets.removeAll(keepingCapacity: true)
        names.removeAll(keepingCapacity: true)
        sockets.append(pollfd(fd: wakeUp.readEnd, events: Int16(POLLIN), revents: 0))
        let now = clock.now
        return state.withLock { state in
            var earliest = MonotonicInstant(nanoseconds: .max)
            for (id, wait) in state.waits {
                earliest = min(earliest, wait.deadline)
                guard wait.interest != .signal else { continue }
                sockets.append(pollfd(fd: wait.socket, events: wait.interest.events, revents: 0))
                names.append(id)
            }
            state.isAsleep = state.jobs.isEmpty
            if !state.jobs.isEmpty { return 0 }
            if earliest.nanoseconds == .max { return -1 }
            // Rounded up: waking a moment early would only mean to go to sleep again.
            let milliseconds = max(0, (earliest - now).wholeNanoseconds + 999_999) / 1_000_000
            return Int32(clamping: milliseconds)
        }
    }

    private func finish(_ sockets: [pollfd], _ names: [WaitID]) {
        let now = clock.now
        var done: [(CheckedContinuation<Outcome, Never>, Outcome)] = []
        state.withLock { state in
            state.isAsleep = false
            for (socket, id) in zip(sockets.dropFirst(), names) where socket.revents != 0 {
                if let wait = state.waits.removeValue(forKey: id) { done.append((wait.continuation, .ready)) }
            }
            for (id, wait) in state.waits where wait.deadline <= now {
                state.waits[id] = nil
                done.append((wait.continuation, .timedOut))
            }
        }
        for (continuation, outcome) in done { continuation.resume(returning: outcome) }
    }
}

extension Reactor.Interest {
    fileprivate var events: Int16 {
        switch self {
        case .readable: Int16(POLLIN)
        case .writable: Int16(POLLOUT)
        case .both: Int16(POLLIN) | Int16(POLLOUT)
        case .signal: 0
        }
    }
}
