/// How a device behaves that is not ideal: slow, of limited memory, with quirks of its own, and faulty.
///
/// One value that attaches to a ``ModbusServer``. With ``ideal`` the server is as fast as it can be; with anything else
/// all its connections share one event loop and one service unit, as in a real device. Everything that is left to
/// chance follows from ``seed``.
///
/// ```swift
/// var behavior = DeviceBehavior(faults: FaultInjector())
/// behavior.timing.perRequest = .milliseconds(5)
/// behavior.timing.line = LineRate(bitsPerSecond: 10_000)
/// let server = ModbusServer(device: TableDevice(), behavior: behavior)
/// ```
public struct DeviceBehavior: Sendable {
    /// Defaults to no time at all.
    public var timing: DeviceTiming = .ideal
    /// Defaults to none.
    public var quirks: DeviceQuirks = .none
    /// Which addresses there are. Defaults to nil: the device decides alone.
    public var map: DeviceMap? = nil
    /// Defaults to never busy.
    public var busy: BusyPattern? = nil
    /// Faults that can be changed while the server runs. Defaults to none.
    public var faults: FaultInjector? = nil
    /// What latencies, busy times and junk follow from. Defaults to 1.
    public var seed: UInt64 = 1
    /// Called on the server's event loop when the device has restarted, before it accepts connections again: the
    /// moment for it to forget what it does not keep without power. Return quickly. Defaults to nothing.
    public var deviceDidReboot: (@Sendable () -> Void)? = nil

    public init(
        timing: DeviceTiming = .ideal, quirks: DeviceQuirks = .none, map: DeviceMap? = nil, busy: BusyPattern? = nil,
        faults: FaultInjector? = nil, seed: UInt64 = 1
    ) {
        self.timing = timing
        self.quirks = quirks
        self.map = map
        self.busy = busy
        self.faults = faults
        self.seed = seed
    }

    /// A device that does what the specification says, at once.
    public static let ideal = DeviceBehavior()

    /// Whether nothing stands between the protocol and the device.
    var isIdeal: Bool {
        timing == .ideal && quirks == .none && map == nil && busy == nil && faults == nil
    }

    /// Every problem, in words; empty when it can be used.
    public func validate() -> [String] {
        timing.problems + quirks.problems + (map?.problems ?? []) + (busy?.problems ?? [])
    }

    /// The problem of a time that is not 0…1 h.
    static func problems(_ name: String, _ time: Duration) -> [String] {
        time >= .zero && time <= .seconds(3600) ? [] : ["\(name) is \(time); allowed are 0 to 1 h"]
    }
}
