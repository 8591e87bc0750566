/// What a ``ModbusClient`` can say about its connection at any time.
public enum ConnectionState: Hashable, Sendable {
    /// A connection attempt is under way.
    case connecting
    /// The TCP connection stands. Whether the device answers is seen in the results.
    case up
    /// No connection: none was needed yet (``ModbusError/Code/notConnected``), the last one ended, or the last
    /// attempt failed. While requests wait, the next attempt follows after the back-off.
    case down(reason: ModbusError)
}
