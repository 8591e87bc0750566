import Modbus

/// What every peer of the interoperability tests holds at first: four tables of 10 000 addresses in which register i
/// holds i and bit i holds i AND 1. As a value it predicts what each call must bring.
struct IndexTables {
    static let size = 10_000

    private var coils = (0..<size).map { $0 & 1 == 1 }
    private var registers = (0..<size).map { UInt16($0) }

    mutating func respond(to request: ModbusRequest) throws(ModbusException) -> ModbusResponse {
        guard let range = request.range, range.end <= Self.size else { throw .illegalDataAddress }
        let addresses = Int(range.start)..<range.end
        switch request {
        case .read(.coils, _): return .bits(.coils, Array(coils[addresses]))
        case .read(.discreteInputs, _): return .bits(.discreteInputs, addresses.map { $0 & 1 == 1 })
        case .read(.holdingRegisters, _): return .registers(.holdingRegisters, Array(registers[addresses]))
        case .read(.inputRegisters, _): return .registers(.inputRegisters, addresses.map { UInt16($0) })
        case .writeCoil(_, let value): coils[addresses.lowerBound] = value
        case .writeRegister(_, let value): registers[addresses.lowerBound] = value
        case .writeCoils(_, let values): coils.replaceSubrange(addresses, with: values)
        case .writeRegisters(_, let values): registers.replaceSubrange(addresses, with: values)
        case .maskWriteRegister(_, let and, let or):
            let old = registers[addresses.lowerBound]
            registers[addresses.lowerBound] = old & and | or & ~and
        case .readWriteRegisters(_, let start, let values):
            guard Int(start) + values.count <= Self.size else { throw .illegalDataAddress }
            registers.replaceSubrange(Int(start)..<(Int(start) + values.count), with: values)
            return .readWroteRegisters(Array(registers[addresses]))
        default: throw .illegalFunction
        }
        guard let response = ModbusResponse(acknowledging: request) else { throw .serverDeviceFailure }
        return response
    }
}
