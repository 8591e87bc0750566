import DequeModule
import NIOCore

/// A device that takes its time and has its faults, for all connections of a server. Decides only: time is an argument,
/// chance follows from the seed, and bytes and connections are handed out as actions.
///
/// Every event is handled at the time it was due, however late the call that finds it comes. So nothing drifts, and
/// twenty seconds of a slow device are tested in a millisecond.
struct DeviceMachine: Sendable {
    /// How a connection is ended.
    enum Closing: Hashable, Sendable {
        case finish
        case reset
        /// Only the direction from the device.
        case output
    }

    enum Action: Hashable, Sendable {
        /// A request was received, these are its bytes.
        case logReceived(connection: Int, ByteBuffer)
        case send(connection: Int, ByteBuffer)
        case close(connection: Int, Closing)
        /// Go on reading from a connection, or stop it.
        case setReading(connection: Int, Bool)
        /// A connection sent a header that is none; it is closed when what it asked before is answered.
        case countMalformedHeader
        /// An answer was made for the server's statistics.
        case countAnswer(isException: Bool)
        /// Refuse connections from now on.
        case closeListener
        /// The restart is over: tell the device, then accept connections again.
        case openListener
    }

    enum Event: Sendable {
        /// The head of a connection's inbox may have arrived.
        case inbox(Int)
        /// The service unit may begin something.
        case unit
        case served(DeviceRequest, boot: Int)
        /// The head of a connection's outbox may leave.
        case outbox(Int)
        /// What a connection holds back has been held long enough.
        case release(Int)
        /// A connection's stall may be over.
        case resume(Int)
        case restart(boot: Int)

        /// The connection that this is about; nil when it is about the device.
        var connection: Int? {
            switch self {
            case .inbox(let number), .outbox(let number), .release(let number), .resume(let number): number
            case .unit, .served, .restart: nil
            }
        }
    }

    let behavior: DeviceBehavior
    /// Whether requests are handed out for a frame log.
    let logsFrames: Bool
    let epoch: NIODeadline

    var connections: [Int: DeviceConnection] = [:]
    var agenda = Agenda<Event>()
    var unit: ServiceUnit<DeviceRequest>
    /// The next look at the service unit, so that it is entered once.
    var unitWake = NIODeadline.distantFuture
    var upstream: TokenBucket
    var downstream: TokenBucket
    var random: SeededGenerator
    var boot = 0
    var isDown = false
    var counters = DeviceStatistics()
    private var accepted = 0
    private var actions: Deque<Action> = []

    init(_ behavior: DeviceBehavior, logsFrames: Bool = false, now: NIODeadline) {
        self.behavior = behavior
        self.logsFrames = logsFrames
        epoch = now
        unit = ServiceUnit(scan: behavior.timing.scanCycle, epoch: now)
        let line = behavior.timing.line
        upstream = TokenBucket(bitsPerSecond: line.upstream, burst: line.burst, overhead: line.overhead)
        downstream = TokenBucket(bitsPerSecond: line.downstream, burst: line.burst, overhead: line.overhead)
        random = SeededGenerator(seed: behavior.seed)
    }

    /// When ``advance(to:)`` is to be called at the latest; nil while nothing is under way.
    var nextEvent: NIODeadline? {
        agenda.next
    }

    /// The next thing to do, in order; nil when everything is done.
    mutating func nextAction() -> Action? {
        actions.popFirst()
    }

    mutating func act(_ action: Action) {
        actions.append(action)
    }

    /// What the device has done and is doing.
    var statistics: DeviceStatistics {
        var statistics = counters
        statistics.inFlight = connections.mapValues(\.inFlight)
        statistics.queueDepth = unit.depth
        return statistics
    }

    // MARK: Events

    /// A connection was made.
    ///
    /// - Parameter device: what executes its requests.
    /// - Returns: its number.
    mutating func connected(to device: any ModbusDevice, now: NIODeadline) -> Int {
        accepted += 1
        let number = accepted
        var connection = DeviceConnection(device, behavior.quirks)
        let subject = FaultPlan.Subject(connection: number, traits: nil, elapsed: now - epoch)
        switch behavior.faults?.bite(.connect, subject) {
        case .connect(.refuse):
            act(.close(connection: number, .reset))
            return number
        case .connect(.acceptThenClose):
            act(.close(connection: number, .finish))
            return number
        case .connect(.hang): connection.isDeaf = true
        default: break
        }
        guard !isDown else {
            act(.close(connection: number, .reset))
            return number
        }
        connections[number] = connection
        return number
    }

    /// A connection sent bytes, in one segment.
    mutating func received(_ bytes: ByteBuffer, from number: Int, now: NIODeadline) {
        advance(to: now)
        guard connections[number]?.isDeaf == false else { return }
        connections[number]?.cutter.append(bytes)
        if behavior.quirks.seesOnlyFirstOfSegment, case .frame(let first) = connections[number]?.cutter.next() {
            connections[number]?.seen.append(first)
            connections[number]?.cutter.dropWhatFollows(behavior.quirks)
        }
        takeRequests(number, now: now)
        advance(to: now)
    }

    /// A connection ended. What it asked and is not yet begun is forgotten.
    mutating func disconnected(_ number: Int, now: NIODeadline) {
        guard connections[number] != nil else { return }
        advance(to: now)
        forget(number)
    }

    /// Something happens to every connection, now.
    mutating func strike(_ fault: ConnectionFault, now: NIODeadline) {
        advance(to: now)
        switch fault {
        case .freeze, .reboot: apply(fault, to: 0, now: now)
        case .finish, .reset, .halfClose, .stall:
            for number in connections.keys.sorted() { apply(fault, to: number, now: now) }
        }
        advance(to: now)
    }

    /// Handles everything that is due.
    mutating func advance(to now: NIODeadline) {
        while let (time, event) = agenda.pop(dueAt: now) {
            switch event {
            case .inbox(let number):
                openInbox(number, now: time)
            case .unit:
                unitWake = .distantFuture
                stepUnit(time)
            case .served(let request, let boot):
                guard boot == self.boot else { continue }
                unit.finished(now: time)
                execute(request, now: time)
                stepUnit(time)
            case .outbox(let number):
                emptyOutbox(number, now: time)
            case .release(let number):
                releaseHeld(number, now: time)
            case .resume(let number):
                openInbox(number, now: time)
                emptyOutbox(number, now: time)
                takeRequests(number, now: time)
            case .restart(let boot):
                guard boot == self.boot else { continue }
                isDown = false
                act(.openListener)
            }
        }
    }

    /// Lets the service unit begin what it may.
    mutating func stepUnit(_ now: NIODeadline) {
        switch unit.next(now: now) {
        case .idle: break
        case .wait(let until):
            guard until < unitWake else { return }
            unitWake = until
            agenda.add(.unit, at: until)
        case .execute(let request, _):
            agenda.add(.served(request, boot: boot), at: now + request.service)
        }
        counters.deepestQueue = max(counters.deepestQueue, unit.depth)
    }
}
