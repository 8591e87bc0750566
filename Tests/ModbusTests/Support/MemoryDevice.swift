import Modbus
import Synchronization

/// A device with four tables of 1000 addresses each; input registers hold their own address.
final class MemoryDevice: ModbusDevice {
    private struct Tables {
        var coils = Array(repeating: false, count: 1000)
        var registers = Array(repeating: UInt16(0), count: 1000)
        var writes = 0
    }

    private let tables = Mutex(Tables())

    var writes: Int {
        tables.withLock { $0.writes }
    }

    func respond(to request: ModbusRequest, unit: UnitID) throws(ModbusException) -> ModbusResponse {
        guard request.table != nil else { throw .illegalFunction }
        guard let range = request.range, range.end <= 1000 else { throw .illegalDataAddress }
        let addresses = Int(range.start)..<range.end
        let response = tables.withLock { tables -> ModbusResponse? in
            if request.isWrite { tables.writes += 1 }
            switch request {
            case .read(.coils, _): return .bits(.coils, Array(tables.coils[addresses]))
            case .read(.discreteInputs, _): return .bits(.discreteInputs, addresses.map { $0 % 3 == 0 })
            case .read(.holdingRegisters, _):
                return .registers(.holdingRegisters, Array(tables.registers[addresses]))
            case .read(.inputRegisters, _): return .registers(.inputRegisters, addresses.map { UInt16($0) })
            case .writeCoil(let address, let value): tables.coils[Int(address)] = value
            case .writeRegister(let address, let value): tables.registers[Int(address)] = value
            case .writeCoils(_, let values): tables.coils.replaceSubrange(addresses, with: values)
            case .writeRegisters(_, let values): tables.registers.replaceSubrange(addresses, with: values)
            default: return nil
            }
            return ModbusResponse(acknowledging: request)
        }
        guard let response else { throw .illegalFunction }
        return response
    }
}

/// A device that answers everything with the same response.
struct StubbornDevice: ModbusDevice {
    var response: ModbusResponse

    func respond(to request: ModbusRequest, unit: UnitID) throws(ModbusException) -> ModbusResponse {
        response
    }
}
