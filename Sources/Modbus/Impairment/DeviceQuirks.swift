/// What devices and other servers do differently from the specification. By default nothing.
public struct DeviceQuirks: Hashable, Sendable {
    /// Which units a device answers for.
    public enum Units: Hashable, Sendable {
        /// The device decides.
        case device
        /// Every unit, with its number in the answer; the device is asked as `unit`.
        case any(as: UnitID)
        /// These; requests to others are neither executed nor answered.
        case silentUnless(Set<UnitID>)
    }

    /// Less than the specification allows in one request.
    public struct MaximumQuantity: Hashable, Sendable {
        /// Most registers, 1…125.
        public var registers: Int
        /// Most bits, 1…2000.
        public var bits: Int
        /// How more is refused. Defaults to 03.
        public var refusal: ExceptionCode

        public init(registers: Int = 125, bits: Int = 2000, refusal: ExceptionCode = .illegalDataValue) {
            self.registers = registers
            self.bits = bits
            self.refusal = refusal
        }
    }

    /// Defaults to the device's decision.
    public var units: Units = .device
    /// The header's length field is not looked at: a request is as long as its function says. (libmodbus)
    public var ignoresLength = false
    /// Of the requests that arrive in one segment only the first is seen. (pymodbus)
    public var seesOnlyFirstOfSegment = false
    /// A malformed request is answered with `80 01` whatever it asked. (pymodbus)
    public var namelessExceptions = false
    /// An exception response is sent without a header. (modbus-tk)
    public var unframedExceptions = false
    /// Function 05 takes every value: 0000 is off, everything else on.
    public var acceptsAnyCoilValue = false
    /// After a malformed request the whole device stands still so long, before it answers, and forgets what its
    /// connection asked behind it. (libmodbus: 500 ms)
    public var blocksAfterMalformed: Duration? = nil
    /// The device's own limit.
    public var maximumQuantity: MaximumQuantity? = nil
    /// After a read that was refused with 02 the next read of the same connection has every bit inverted: wrong values
    /// that no client can tell from right ones.
    public var corruptsReadAfterRefusal = false

    public init() {}

    /// Nothing.
    public static let none = DeviceQuirks()

    var problems: [String] {
        var problems: [String] = []
        if let blocksAfterMalformed {
            problems += DeviceBehavior.problems("quirks: blocksAfterMalformed", blocksAfterMalformed)
        }
        if let limit = maximumQuantity {
            if !(1...ModbusLimits.maximumReadRegisters).contains(limit.registers) {
                problems.append("quirks: at most \(limit.registers) registers; allowed are 1 to 125")
            }
            if !(1...ModbusLimits.maximumReadBits).contains(limit.bits) {
                problems.append("quirks: at most \(limit.bits) bits; allowed are 1 to 2000")
            }
        }
        return problems
    }
}
