import DequeModule
import NIOCore

/// Everything a client decides, as a value: no socket, no clock, no task, no chance but the seed it is given.
///
/// The driver reports events with their time and performs the returned actions in order. It calls ``tick(now:)`` at
/// ``wake`` at the latest; earlier or more often does no harm.
struct ClientConnection: Sendable {
    /// What the driver has to do.
    enum Action: Sendable {
        /// Open a TCP connection; report ``connected(now:)`` or ``connectFailed(_:now:)``.
        case dial
        /// Write one frame. It may leave together with others that follow, but not later than they.
        case send(ByteBuffer)
        /// Hand the outcome to the caller of this job. Comes exactly once for each job.
        case complete(JobID, ClientOutcome)
        /// Close the connection. Nothing it reports afterwards matters. With `reset`, something sent has no answer:
        /// what the peer has not acknowledged must be thrown away and not sent any more.
        case disconnect(reset: Bool)
        /// Tell whoever watches.
        case stateChanged(ConnectionState)
        /// Tell the hook for events. Only with ``reportsEvents``.
        case report(ClientEvent)
        /// Show a frame that was received to the hook for frames. Only with ``logsFrames``.
        case show(ModbusFrame)
        /// Everything is over; the answer to ``shutDown(now:)``.
        case finished
    }

    /// The connection's life.
    enum Link: Hashable, Sendable {
        /// No connection; the next attempt not before this instant. Can transition to: `dialing`, `closed`.
        case down(notBefore: NIODeadline)
        /// One attempt is under way. Can transition to: `up`, `down`, `closed`.
        case dialing
        /// Connected; `session` is there. Can transition to: `down`, `closed`.
        case up
        /// Shut down, for good.
        case closed
    }

    let peer: String
    let limits: ClientLimits
    var random: SeededGenerator

    var link = Link.down(notBefore: .uptimeNanoseconds(0))
    /// There while the link is up, and only then.
    var session: ClientSession?
    var backoff: ReconnectBackoff
    /// Finds out how many requests the device takes at a time; nil when that is fixed.
    var adaptive: AdaptiveWindow?
    /// How long a slow answer takes, for each unit that has answered: behind a gateway each has its own speed.
    var roundTrips: [UnitID: TimeAmount] = [:]
    /// Why the last attempt or silent connection failed, until a valid reply comes.
    var lastFailure: ModbusError.Code?
    /// Set by ``shutDown(now:)``: what was sent may be answered until then, nothing more is sent.
    var drainDeadline: NIODeadline?

    var jobs = ClientJobs()
    /// Writes that were not sent yet, in order.
    var writes: Deque<JobID> = []
    /// The same for those that go before them.
    var urgentWrites: Deque<JobID> = []
    /// Reads and plans with requests that were not sent yet, in order.
    var reads: Deque<WaitingRead> = []
    /// The one write that was sent, or that waits for a busy device. The next one waits for it: were a refused
    /// "open" repeated after a later "close", the valve would stay open.
    var activeWrite: JobID?
    /// Requests to be sent again as soon as there is room.
    var ready: Deque<Attempt> = []
    /// Requests to be sent again later, because the device was busy.
    var delayed: [(due: NIODeadline, attempt: Attempt)] = []

    /// Whether somebody wants ``Action/report(_:)``.
    var reportsEvents = false
    /// Whether somebody wants ``Action/show(_:)``.
    var logsFrames = false
    var actions: [Action] = []
    var statistics = ClientStatistics()
    /// When ``tick(now:)`` has something to do; possibly too early, never too late.
    var wake: NIODeadline?

    init(peer: String, limits: ClientLimits, seed: UInt64) {
        self.peer = peer
        self.limits = limits
        self.random = SeededGenerator(seed: seed)
        self.backoff = ReconnectBackoff(first: limits.backoff, cap: limits.backoffCap)
        // What is lost in a trial must be made again.
        if limits.window == nil, limits.repeatsRequests {
            adaptive = AdaptiveWindow(maximum: limits.windowLimit, progressTimeout: limits.progressTimeout)
        }
        statistics.window = window
    }

    /// Whether something was sent whose answer somebody waits for.
    var isAwaitingAnswers: Bool {
        session?.exchanges.isEmpty == false
    }

