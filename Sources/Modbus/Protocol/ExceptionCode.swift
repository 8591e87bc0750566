/// Why a device said no (MODBUS Application Protocol V1.1b3 §7). Codes the specification does not name are kept as
/// they came.
public struct ExceptionCode: RawRepresentable, Hashable, Sendable {
    public var rawValue: UInt8

    public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// 01: the device does not have the function.
    public static let illegalFunction = ExceptionCode(rawValue: 1)
    /// 02: an address of the request does not exist in the device.
    public static let illegalDataAddress = ExceptionCode(rawValue: 2)
    /// 03: a quantity, byte count or value of the request is not allowed.
    public static let illegalDataValue = ExceptionCode(rawValue: 3)
    /// 04: the device failed while it executed the request.
    public static let serverDeviceFailure = ExceptionCode(rawValue: 4)
    /// 05: accepted and still being executed. Neither success nor failure, and never to be repeated.
    public static let acknowledge = ExceptionCode(rawValue: 5)
    /// 06: the device is busy and executed nothing. May be repeated later.
    public static let serverDeviceBusy = ExceptionCode(rawValue: 6)
    /// 08: the device's memory failed its check.
    public static let memoryParityError = ExceptionCode(rawValue: 8)
    /// 0A: the gateway has no path to the unit.
    public static let gatewayPathUnavailable = ExceptionCode(rawValue: 0x0A)
    /// 0B: the unit behind the gateway did not answer. A write may have been executed.
    public static let gatewayTargetFailedToRespond = ExceptionCode(rawValue: 0x0B)

    /// Whether a write that is answered with it may have been executed, wholly or in part.
    ///
    /// Five codes say that nothing was done. 01, 02 and 03 are found out before the execution begins (§6, every state
    /// diagram), 06 refuses to begin it, 0A sends nothing on. A device that answers 04 had begun, one that answers 05
    /// goes on, behind 0B nobody knows what the unit did (§7), and a code of a maker's own says what its manual says.
    public var leavesWriteInDoubt: Bool {
        switch self {
        case .illegalFunction, .illegalDataAddress, .illegalDataValue, .serverDeviceBusy, .gatewayPathUnavailable:
            false
        default: true
        }
    }
}

extension ExceptionCode: CustomStringConvertible {
    public var description: String {
        let number = rawValue < 16 ? "0" + String(rawValue, radix: 16) : String(rawValue, radix: 16)
        return "\(number.uppercased()) \(name)"
    }

    private var name: String {
        switch self {
        case .illegalFunction: "illegal function"
        case .illegalDataAddress: "illegal data address"
        case .illegalDataValue: "illegal data value"
        case .serverDeviceFailure: "server device failure"
        case .acknowledge: "acknowledge, still executing"
        case .serverDeviceBusy: "server device busy"
        case .memoryParityError: "memory parity error"
        case .gatewayPathUnavailable: "gateway path unavailable"
        case .gatewayTargetFailedToRespond: "gateway target failed to respond"
        default: "code not in the specification"
        }
    }
}
