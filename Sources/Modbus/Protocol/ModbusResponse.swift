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
    /// Answer to function 07: eight bits whose meaning is the device's own.
    case exceptionStatus(UInt8)
    /// Answer to function 08: a counter or register of one word, or the request's echo.
    case diagnostics(DiagnosticFunction, data: [UInt16])
    /// Answer to function 11.
    case commEventCounter(CommEventCounter)
    /// Answer to function 17: at most 251 bytes, see ``ServerID``.
    case serverID([UInt8])
    /// Answer to function 20: the values of each group, in the request's order.
    case fileRecords([[UInt16]])
    /// Answer to function 21: the request's echo.
    case wroteFileRecords([FileRecord])
    /// Answer to function 22: the request's echo.
    case maskedRegister(address: UInt16, and: UInt16, or: UInt16)
    /// Answer to function 23: exactly the registers that were asked for, in address order.
    case readWroteRegisters([UInt16])
    /// Answer to function 24: the queue, 0…31 words, the oldest first.
    case fifoQueue([UInt16])
    /// Answer to function 43, type 14.
    case deviceIdentification(DeviceIdentification.Page)
    /// Answer to a raw request: what stood behind the function code.
    case raw(FunctionCode, [UInt8])
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
        case .exceptionStatus: .readExceptionStatus
        case .diagnostics: .diagnostics
        case .commEventCounter: .getCommEventCounter
        case .serverID: .reportServerID
        case .fileRecords: .readFileRecord
        case .wroteFileRecords: .writeFileRecord
        case .maskedRegister: .maskWriteRegister
        case .readWroteRegisters: .readWriteMultipleRegisters
        case .fifoQueue: .readFIFOQueue
        case .deviceIdentification: .encapsulatedInterface
        case .raw(let function, _), .exception(let function, _): function
        }
    }

    /// The answer of a device that did what a request asked for, where that is nothing but an echo: all writes except
    /// function 23, and the diagnostics that return no counter. Nil for the others, and for a write that no frame can
    /// carry.
    public init?(acknowledging request: ModbusRequest) {
        switch request {
        case .writeCoil(let address, let value): self = .wroteCoil(address: address, value: value)
        case .writeRegister(let address, let value): self = .wroteRegister(address: address, value: value)
        case .writeCoils:
            guard let range = request.range else { return nil }
            self = .wroteCoils(range)
        case .writeRegisters:
            guard let range = request.range else { return nil }
            self = .wroteRegisters(range)
        case .writeFileRecords(let records): self = .wroteFileRecords(records)
        case .maskWriteRegister(let address, let and, let or):
            self = .maskedRegister(address: address, and: and, or: or)
        case .diagnostics(let function, let data):
            guard function.isAnswered, !function.returnsWord else { return nil }
            self = .diagnostics(function, data: data)
        case .read, .readExceptionStatus, .getCommEventCounter, .reportServerID, .readFileRecords,
            .readWriteRegisters, .readFIFOQueue, .readDeviceIdentification, .raw:
            return nil
        }
    }
}