    /// A caller wants something done.
    ///
    /// - Parameter isUrgent: it goes before those of its kind that wait, also before what is left of a plan, and behind other
    ///   urgent ones.
    mutating func submit(
        _ work: ClientWork, unit: UnitID, deadline: NIODeadline, isUrgent: Bool = false, id: JobID, now: NIODeadline
    ) -> [Action] {
        let job = ClientJob(id: id, work: work, unit: unit, submitted: now, deadline: deadline)
        jobs.insert(job)
        statistics.submitted += work.count
        if let refusal = refusal(of: job, now: now) {
            finishAll(id, refusal)
        } else {
            if work.isWrite {
                if isUrgent { urgentWrites.append(id) } else { writes.append(id) }
            } else {
                let read = WaitingRead(job: id, unit: unit, request: work.request(at: 0), isUrgent: isUrgent)
                let place = isUrgent ? reads.firstIndex { !$0.isUrgent } : nil
                reads.insert(read, at: place ?? reads.endIndex)
            }
            wakeNoLater(than: deadline)
            pump(now)
        }
        return takeActions()
    }

    private mutating func refusal(of job: ClientJob, now: NIODeadline) -> ModbusError.Code? {
        if link == .closed || drainDeadline != nil { return .shuttingDown }
        if job.deadline <= now {
            statistics.timeouts += job.work.count
            return .timedOut(.queue)
        }
        if (job.work.isWrite ? writes.count + urgentWrites.count : reads.count) >= limits.queueLimit {
            statistics.queueFull += 1
            return .queueFull(limit: limits.queueLimit)
        }
        return nil
    }

    /// The caller lost interest. Does nothing when the job has ended.
    mutating func cancel(_ id: JobID, now: NIODeadline) -> [Action] {
        if let job = jobs[id] {
            statistics.cancellations += job.unfinished
            abandon([id], because: .cancelled, now: now)
            limitLateReplies(now)
            pump(now)
        }
        return takeActions()
    }

    /// The attempt asked for by ``Action/dial`` succeeded.
    mutating func connected(now: NIODeadline) -> [Action] {
        switch link {
        case .dialing:
            link = .up
            session = ClientSession(firstTransaction: random.next())
            if statistics.connects > 0 { statistics.reconnects += 1 }
            statistics.connects += 1
            changeState(.up)
            pump(now)
        case .down, .up, .closed:
            // Only a connection that came too late to be wanted.
            actions.append(.disconnect(reset: false))
        }
        return takeActions()
    }

    /// The attempt asked for by ``Action/dial`` failed.
    mutating func connectFailed(
        _ reason: String, _ obstacle: ModbusError.Obstacle = .refused, now: NIODeadline
    ) -> [Action] {
        guard link == .dialing else { return [] }
        statistics.connectFailures += 1
        let code = ModbusError.Code.connectionFailed(obstacle, reason: reason)
        lastFailure = code
        goDown(code, until: now + backoff.failed(using: &random))
        if !limits.repeatsRequests {
            for id in jobs.ids { finishAll(id, code) }
        }
        pump(now)
        return takeActions()
    }

    /// The peer ended the connection, or the operating system did.
    mutating func disconnected(_ reason: String, now: NIODeadline) -> [Action] {
        lose(reason, now: now)
        pump(now)
        return takeActions()
    }

    /// The peer will send nothing more. An answer that has not come by now never will.
    mutating func finished(now: NIODeadline) -> [Action] {
        giveUp("the peer closed the connection", now: now)
        pump(now)
        return takeActions()
    }

    /// Bytes came.
    mutating func received(_ bytes: ByteBuffer, now: NIODeadline) -> [Action] {
        session?.decoder.append(bytes)
        while let step = session?.decoder.next() {
            switch step {
            case .needMoreBytes:
                pump(now)
                return takeActions()
            case .frame(let frame):
                if logsFrames { actions.append(.show(frame)) }
                receive(frame, now: now)
            case .poisoned(let fault):
                statistics.poisonedStreams += 1
                giveUp("the peer sent \(fault)", failing: .malformedResponse("the peer sent \(fault)"), now: now)
            }
        }
        pump(now)
        return takeActions()
    }

    /// Time has passed.
    mutating func tick(now: NIODeadline) -> [Action] {
        guard let wake, wake <= now else { return [] }
        expire(now)
        pump(now)
        recomputeWake()
        return takeActions()
    }

    /// Nothing more is accepted or sent; what was sent may be answered until the drain timeout. Ends with
    /// ``Action/finished``.
    mutating func shutDown(now: NIODeadline) -> [Action] {
        guard link != .closed, drainDeadline == nil else {
            return link == .closed ? [.finished] : []
        }
        drainDeadline = now + limits.drainTimeout
        wakeNoLater(than: now + limits.drainTimeout)
        dropUnsent()
        pump(now)
        return takeActions()
    }

    private mutating func takeActions() -> [Action] {
        noticeWindow()
        defer { actions = [] }
        return actions
    }
}
