import Modbus

/// Where each parameter lies in the simulated device's four tables, and how a Modbus request is carried out on them.
///
/// Each table reaches from the lowest to the highest address of the register map. Addresses in between that belong to
/// no parameter read as zero and cannot be written, as in the controllers this stands in for; addresses outside do not
/// exist (exception 02). Functions 01 to 06, 15, 16, 22 and 23 are known.
struct DeviceMemory: Sendable {
    private struct Cell {
        /// Index into the register map; -1 for an address that belongs to no parameter.
        var parameter: Int32 = -1
        /// Which word of the value, 0 or 1.
        var word: UInt8 = 0
        /// Whether this is where the set point is written, rather than where the value is measured.
        var isSetPoint = false
        /// Whether a write goes here: a parameter that has a place of its own for set points is read-only where it is
        /// measured.
        var isWritable = false
    }

    /// One table: the cells from the lowest address to the highest.
    private struct Table {
        var first = 0
        var cells: [Cell] = []

        func contains(_ range: AddressRange) -> Bool {
            Int(range.start) >= first && range.end <= first + cells.count
        }
    }

    /// The words of one parameter while a write changes them.
    private struct Change {
        var parameter: Int
        var words: (UInt16, UInt16)
    }

    private let parameters: [Parameter]
    private let wordOrder: WordOrder
    private let indexByID: [ParameterID: Int]
    private var tables: [DataTable: Table] = [:]

    init(_ map: RegisterMap) {
        parameters = map.parameters
        wordOrder = map.wordOrder
        indexByID = Dictionary(uniqueKeysWithValues: map.parameters.enumerated().map { ($1.id, $0) })
        for table in DataTable.allCases { tables[table] = Self.table(table, of: map.parameters) }
    }

    private static func table(_ table: DataTable, of parameters: [Parameter]) -> Table? {
        var places: [(address: Int, cell: Cell)] = []
        for (index, parameter) in parameters.enumerated() {
            var locations = [(parameter.readLocation, false)]
            if let location = parameter.writeLocation, location != parameter.readLocation {
                locations.append((location, true))
            }
            for (location, isSetPoint) in locations where location.table == table {
                for word in 0..<parameter.dataType.addressCount(in: table) {
                    let cell = Cell(
                        parameter: Int32(index), word: UInt8(word), isSetPoint: isSetPoint,
                        isWritable: location == parameter.writeLocation)
                    places.append((Int(location.address &+ UInt16(word)), cell))
                }
            }
        }
        guard let first = places.map(\.address).min(), let last = places.map(\.address).max() else { return nil }
        var result = Table(first: first, cells: Array(repeating: Cell(), count: last - first + 1))
        for (address, cell) in places { result.cells[address - first] = cell }
        return result
    }

    func index(of id: ParameterID) -> Int? { indexByID[id] }

    /// Carries out one request that has passed the protocol's own checks.
    ///
    /// - Parameter step: the present step of `model`.
    func respond(
        to request: ModbusRequest, model: inout MachineModel, step: Int64
    ) throws(ModbusException) -> ModbusResponse {
        guard let name = request.table else { throw .illegalFunction }
        guard let table = tables[name], let range = request.range, table.contains(range) else {
            throw .illegalDataAddress
        }
        switch request {
        case .read(let name, let range):
            let words = words(table, range, of: model, step)
            return name.isBits ? .bits(name, words.map { $0 != 0 }) : .registers(name, words)
        case .writeCoil(let address, let value):
            try write(CollectionOfOne(value ? 1 : 0), to: table, at: address, of: &model, step)
        case .writeCoils(let start, let values):
            try write(values.map { $0 ? 1 : 0 }, to: table, at: start, of: &model, step)
        case .writeRegister(let address, let value):
            try write(CollectionOfOne(value), to: table, at: address, of: &model, step)
        case .writeRegisters(let start, let values):
            try write(values, to: table, at: start, of: &model, step)
        case .maskWriteRegister(let address, let and, let or):
            let register = words(table, range, of: model, step)[0]
            try write(CollectionOfOne(register & and | or & ~and), to: table, at: address, of: &model, step)
        case .readWriteRegisters(let range, let start, let values):
            guard let written = request.writtenRange, table.contains(written) else { throw .illegalDataAddress }
            try write(values, to: table, at: start, of: &model, step)
            return .registers(name, words(table, range, of: model, step))
        default:
            throw .illegalFunction
        }
        guard let response = ModbusResponse(acknowledging: request) else { throw .serverDeviceFailure }
        return response
    }

    // MARK: Words

    /// The words of `range`, each value encoded once.
    private func words(_ table: Table, _ range: AddressRange, of model: MachineModel, _ step: Int64) -> [UInt16] {
        let offset = Int(range.start) - table.first
        return [UInt16](unsafeUninitializedCapacity: range.count) { words, count in
            var (owner, pair) = (Cell(), (UInt16(0), UInt16(0)))
            for index in 0..<range.count {
                let cell = table.cells[offset + index]
                if cell.parameter != owner.parameter || cell.isSetPoint != owner.isSetPoint {
                    (owner, pair) = (cell, self.words(of: cell, in: model, step))
                }
                words[index] = cell.word == 0 ? pair.0 : pair.1
            }
            count = range.count
        }
    }

    private func words(of cell: Cell, in model: MachineModel, _ step: Int64) -> (UInt16, UInt16) {
        guard cell.parameter >= 0 else { return (0, 0) }
        let index = Int(cell.parameter)
        let value = cell.isSetPoint ? model.setPoint(at: index) : model.value(at: index, step: step)
        return parameters[index].dataType.encodeWords(value ?? 0, order: wordOrder) ?? (0, 0)
    }

    /// Writes all words or none: every value is checked before the first one changes.
    private func write(
        _ values: some Collection<UInt16>, to table: Table, at start: UInt16, of model: inout MachineModel,
        _ step: Int64
    ) throws(ModbusException) {
        var changes: [Change] = []
        var offset = Int(start) - table.first
        for value in values {
            let cell = table.cells[offset]
            offset += 1
            guard cell.isWritable else { throw .illegalDataAddress }
            let parameter = Int(cell.parameter)
            if changes.last?.parameter != parameter {
                let present = parameters[parameter].dataType.encodeWords(
                    model.setPoint(at: parameter) ?? 0, order: wordOrder)
                changes.append(Change(parameter: parameter, words: present ?? (0, 0)))
            }
            if cell.word == 0 {
                changes[changes.count - 1].words.0 = value
            } else {
                changes[changes.count - 1].words.1 = value
            }
        }
        var setPoints: [(index: Int, value: Double)] = []
        for change in changes {
            let (type, range) = (parameters[change.parameter].dataType, parameters[change.parameter].range)
            let words = [change.words.0, change.words.1].prefix(type.addressCount(in: .holdingRegisters))
            guard let value = type.decode(words, order: wordOrder), value.isFinite, range.contains(value) else {
                throw .illegalDataValue
            }
            setPoints.append((change.parameter, value))
        }
        for setPoint in setPoints { model.write(setPoint.value, at: setPoint.index, step: step) }
    }
}
