/// The course of one exchange with the server: from the moment a request is in libpq's buffer until the server is ready
/// for the next one, or a `COPY` has come as far as was asked for.
///
/// It decides when to send, read, wait and give up; ``PostgresConnection`` performs what it says and reports back. An
/// exchange that is abandoned (deadline, cancellation, close) is cancelled on the server, again and again: a busy
/// server may receive a cancel request before it has read the statement, and forgets it then.
struct ExchangeMachine: Sendable {
    /// How far to go.
    enum Goal: Sendable, Equatable {
        /// The server has answered everything and is ready again.
        case answer
        /// The server waits for the data of a `COPY … FROM STDIN`.
        case copyIn
        /// All data that was queued for a `COPY … FROM STDIN` is in the kernel's hands.
        case room
        /// The server has begun a `COPY … TO STDOUT`.
        case copyOut
        /// A batch of rows of a `COPY … TO STDOUT` is here, or its end.
        case rows
    }

    enum Reason: Sendable, Equatable {
        case deadline, cancellation, close
        /// The one who drives a `COPY` does not want the rest.
        case stop
    }

    enum Outcome: Sendable, Equatable {
        case ready, timedOut, cancelled, closed
    }

    enum Interest: Sendable, Equatable {
        case readable, both
    }

    /// What libpq had to offer.
    enum Collected: Sendable, Equatable {
        /// Nothing complete has arrived.
        case pending
        /// - Parameter isCancellation: the server's error is 57014.
        case result(isCancellation: Bool)
        case copyIn, copyOut
        case rows(isBatchFull: Bool)
        /// The server is ready for the next statement, or the link broke.
        case end(isAlive: Bool)
    }

    enum Event: Sendable, Equatable {
        case began
        /// Begins with giving up; the goal is ``Goal/answer``.
        case stopped(Reason)
        case flushed(isComplete: Bool)
        case collected(Collected)
        case waited(Outcome)
        case consumed
        /// The server said something while it should only take data: it has refused them.
        case objected
        case copyFailed
        case cancelRequested(isDelivered: Bool)
    }

    enum Verdict: Sendable, Equatable {
        /// The goal of a `COPY` is reached; the exchange goes on with another machine.
        case reached
        case answered(isAlive: Bool)
        /// A `COPY` was started by a function that cannot feed it; only closing the session gets out of it in any state.
        case stuck
        /// - Parameters:
        ///   - isConfirmed: the server answered after all; what it said may be anything.
        ///   - isClean: the session can be used again.
        case abandoned(Reason, isConfirmed: Bool, isClean: Bool)
    }

    enum Action: Sendable, Equatable {
        /// Send what is left to send, as far as the kernel takes it.
        case flush
        /// Take one result or batch, if there is one.
        case collect
        case wait(Interest, until: MonotonicInstant, heedsCancellation: Bool)
        /// Read from the socket.
        case consume
        /// Tell the server that the data of a `COPY … FROM STDIN` ends here and is not to be kept.
        case failCopy
        case requestCancel(until: MonotonicInstant)
        case finish(Verdict)
    }

    private enum State: Equatable {
        /// Can transition to: abandoning, ended.
        case working
        /// The server has been told, or is being told, that nobody waits any more. Can transition to: ended.
        case abandoning(Abandonment)
        case ended(Verdict)
    }

    private struct Abandonment: Equatable {
        let reason: Reason
        /// When to stop waiting for the server's confirmation.
        let limit: MonotonicInstant
        /// When to send another cancel request.
        var nextRequest: MonotonicInstant
        /// `nil` while none was needed; then whether the last cancel request is through.
        var isDelivered: Bool?
    }

    private var goal: Goal
    private let deadline: MonotonicInstant
    private let grace: Duration
    private let interval: Duration
    private var state = State.working
    private var isUnsent = true
    private var hasRows = false
    /// The server waits for data of a COPY that nobody will send.
    private var isFedByCopy: Bool
    private var wasCancelled = false
    /// The deadline had passed when the last input was read.
    private var isOverdue = false

    /// - Parameters:
    ///   - grace: how long an abandoned exchange waits for the server's confirmation.
    ///   - interval: the pause between two cancel requests.
    ///   - isCopyingIn: the server is already waiting for data.
    init(
        goal: Goal, deadline: MonotonicInstant, grace: Duration, interval: Duration, isCopyingIn: Bool = false
    ) {
        self.goal = goal
        self.deadline = deadline
        self.grace = grace
        self.interval = interval
        isFedByCopy = goal == .room || isCopyingIn
    }

