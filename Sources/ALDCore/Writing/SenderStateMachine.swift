/// Decides when the oldest batch is sent: at once while all is well, after a growing pause when it failed, and not at
/// all any more once the writer has to end.
///
/// A rejected batch is not skipped. What is wrong with it, or with the database, is for people to repair; everything
/// behind it waits in the spool, and the pause between attempts is the long one.
struct SenderStateMachine: Sendable {
    private enum State {
        /// Nothing failed last. Can transition to: sending, finished.
        case ready
        /// A batch is under way. Can transition to: ready, pausing, finished.
        case sending
        /// The last attempt failed. Can transition to: sending when the time has come, finished.
        case pausing(until: MonotonicInstant)
        /// The end. Can transition to: nothing.
        case finished
    }

    enum Action: Equatable {
        case sendOldest
        case waitForWork
        case wait(until: MonotonicInstant)
        case finish
    }

    private var state = State.ready
    private var backoff: Backoff
    private let rejectedPause: Duration
    private var mustEndBy: MonotonicInstant?

    init(backoff: Backoff.Configuration, rejectedPause: Duration) {
        self.backoff = Backoff(backoff)
        self.rejectedPause = rejectedPause
    }

    /// What to do now.
    mutating func next(waitingBatches: Int, now: MonotonicInstant) -> Action {
        switch state {
        case .finished, .sending:
            return finish()
        case .ready:
            if let mustEndBy, waitingBatches == 0 || now >= mustEndBy { return finish() }
            guard waitingBatches > 0 else { return .waitForWork }
        case .pausing(let until):
            // Whoever shuts down does not wait for a sick database: the spool keeps what is left.
            if mustEndBy != nil { return finish() }
            guard now >= until else { return .wait(until: until) }
        }
        state = .sending
        return .sendOldest
    }

    private mutating func finish() -> Action {
        state = .finished
        return .finish
    }

    /// The batch that was sent is in the database.
    mutating func landed() {
        guard case .sending = state else { return }
        backoff.reset()
        state = .ready
    }

    /// The batch that was sent is not, or nobody knows.
    mutating func failed(
        _ faultClass: SinkFault.Class, now: MonotonicInstant, random: inout some RandomNumberGenerator
    ) {
        guard case .sending = state else { return }
        let pause =
            switch faultClass {
            case .unsent, .inDoubt, .transient, .notPrimary, .resource: backoff.next(using: &random)
            case .misconfigured, .systemic, .poison, .tooBig, .serverSick, .ownBug: rejectedPause
            }
        state = .pausing(until: now + pause)
    }

    /// From now on only what can still land by `deadline` is sent.
    mutating func shutDown(by deadline: MonotonicInstant) {
        if mustEndBy == nil { mustEndBy = deadline }
    }

    /// When an attempt that starts now must have ended.
    func attemptDeadline(now: MonotonicInstant, timeout: Duration) -> MonotonicInstant {
        min(now + timeout, mustEndBy ?? now + timeout)
    }
}
