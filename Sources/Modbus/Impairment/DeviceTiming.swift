/// How slow a device is. All its connections share one service unit, which executes one request at a time.
///
/// The way of a request: the line (upstream), ``latencyIn``, the input queue, the service unit, the line (downstream),
/// ``latencyOut``. The device changes at the end of a request's service, and the answer leaves then.
public struct DeviceTiming: Hashable, Sendable {
    /// Requests are executed only when a scan begins: those that have arrived by then, in turn.
    public struct ScanCycle: Hashable, Sendable {
        /// How long a scan takes, 1 µs…1 h.
        public var period: Duration
        /// Most requests executed at the beginning of one scan, 1…1000.
        public var requests: Int

        public init(period: Duration, requests: Int = 8) {
            self.period = period
            self.requests = requests
        }
    }

    /// What a connection may have unexecuted in the device.
    public struct InputQueue: Hashable, Sendable {
        /// What happens to a request beyond the limit.
        public enum Overflow: Hashable, Sendable {
            /// The device does not read on; the request stays with the operating system and then with the client.
            case stopReading
            /// The request is forgotten.
            case discardNewest
            /// The request that waits longest is forgotten.
            case discardOldest
            /// The request is answered with 06 at once, past the service unit.
            case answerBusy
        }

        /// Requests of one connection that wait or are being executed, 1…4096. Defaults to 16.
        public var limit: Int = 16
        /// Defaults to not reading on.
        public var overflow: Overflow = .stopReading

        public init(limit: Int = 16, overflow: Overflow = .stopReading) {
            self.limit = limit
            self.overflow = overflow
        }
    }

    /// What the execution of every request takes. Defaults to 0.
    public var perRequest: Duration = .zero
    /// What every register of a request adds, unless the request is malformed or refused by the device's own limits or
    /// map. Defaults to 0.
    public var perRegister: Duration = .zero
    /// What every 16 bits, begun ones included, of a request for coils or discrete inputs add. Defaults to 0.
    public var perSixteenBits: Duration = .zero
    /// One way, from client to device. Requests of one connection never overtake each other. Defaults to none.
    public var latencyIn: Latency = .none
    /// One way, from device to client. Answers of one connection never overtake each other. Defaults to none.
    public var latencyOut: Latency = .none
    /// When requests are executed. Defaults to nil: whenever the service unit is free.
    public var scanCycle: ScanCycle? = nil
    /// The line's speed. Defaults to no limit.
    public var line: LineRate = LineRate()
    /// The bound of what waits.
    public var inputQueue: InputQueue = InputQueue()

    public init() {}

    /// A device that takes no time.
    public static let ideal = DeviceTiming()

    var problems: [String] {
        var problems = DeviceBehavior.problems("timing: perRequest", perRequest)
        problems += DeviceBehavior.problems("timing: perRegister", perRegister)
        problems += DeviceBehavior.problems("timing: perSixteenBits", perSixteenBits)
        problems += latencyIn.problems("timing: latencyIn") + latencyOut.problems("timing: latencyOut")
        problems += line.problems
        if let scanCycle {
            if scanCycle.period < .microseconds(1) || scanCycle.period > .seconds(3600) {
                problems.append("timing: scan period is \(scanCycle.period); allowed are 1 µs to 1 h")
            }
            if !(1...1000).contains(scanCycle.requests) {
                problems.append("timing: \(scanCycle.requests) requests per scan; allowed are 1 to 1000")
            }
        }
        if !(1...4096).contains(inputQueue.limit) {
            problems.append("timing: input queue limit is \(inputQueue.limit); allowed are 1 to 4096")
        }
        return problems
    }
}
