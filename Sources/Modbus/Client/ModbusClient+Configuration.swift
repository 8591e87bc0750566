extension ModbusClient {
    /// How a client reaches its device and how patient it is.
    public struct Configuration: Hashable, Sendable {
        /// The device's host name or address.
        public var host: String
        /// The device's TCP port. Defaults to 502.
        public var port: Int = 502
        /// The unit of calls that name none. Defaults to 1.
        public var unit: UnitID = .one
        /// Modbus/TCP Security; set ``port`` to ``ModbusTLS/port`` with it. Defaults to nil, plain TCP.
        public var tls: ModbusTLS.Client?
        /// How frames are cut out of the stream. Defaults to Modbus TCP.
        public var framing: ModbusFraming = .tcp

        /// How long one connection attempt may take, the handshake of TLS included. Defaults to 2 s.
        public var connectTimeout: Duration = .seconds(2)
        /// How many requests may be unanswered at the same time, 1…16, for a device that is known to keep up; 1 for
        /// one that is known not to. Defaults to nil: the client starts with 1 and finds out how many are faster, up
        /// to ``windowLimit``. Many devices answer only one of several: a read lost so is made again within its
        /// deadline. Writes always go one at a time, and alone while the client is finding out.
        /// Without ``repeatsRequests`` nil means 1.
        public var window: Int?
        /// The largest window the client tries by itself, 1…16. Defaults to 4.
        public var windowLimit: Int = 4
        /// How many calls may wait to be sent, 1…65536, counted separately for reads and writes so that reads can never keep
        /// a write out. A plan counts as one. A call beyond it ends at once with
        /// ``ModbusError/Code/queueFull(limit:)``. Defaults to 256.
        public var queueLimit: Int = 256

        /// The wait before the second connection attempt in a row, doubled with every further one and varied by
        /// ±20 %. It starts over only when the device has given a valid reply. Defaults to 100 ms.
        public var backoff: Duration = .milliseconds(100)
        /// The longest wait between two connection attempts. Defaults to 2 s.
        public var backoffCap: Duration = .seconds(2)
        /// The wait before a request is sent again that the device refused as busy (06). Defaults to 50 ms.
        public var busyDelay: Duration = .milliseconds(50)
        /// Whether the client makes requests again by itself: reads that lost their connection, requests that a busy
        /// device refused, and connection attempts for calls that wait. With false every request goes to the wire
        /// at most once, and a failed connection attempt ends the calls that wait for it; the next call connects
        /// anew. Defaults to true.
        public var repeatsRequests: Bool = true
        /// A connection on which requests stay unanswered this long is given up, and TCP gives up unacknowledged
        /// data after the same time. Defaults to 5 s.
        public var progressTimeout: Duration = .seconds(5)
        /// How long ``ModbusClient/close()`` lets requests finish that were already sent. Defaults to 1 s.
        public var drainTimeout: Duration = .seconds(1)
        /// How many late answers may be outstanding before the connection is replaced, 1…1024: a device that falls
        /// behind further and further is only helped by a fresh start. Defaults to 16.
        public var lateReplyLimit: Int = 16

        /// Whether an answer from unit 0 or 255 is accepted for every unit. Some devices that are reached directly
        /// need it; behind a gateway it would let one device answer for another. An exception from unit 255 is
        /// always accepted: a gateway speaks so of a device it cannot reach. Defaults to false.
        public var lenientUnit: Bool = false
        /// Whether unused bits behind the last coil or discrete input of an answer may be set, against the
        /// specification (§6.1). Defaults to false: such an answer is malformed.
        public var lenientPadding: Bool = false

        public init(host: String, port: Int = 502, unit: UnitID = .one) {
            self.host = host
            self.port = port
            self.unit = unit
        }

        /// Every problem of this configuration, in words; empty when it can be used.
        public func validate() -> [String] {
            var problems: [String] = []
            if host.isEmpty { problems.append("host is empty; name the device") }
            problems += Self.range("port", port, 1...65_535)
            problems += Self.range("window", window ?? 1, 1...16)
            problems += Self.range("windowLimit", windowLimit, 1...16)
            problems += Self.range("queueLimit", queueLimit, 1...65_536)
            problems += Self.range("lateReplyLimit", lateReplyLimit, 1...1024)
            problems += tls?.validate() ?? []
            problems += Self.duration("connectTimeout", connectTimeout)
            problems += Self.duration("backoff", backoff)
            problems += Self.duration("backoffCap", backoffCap)
            problems += Self.duration("busyDelay", busyDelay)
            problems += Self.duration("progressTimeout", progressTimeout)
            problems += Self.duration("drainTimeout", drainTimeout)
            if backoffCap < backoff {
                problems.append("backoffCap (\(backoffCap)) is less than backoff (\(backoff))")
            }
            return problems
        }

        private static func range(_ name: String, _ value: Int, _ allowed: ClosedRange<Int>) -> [String] {
            allowed.contains(value)
                ? [] : ["\(name) is \(value); allowed are \(allowed.lowerBound) to \(allowed.upperBound)"]
        }

        private static func duration(_ name: String, _ value: Duration) -> [String] {
            value >= .milliseconds(1) && value <= .seconds(3600)
                ? [] : ["\(name) is \(value); allowed are 1 ms to 1 h"]
        }
    }
}
