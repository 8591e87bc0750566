import Foundation
import Modbus

/// One call of the interoperability tests, and what it must bring.
struct InteropCall {
    var request: ModbusRequest
    /// As the foreign clients print it: `ok` with the values, or `exception` with its number.
    var expected: String

    /// The call in the words of `Fixtures/Modbus/Peers/calling.py`; nil where these have none.
    var words: String? {
        switch request {
        case .read(let table, let range): "read \(Self.name(of: table)) \(range.start) \(range.count)"
        case .writeCoil(let address, let value): "write coil \(address) \(value ? 1 : 0)"
        case .writeRegister(let address, let value): "write register \(address) \(value)"
        case .writeCoils(let start, let values): "write coils \(start) \(Self.list(values.map { $0 ? 1 : 0 }))"
        case .writeRegisters(let start, let values): "write registers \(start) \(Self.list(values))"
        case .maskWriteRegister(let address, let and, let or): "mask \(address) \(and) \(or)"
        case .readWriteRegisters(let range, let start, let values):
            "exchange \(range.start) \(range.count) \(start) \(Self.list(values))"
        case .readExceptionStatus: "status"
        case .diagnostics(.returnQueryData, let data): "echo \(Self.list(data))"
        case .getCommEventCounter: "counter"
        case .reportServerID: "serverid"
        case .readFileRecords(let ranges): ranges.first.map { "readfile \($0.file) \($0.start) \($0.count)" }
        case .writeFileRecords(let records):
            records.first.map { "writefile \($0.file) \($0.start) \(Self.list($0.values))" }
        case .readFIFOQueue(let address): "fifo \(address)"
        case .readDeviceIdentification: "identify"
        default: nil
        }
    }

    /// What came back, in the words of the foreign clients.
    static func words(of outcome: Result<ModbusResponse, ModbusError>) -> String {
        switch outcome {
        case .success(.bits(_, let bits)): ok(bits.map { $0 ? 1 : 0 })
        case .success(.registers(_, let registers)), .success(.readWroteRegisters(let registers)),
            .success(.fifoQueue(let registers)), .success(.diagnostics(_, let registers)):
            ok(registers)
        case .success(.exceptionStatus(let status)): "ok \(status)"
        case .success(.commEventCounter(let counter)): "ok \(counter.events)"
        case .success(.serverID(let bytes)): "ok \(bytes.map { String(format: "%02x", $0) }.joined())"
        case .success(.fileRecords(let groups)): ok(Array(groups.joined()))
        case .success(.deviceIdentification(let page)):
            ok(page.objects.map { "\($0.id.rawValue)=\($0.text)" })
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

    private static func ok(_ values: [some CustomStringConvertible]) -> String {
        values.isEmpty ? "ok" : "ok \(list(values))"
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

    /// Functions 22 and 23: at the ends of the table, at their limits, one address too far, and read back.
    static let maskAndExchange: [ModbusRequest] = [
        .maskWriteRegister(address: 0x12, and: 0xF2, or: 0x25), read(.holdingRegisters, 0x11, 3),
        .maskWriteRegister(address: 9_999, and: 0, or: 0xFFFF), read(.holdingRegisters, 9_999, 1),
        .maskWriteRegister(address: 10_000, and: 0, or: 0),
        .readWriteRegisters(range(0, 2), start: 500, values: [8, 9]), read(.holdingRegisters, 499, 4),
        .readWriteRegisters(range(9_870, 123), start: 600, values: (0..<121).map { 0xABCD ^ $0 }),
        read(.holdingRegisters, 599, 123),
        .readWriteRegisters(range(0, 1), start: 9_999, values: [1, 2]), read(.holdingRegisters, 0, 1),
    ]
    static let largestExchange = predicted([.readWriteRegisters(range(5_000, 125), start: 5_200, values: [5])])
    /// A function 23 whose second range is bad: refused as a whole.
    static let refusedExchange = predicted([
        .readWriteRegisters(range(9_999, 2), start: 5_400, values: [1]), read(.holdingRegisters, 5_400, 1),
    ])
    /// Function 23 reads what it has just written (§6.17).
    static let exchangeOfTheSame = predicted([.readWriteRegisters(range(5_300, 4), start: 5_301, values: [5, 6])])

    private static func range(_ start: UInt16, _ count: Int) -> AddressRange {
        AddressRange(start: start, count: count) ?? AddressRange(start)
    }

    private static func read(_ table: DataTable, _ start: UInt16, _ count: Int) -> ModbusRequest {
        .read(table, range(start, count))
    }
}
