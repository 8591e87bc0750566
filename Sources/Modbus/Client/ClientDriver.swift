import DequeModule
import Logging
import NIOCore
import NIOPosix

/// Performs what ``ClientConnection`` decides. Lives on one event loop and is only touched there.
final class ClientDriver {
    private let openChannel: ClientChannel.Dial
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let status: ClientStatus
    private let hooks: ModbusClient.Hooks

    private var machine: ClientConnection
    private var channel: (any Channel)? {
        didSet { poll = mayPoll ? channel.flatMap { ShortPoll($0) } : nil }
    }
    private var callers: [JobID: Caller] = [:]
    /// Of the callers, those for whose answers it pays to look before the event loop sleeps.
    private var polling = 0
    private var poll: ShortPoll?
    private let mayPoll: Bool
    /// Whether requests that may go at the same time go in one system call. Only where the configuration says how many
    /// the device takes: some answer no more than the first of several that share a TCP segment, so while that is
    /// being found out each goes alone.
    private let gathers: Bool
    private var isGathering = false
    private var closers: [() -> Void] = []
    /// Actions that came while one was being performed: a failing write reports the lost connection at once.
    private var backlog: Deque<ClientConnection.Action> = []
    private var isPerforming = false
    /// Whether a frame was written that the channel still keeps back.
    private var isFlushDue = false
    private var sweep: Scheduled<Void>?
    private var sweepAt = NIODeadline.distantFuture

    /// Who waits for a job.
    private struct Caller {
        let continuation: CheckedContinuation<ClientOutcome, Never>
        let polls: Bool
    }

    /// - Parameter dial: how a connection is opened. Defaults to what the configuration says.
    init(
        configuration: ModbusClient.Configuration, eventLoop: any EventLoop, logger: Logger, status: ClientStatus,
        hooks: ModbusClient.Hooks = .init(), dial: ClientChannel.Dial? = nil
    ) {
        self.openChannel = dial ?? ClientChannel.dial(configuration, on: eventLoop)
        self.eventLoop = eventLoop
        self.logger = logger
        self.status = status
        self.hooks = hooks
        self.mayPoll = configuration.tls == nil && configuration.framing == .tcp
        self.gathers = (configuration.window ?? 1) > 1
        self.machine = ClientConnection(
            peer: "\(configuration.host):\(configuration.port)", limits: ClientLimits(configuration),
            seed: .random(in: .min ... .max))
        self.machine.reportsEvents = hooks.onEvent != nil
        self.machine.logsFrames = hooks.onFrame != nil
    }

    /// - Parameter polls: the answer may be looked for before the event loop sleeps, because nobody has to be woken
    ///   for it: the caller lives on this event loop, or wants many answers before it goes on.
    func submit(
        _ work: ClientWork, unit: UnitID, deadline: NIODeadline, isUrgent: Bool = false, call: ClientCall,
        polls: Bool = false, continuation: CheckedContinuation<ClientOutcome, Never>
    ) {
        if call.isCancelled {
            continuation.resume(returning: .single(.failure(ModbusError(.cancelled, peer: machine.peer, unit: unit))))
            return
        }
        callers[call.id] = Caller(continuation: continuation, polls: polls)
        if polls { polling += 1 }
        let actions = machine.submit(
            work, unit: unit, deadline: deadline, isUrgent: isUrgent, id: call.id, now: .now())
        if gathers, case .single = work {
            perform(actions, flushing: false)
            gather()
        } else {
            perform(actions)
            lookForAnswers()
        }
    }

    func cancel(_ call: ClientCall) {
        perform(machine.cancel(call.id, now: .now()))
    }

    func close(_ done: @escaping () -> Void) {
        closers.append(done)
        perform(machine.shutDown(now: .now()))
    }

    /// `channel` received bytes. Those of a connection that was given up are ignored.
    func received(_ bytes: ByteBuffer, on channel: any Channel) {
        guard channel === self.channel else { return }
        poll?.loopHadItsTurn()
        perform(machine.received(bytes, now: .now()))
        lookForAnswers()
    }

