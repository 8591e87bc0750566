import Modbus

/// One call of the interoperability tests, and what it must bring.
struct InteropCall {
    var request: ModbusRequest
    /// As the foreign clients print it: `ok` with the values, or `exception` with its number.
    var expected: String

    /// The call in the words of `Fixtures/Modbus/Peers/calling.py`; nil where these have none.
    var words: String? {
        if case .read(let table, let range) = request {
            "read \(Self.name(of: table)) \(range.start) \(range.count)"
        } else if case .writeCoil(let address, let value) = request {
            "write coil \(address) \(value ? 1 : 0)"
        } else if case .writeRegister(let address, let value) = request {
            "write register \(address) \(value)"
        } else if case .writeCoils(let start, let values) = request {
            "write coils \(start) \(Self.list(values.map { $0 ? 1 : 0 }))"
        } else if case .writeRegisters(let start, let values) = request {
            "write registers \(start) \(Self.list(values))"
        } else {
            nil
        }
    }

    /// What came back, in the words of the foreign clients.
    static func words(of outcome: Result<ModbusResponse, ModbusError>) -> String {
        switch outcome {
        case .success(.bits(_, let bits)): "ok \(list(bits.map { $0 ? 1 : 0 }))"
        case .success(.registers(_, let registers)): "ok \(list(registers))"
        case .success: "ok"
        case .failure(let error):
            if case .exception(let code, _) = error.code { "exception \(code.rawValue)" } else { "error \(error)" }
        }
    }

    /// What ``IndexTables`` answer to all these requests, one after the other.
    static func predicted(_ requests: [ModbusRequest]) -> [InteropCall] {
        var tables = IndexTables()
        return requests.map { request in
            do throws(ModbusException) {
                return InteropCall(request: request, expected: words(of: .success(try tables.respond(to: request))))
            } catch {
                return InteropCall(request: request, expected: "exception \(error.code.rawValue)")
            }
        }
    }

    private static func name(of table: DataTable) -> String {
        switch table {
        case .coils: "coils"
        case .discreteInputs: "discrete"
        case .holdingRegisters: "holding"
        case .inputRegisters: "input"
        }
    }

    private static func list(_ values: [some CustomStringConvertible]) -> String {
        values.map { "\($0)" }.joined(separator: " ")
    }
}

extension InteropCall {
    /// Functions 01 to 06, 15 and 16: both ends of every table, the largest block each can carry, one address too many,
    /// and every write read back.
    static let everyBasicFunction = predicted(DataTable.allCases.flatMap(reads) + writes)
    /// The same, and then writes that reach one address too far: they are refused as a whole, so that the last address
    /// keeps what it held.
    static let everyBasicFunctionAndRefusedWrites = predicted(
        DataTable.allCases.flatMap(reads) + writes + refusedWrites)

    private static func reads(of table: DataTable) -> [ModbusRequest] {
        let most = table.maximumReadCount
        let size = IndexTables.size
        let good = [(0, 1), (0, most), (1, most - 1), (size - most, most), (size - 1, 1)]
        let beyond = [(size, 1), (size - 1, 2), (65_535, 1)]
        return (good + beyond).map { read(table, UInt16($0), $1) }
    }

    private static let writes: [ModbusRequest] = [
        .writeCoil(address: 40, value: true), .writeCoil(address: 41, value: false), read(.coils, 38, 6),
        .writeCoil(address: 10_000, value: true),
        .writeRegister(address: 40, value: 0xFFFE), .writeRegister(address: 9_999, value: 0),
        read(.holdingRegisters, 39, 3),
        read(.holdingRegisters, 9_998, 2), .writeRegister(address: 10_000, value: 1),
        .writeCoils(start: 100, values: [true, true, false, true, false, false, false, true, true]),
        read(.coils, 99, 12),
        .writeCoils(start: 8_000, values: (0..<1_968).map { $0 % 3 == 0 }), read(.coils, 8_000, 1_968),
        .writeRegisters(start: 200, values: [0x1234]), read(.holdingRegisters, 199, 3),
        .writeRegisters(start: 300, values: (0..<123).map { 0xFF00 ^ $0 }), read(.holdingRegisters, 299, 125),
    ]

    static let refusedWrites: [ModbusRequest] = [
        .writeCoils(start: 9_999, values: [false, false]), read(.coils, 9_999, 1),
        .writeRegisters(start: 9_999, values: [1, 2]), read(.holdingRegisters, 9_999, 1),
    ]

    private static func read(_ table: DataTable, _ start: UInt16, _ count: Int) -> ModbusRequest {
        .read(table, AddressRange(start: start, count: count) ?? AddressRange(start))
    }
}
