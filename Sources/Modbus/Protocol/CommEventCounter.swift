/// What function 11 brings (MODBUS Application Protocol V1.1b3 §6.9).
public struct CommEventCounter: Hashable, Sendable {
    /// FFFF while the device still executes a command given before, else 0000. Kept as it came.
    public var status: UInt16
    /// Requests that were executed completely and without an exception; those for this counter do not count.
    public var events: UInt16

    public init(status: UInt16 = 0, events: UInt16) {
        self.status = status
        self.events = events
    }

    /// Whether the device still executes a command given before.
    public var isBusy: Bool {
        status == 0xFFFF
    }
}
