/// What a device that is not ideal has done since its server was made, and what it is doing.
public struct DeviceStatistics: Hashable, Sendable {
    /// Requests of open connections that have been received and not answered, by the connection's number.
    public internal(set) var inFlight: [Int: Int] = [:]
    /// Requests that wait for the service unit.
    public internal(set) var queueDepth = 0
    /// The most there ever were.
    public internal(set) var deepestQueue = 0
    /// Requests received.
    public internal(set) var received = 0
    /// Requests given to the service unit and finished there, whatever became of them.
    public internal(set) var served = 0
    /// Answers that have left, wrong and cut ones included.
    public internal(set) var answered = 0
    /// Requests beyond the bound of the input queue that were forgotten or answered with 06 at once.
    public internal(set) var overflowed = 0
    /// Restarts.
    public internal(set) var reboots = 0
    /// Bytes of the frames that have passed the line towards the device, overhead included.
    public internal(set) var bytesUpstream = 0
    /// Bytes that have passed the line from the device, overhead included.
    public internal(set) var bytesDownstream = 0

    /// All zero.
    public init() {}
}