    // MARK: Events

    mutating func handle(_ event: Event, now: MonotonicInstant) -> Action {
        if case .ended(let verdict) = state { return .finish(verdict) }
        switch event {
        case .began, .consumed, .copyFailed: return .flush
        case .objected: return goal == .room ? end(.reached) : .flush
        case .stopped(let reason):
            goal = .answer
            return abandon(reason, now: now)
        case .flushed(let isComplete):
            isUnsent = !isComplete
            guard goal == .room, state == .working else { return .collect }
            return isComplete ? end(.reached) : wait()
        case .collected(let collected): return take(collected, now: now)
        case .waited(let outcome): return goOn(after: outcome, now: now)
        case .cancelRequested(let isDelivered):
            guard case .abandoning(var abandonment) = state else { return .flush }
            abandonment.isDelivered = isDelivered
            abandonment.nextRequest = min(abandonment.limit, now + interval)
            state = .abandoning(abandonment)
            return .flush
        }
    }

    private mutating func take(_ collected: Collected, now: MonotonicInstant) -> Action {
        let isWorking = state == .working
        switch collected {
        case .result(let isCancellation):
            if isCancellation { wasCancelled = true }
            return .collect
        case .end(let isAlive): return end(answered(isAlive: isAlive))
        case .copyIn:
            if isWorking { return end(goal == .copyIn ? .reached : .stuck) }
            return .failCopy
        case .copyOut:
            if isWorking { return end(goal == .copyOut ? .reached : .stuck) }
            return .collect
        case .rows(let isBatchFull):
            hasRows = true
            return isWorking && isBatchFull ? end(.reached) : .collect
        case .pending:
            if isWorking, goal == .rows, hasRows { return end(.reached) }
            if isWorking, isOverdue { return abandon(.deadline, now: now) }
            return wait()
        }
    }

    private func wait() -> Action {
        let interest: Interest = isUnsent ? .both : .readable
        guard case .abandoning(let abandonment) = state else {
            return .wait(interest, until: deadline, heedsCancellation: true)
        }
        return .wait(interest, until: abandonment.nextRequest, heedsCancellation: false)
    }

    private mutating func goOn(after outcome: Outcome, now: MonotonicInstant) -> Action {
        guard case .abandoning(let abandonment) = state else {
            switch outcome {
            case .ready:
                // Of what a server sends without end, no byte may come late for the deadline to be noticed.
                isOverdue = now >= deadline
                return goal == .room && isOverdue ? abandon(.deadline, now: now) : .consume
            case .timedOut: return abandon(.deadline, now: now)
            case .cancelled: return abandon(.cancellation, now: now)
            case .closed: return abandon(.close, now: now)
            }
        }
        // An answer that keeps coming must not keep us either.
        if now >= abandonment.limit { return end(unconfirmed(abandonment)) }
        return outcome == .ready && now < abandonment.nextRequest ? .consume : .requestCancel(until: abandonment.limit)
    }

    // MARK: Giving up

    private mutating func abandon(_ reason: Reason, now: MonotonicInstant) -> Action {
        let limit = now + grace
        let abandonment = Abandonment(reason: reason, limit: limit, nextRequest: min(limit, now + interval))
        goal = .answer
        guard limit > now else { return end(unconfirmed(abandonment)) }
        state = .abandoning(abandonment)
        // The end of the data is an end, too, and costs no connection. If it does not get through, a request follows.
        if isFedByCopy { return .failCopy }
        // Nobody is in a hurry, and the rest may be on its way already: then no request is needed.
        return reason == .stop ? .flush : .requestCancel(until: limit)
    }

    private func unconfirmed(_ abandonment: Abandonment) -> Verdict {
        .abandoned(abandonment.reason, isConfirmed: false, isClean: false)
    }

    private func answered(isAlive: Bool) -> Verdict {
        guard case .abandoning(let abandonment) = state else { return .answered(isAlive: isAlive) }
        guard let isDelivered = abandonment.isDelivered else {
            return .abandoned(abandonment.reason, isConfirmed: true, isClean: isAlive)
        }
        let proof = CancellationProof(
            isDelivered: isDelivered, isAnswered: true, isCancelled: wasCancelled, isAlive: isAlive)
        return .abandoned(abandonment.reason, isConfirmed: true, isClean: proof.isClean)
    }

    private mutating func end(_ verdict: Verdict) -> Action {
        state = .ended(verdict)
        return .finish(verdict)
    }
}