    /// Sends what has been written once everybody has run who is due on this loop: with a window above 1 they may
    /// have something to send as well, and it all goes in one system call.
    private func gather() {
        guard isFlushDue, !isGathering else { return }
        isGathering = true
        eventLoop.assumeIsolated().execute {
            self.isGathering = false
            self.flush()
            self.lookForAnswers()
        }
    }

    /// Takes answers that come at once as if the channel had delivered them, until somebody can go on.
    private func lookForAnswers() {
        guard polling > 0, !isPerforming else { return }
        let waiting = callers.count
        while callers.count == waiting, machine.isAwaitingAnswers, let bytes = poll?.read() {
            perform(machine.received(bytes, now: .now()))
        }
    }

    /// `channel` will bring no more bytes.
    func finished(_ channel: any Channel) {
        guard channel === self.channel else {
            // Perhaps one whose connection has not been reported yet: then its end is noticed there.
            channel.close(promise: nil)
            return
        }
        perform(machine.finished(now: .now()))
    }

    /// `channel` ended.
    func ended(_ channel: any Channel, reason: String) {
        guard channel === self.channel else { return }
        self.channel = nil
        perform(machine.disconnected(reason, now: .now()))
    }

    // MARK: Performing actions

    private func perform(_ actions: [ClientConnection.Action], flushing: Bool = true) {
        backlog.append(contentsOf: actions)
        guard !isPerforming else { return }
        isPerforming = true
        while let action = backlog.popFirst() {
            perform(action)
            if backlog.isEmpty, flushing { flush() }
        }
        isPerforming = false
        armSweep()
    }

    private func perform(_ action: ClientConnection.Action) {
        switch action {
        case .dial:
            dial()
        case .send(let frame):
            show(frame, .sent)
            channel?.write(frame, promise: nil)
            isFlushDue = true
            if !gathers { flush() }
        case .complete(let id, let outcome):
            // First the numbers, so that a caller who has its result also finds it counted.
            status.publish(machine.statistics)
            guard let caller = callers.removeValue(forKey: id) else { return }
            if caller.polls { polling -= 1 }
            caller.continuation.resume(returning: outcome)
        case .disconnect(let reset):
            let channel = self.channel
            self.channel = nil
            if let channel { ConnectionEnd.close(channel, reset: reset) }
        case .stateChanged(let state):
            log(state)
            status.publish(machine.statistics)
            status.publish(state)
        case .report(let event):
            hooks.onEvent?(event)
        case .show(let frame):
            show(frame.bytes, .received)
        case .finished:
            status.markClosed()
            sweep?.cancel()
            for done in closers { done() }
            closers = []
        }
    }

    private func show(_ frame: @autoclosure () -> ByteBuffer, _ direction: FrameRecord.Direction) {
        guard let onFrame = hooks.onFrame else { return }
        onFrame(
            FrameRecord(
                time: .now(), connection: machine.statistics.connects, direction: direction, bytes: frame()))
    }

    private func flush() {
        guard isFlushDue else { return }
        isFlushDue = false
        channel?.flush()
    }

    private func dial() {
        openChannel(self)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success(let channel): self.connected(channel)
                case .failure(let error):
                    let failure = ConnectFailure(error)
                    self.perform(self.machine.connectFailed(failure.reason, failure.obstacle, now: .now()))
                }
            }
    }

    private func connected(_ channel: any Channel) {
        self.channel = channel
        perform(machine.connected(now: .now()))
        if !channel.isActive { ended(channel, reason: "the peer closed the connection at once") }
    }

    /// One timer for everything: it may fire too early, after which the machine names the next instant.
    private func armSweep() {
        guard let wake = machine.wake, wake < sweepAt else { return }
        sweep?.cancel()
        sweepAt = wake
        sweep = eventLoop.assumeIsolated().scheduleTask(deadline: wake) {
            self.sweepAt = .distantFuture
            self.perform(self.machine.tick(now: .now()))
        }
    }

    private func log(_ state: ConnectionState) {
        let peer = Logger.MetadataValue.string(machine.peer)
        switch state {
        case .connecting:
            logger.debug("connecting", metadata: [LogKeys.peer: peer])
        case .up:
            logger.info("connected", metadata: [LogKeys.peer: peer])
        case .down(let reason):
            logger.debug("not connected", metadata: [LogKeys.peer: peer, LogKeys.reason: "\(reason.message)"])
        }
    }
}
