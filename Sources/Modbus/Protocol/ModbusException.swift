/// Thrown by a ``ModbusDevice`` to answer a request with an exception response.
public struct ModbusException: Error, Hashable, Sendable {
    /// The code that the client will see.
    public var code: ExceptionCode

    public init(_ code: ExceptionCode) {
        self.code = code
    }

    /// 01: the device does not have the function.
    public static let illegalFunction = ModbusException(.illegalFunction)
    /// 02: the device has no such address.
    public static let illegalDataAddress = ModbusException(.illegalDataAddress)
    /// 03: the device does not accept this value.
    public static let illegalDataValue = ModbusException(.illegalDataValue)
    /// 04: the device failed while executing.
    public static let serverDeviceFailure = ModbusException(.serverDeviceFailure)
    /// 06: the device is busy and executed nothing.
    public static let serverDeviceBusy = ModbusException(.serverDeviceBusy)
}

extension ModbusException: CustomStringConvertible {
    public var description: String {
        "Modbus exception \(code)"
    }
}
