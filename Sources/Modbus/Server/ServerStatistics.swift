/// What a ``ModbusServer`` has done since it was made. `accepted = open + closed` holds at every moment.
public struct ServerStatistics: Hashable, Sendable {
    /// Connections taken into service.
    public internal(set) var accepted = 0
    /// Connections in service now.
    public internal(set) var open = 0
    /// Connections that were in service and have ended, for whatever reason.
    public internal(set) var closed = 0
    /// Connections closed at once because the limit was reached.
    public internal(set) var refused = 0
    /// Connections beyond the limit that were accepted and not served: closed at their first bytes, or left hanging.
    public internal(set) var held = 0
    /// Connections closed to make room for a newer one.
    public internal(set) var evicted = 0
    /// Connections closed because they asked nothing for the idle timeout.
    public internal(set) var idleClosed = 0
    /// Connections closed because TLS could not be established, or the client's certificate names no usable role.
    public internal(set) var handshakesFailed = 0
    /// Connections closed because of a header that is no Modbus header.
    public internal(set) var malformedHeaders = 0
    /// Requests answered, exceptions included.
    public internal(set) var requests = 0
    /// Requests answered with an exception.
    public internal(set) var exceptions = 0

    /// All zero.
    public init() {}
}
