import Modbus

/// Where each parameter lies in the simulated device's four tables, and how a Modbus request is carried out on them.
///
/// Each table reaches from the lowest to the highest address of the register map. Addresses in between that belong to
/// no parameter read as zero and cannot be written, as in the controllers this stands in for; addresses outside do not
/// exist (exception 02).
struct DeviceMemory: Sendable {
    private struct Cell {
        /// Index into the register map.
        var parameter: Int
        /// Which word of the value, 0 or 1.
        var word: Int
        /// Whether this is where the set point is written, rather than where the value is measured.
        var isSetPoint: Bool
    }

    private let parameters: [Parameter]
    private let wordOrder: WordOrder
    private let indexByID: [ParameterID: Int]
    private var cells: [RegisterLocation: Cell] = [:]
    private var extent: [DataTable: ClosedRange<UInt16>] = [:]

    init(_ map: RegisterMap) {
        parameters = map.parameters
        wordOrder = map.wordOrder
        indexByID = Dictionary(uniqueKeysWithValues: map.parameters.enumerated().map { ($1.id, $0) })
        for (index, parameter) in map.parameters.enumerated() {
            place(parameter.readLocation, index: index, isSetPoint: false)
            if let location = parameter.writeLocation, location != parameter.readLocation {
                place(location, index: index, isSetPoint: true)
            }
        }
    }

    private mutating func place(_ location: RegisterLocation, index: Int, isSetPoint: Bool) {
        for word in 0..<parameters[index].dataType.addressCount(in: location.table) {
            let address = location.address &+ UInt16(word)
            cells[RegisterLocation(table: location.table, address: address)] = Cell(
                parameter: index, word: word, isSetPoint: isSetPoint)
            let known = extent[location.table] ?? address...address
            extent[location.table] = min(known.lowerBound, address)...max(known.upperBound, address)
        }
    }

    func index(of id: ParameterID) -> Int? { indexByID[id] }

    /// Carries out one request that has passed the protocol's own checks.
    func respond(
        to request: ModbusRequest, model: inout MachineModel
    ) throws(ModbusException) -> ModbusResponse {
        guard let table = request.table else { throw .illegalFunction }
        guard let range = request.range, let extent = extent[table], extent.contains(range.start),
            extent.contains(range.last)
        else { throw .illegalDataAddress }
        switch request {
        case .read(let table, let range):
            let words = (Int(range.start)..<range.end).map { word(table, at: UInt16($0), of: model) }
            return table.isBits ? .bits(table, words.map { $0 != 0 }) : .registers(table, words)
        case .writeCoil(_, let value):
            try write([value ? 1 : 0], to: .coils, range, of: &model)
        case .writeCoils(_, let values):
            try write(values.map { $0 ? 1 : 0 }, to: .coils, range, of: &model)
        case .writeRegister(_, let value):
            try write([value], to: .holdingRegisters, range, of: &model)
        case .writeRegisters(_, let values):
            try write(values, to: .holdingRegisters, range, of: &model)
        default:
            throw .illegalFunction
        }
        guard let response = ModbusResponse(acknowledging: request) else { throw .serverDeviceFailure }
        return response
    }

    private func word(_ table: DataTable, at address: UInt16, of model: MachineModel) -> UInt16 {
        guard let cell = cells[RegisterLocation(table: table, address: address)] else { return 0 }
        let words = words(of: cell, in: model)
        return cell.word < words.count ? words[cell.word] : 0
    }

    private func words(of cell: Cell, in model: MachineModel) -> [UInt16] {
        let value = cell.isSetPoint ? model.setPoint(at: cell.parameter) : model.value(at: cell.parameter)
        return parameters[cell.parameter].dataType.encode(value ?? 0, order: wordOrder) ?? []
    }

    /// Writes all words or none: every value is checked before the first one changes.
    private func write(
        _ values: [UInt16], to table: DataTable, _ range: AddressRange, of model: inout MachineModel
    ) throws(ModbusException) {
        var changed: [Int: [UInt16]] = [:]
        for (offset, value) in values.enumerated() {
            let location = RegisterLocation(table: table, address: range.start &+ UInt16(offset))
            guard let cell = cells[location], parameters[cell.parameter].isWritable else { throw .illegalDataAddress }
            var words = changed[cell.parameter] ?? words(of: cell, in: model)
            guard cell.word < words.count else { throw .serverDeviceFailure }
            words[cell.word] = value
            changed[cell.parameter] = words
        }
        var setPoints: [(index: Int, value: Double)] = []
        for (index, words) in changed {
            guard let value = parameters[index].dataType.decode(words[...], order: wordOrder), value.isFinite,
                parameters[index].range.contains(value)
            else { throw .illegalDataValue }
            setPoints.append((index, value))
        }
        for setPoint in setPoints { model.write(setPoint.value, at: setPoint.index) }
    }
}
