/// A device's answer to one ``ModbusRequest``.
public enum ModbusResponse: Hashable, Sendable {
    /// Answer to functions 01 and 02: exactly the bits that were asked for, in address order.
    case bits(DataTable, [Bool])
    /// Answer to functions 03 and 04: exactly the registers that were asked for, in address order.
    case registers(DataTable, [UInt16])
    /// Answer to function 05: the request's echo.
    case wroteCoil(address: UInt16, value: Bool)
    /// Answer to function 06: the request's echo.
    case wroteRegister(address: UInt16, value: UInt16)
    /// Answer to function 15: what was written where.
    case wroteCoils(AddressRange)
    /// Answer to function 16: what was written where.
    case wroteRegisters(AddressRange)
    /// The device said no (§7).
    case exception(FunctionCode, ExceptionCode)

    /// The function this answers, without the exception bit.
    public var function: FunctionCode {
        switch self {
        case .bits(let table, _), .registers(let table, _): table.readFunction
        case .wroteCoil: .writeSingleCoil
        case .wroteRegister: .writeSingleRegister
        case .wroteCoils: .writeMultipleCoils
        case .wroteRegisters: .writeMultipleRegisters
        case .exception(let function, _): function
        }
    }

    /// The answer of a device that did what a write asked for; nil for a read, and for a write that no frame can
    /// carry.
    public init?(acknowledging request: ModbusRequest) {
        switch request {
        case .read: return nil
        case .writeCoil(let address, let value): self = .wroteCoil(address: address, value: value)
        case .writeRegister(let address, let value): self = .wroteRegister(address: address, value: value)
        case .writeCoils:
            guard let range = request.range else { return nil }
            self = .wroteCoils(range)
        case .writeRegisters:
            guard let range = request.range else { return nil }
            self = .wroteRegisters(range)
        }
    }
}
