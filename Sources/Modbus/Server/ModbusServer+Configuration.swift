extension ModbusServer {
    /// Where a server listens and what it allows.
    public struct Configuration: Hashable, Sendable {
        /// What happens to a connection beyond ``maximumConnections``.
        public enum LimitPolicy: Hashable, Sendable {
            /// The new connection is accepted and closed at once.
            case refuseNewest
            /// The connection that was opened first is closed.
            case closeOldest
            /// The new connection is accepted, and closed without an answer when its first bytes arrive.
            case acceptThenClose
            /// The new connection is accepted and never answered; only the peer ends it. At most
            /// ``maximumHeldConnections`` are held so, further ones are refused.
            case hang
            /// The new connection is not accepted: the operating system completes the handshake and keeps what the peer
            /// sends until a place is free. At most 256 wait so.
            case backlog
        }

        /// Most connections beyond the limit that are kept open without being served.
        public static let maximumHeldConnections = 1024

        /// The address to listen on. Defaults to the loopback address 127.0.0.1.
        public var host: String = "127.0.0.1"
        /// The port to listen on, 0…65535; 0 lets the system choose one. Defaults to 0.
        public var port: Int = 0
        /// How many connections may be open, 1…65535. Defaults to 64.
        public var maximumConnections: Int = 64
        /// What happens at that limit. Defaults to refusing the newest.
        public var limitPolicy: LimitPolicy = .refuseNewest
        /// A connection that sends not a single byte for this long is closed. With nil a silent connection is kept as
        /// long as the peer's operating system answers keep-alive probes, sent after 10 s of silence; one whose peer
        /// vanished is closed some 25 s after its last sign of life. Defaults to nil.
        public var idleTimeout: Duration? = nil
        /// Modbus/TCP Security; its port is ``ModbusTLS/port``. Defaults to nil, plain TCP.
        public var tls: ModbusTLS.Server? = nil
        /// How frames are cut out of the stream. Defaults to Modbus TCP.
        public var framing: ModbusFraming = .tcp

        public init(host: String = "127.0.0.1", port: Int = 0) {
            self.host = host
            self.port = port
        }

        /// Every problem of this configuration, in words; empty when it can be used.
        public func validate() -> [String] {
            var problems: [String] = []
            if host.isEmpty { problems.append("host is empty; name the address to listen on") }
            if !(0...65_535).contains(port) { problems.append("port is \(port); allowed are 0 to 65535") }
            if !(1...65_535).contains(maximumConnections) {
                problems.append("maximumConnections is \(maximumConnections); allowed are 1 to 65535")
            }
            if let idleTimeout, idleTimeout < .milliseconds(1) || idleTimeout > .seconds(86_400 * 365) {
                problems.append("idleTimeout is \(idleTimeout); allowed are 1 ms to one year")
            }
            problems += tls?.validate() ?? []
            return problems
        }
    }
}
