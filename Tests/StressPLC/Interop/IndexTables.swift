import Modbus
import Synchronization

/// What every peer of the interoperability tests holds at first: four tables of 10 000 addresses in which register i
/// holds i and bit i holds i AND 1. As a value it predicts what each call must bring.
struct IndexTables {
    static let size = 10_000

    private var coils = (0..<size).map { $0 & 1 == 1 }
    private var registers = (0..<size).map { UInt16($0) }

    mutating func respond(to request: ModbusRequest) throws(ModbusException) -> ModbusResponse {
        guard let range = request.range, range.end <= Self.size else { throw .illegalDataAddress }
        let addresses = Int(range.start)..<range.end
        if case .read(let table, _) = request {
            switch table {
            case .coils: return .bits(table, Array(coils[addresses]))
            case .discreteInputs: return .bits(table, addresses.map { $0 & 1 == 1 })
            case .holdingRegisters: return .registers(table, Array(registers[addresses]))
            case .inputRegisters: return .registers(table, addresses.map { UInt16($0) })
            }
        }
        if case .writeCoil(_, let value) = request { coils[addresses.lowerBound] = value }
        if case .writeRegister(_, let value) = request { registers[addresses.lowerBound] = value }
        if case .writeCoils(_, let values) = request { coils.replaceSubrange(addresses, with: values) }
        if case .writeRegisters(_, let values) = request { registers.replaceSubrange(addresses, with: values) }
        guard let response = ModbusResponse(acknowledging: request) else { throw .serverDeviceFailure }
        return response
    }
}

/// Our side of the interoperability tests, when it is the server.
final class IndexDevice: ModbusDevice {
    private let tables = Mutex(IndexTables())

    func respond(to request: ModbusRequest, unit: UnitID) throws(ModbusException) -> ModbusResponse {
        let answer = tables.withLock { tables in
            Result { () throws(ModbusException) in try tables.respond(to: request) }
        }
        return try answer.get()
    }
}
