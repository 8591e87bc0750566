import ALDCore
import Modbus

/// How one request of `read` or `write` ended, as a line for scripts.
struct RequestReport: Sendable {
    var address: UInt16
    var result: Result<ReadData?, ModbusError>
    var attempts: Int
    /// From the first attempt to the end of the last.
    var took: Duration

    var kind: ModbusErrorKind? {
        if case .failure(let error) = result { ModbusErrorKind(error) } else { nil }
    }

    /// `ok 0064 0065`, `ok 1 0`, `ok 123456.0`, `ok` for a write, or `error` and its kind.
    func line(type: ValueType?, order: WordOrder) -> String {
        switch result {
        case .failure(let error): "error \(ModbusErrorKind(error))"
        case .success(nil): "ok"
        case .success(.bits(let bits)): (["ok"] + bits.map { $0 ? "1" : "0" }).joined(separator: " ")
        case .success(.registers(let words)):
            if let type {
                (["ok"] + type.decode(block: words, order: order).map(\.description)).joined(separator: " ")
            } else {
                (["ok"] + words.map { hexadecimal($0) }).joined(separator: " ")
            }
        }
    }

    func json(_ table: TableName, type: ValueType?, order: WordOrder) -> JSON {
        var json = JSON(
            table: table.rawValue, address: address, ok: kind == nil, attempts: attempts, seconds: took.inSeconds)
        switch result {
        case .failure(let error): (json.error, json.message) = ("\(ModbusErrorKind(error))", "\(error)")
        case .success(nil): break
        case .success(.bits(let bits)): json.bits = bits.map { $0 ? 1 : 0 }
        case .success(.registers(let words)):
            json.registers = words
            json.values = type?.decode(block: words, order: order)
        }
        return json
    }

    /// Fields are added, never renamed or removed.
    struct JSON: Encodable {
        var table: String
        var address: UInt16
        var ok: Bool
        var attempts: Int
        var seconds: Double
        var error: String?
        var message: String?
        var bits: [Int]?
        var registers: [UInt16]?
        var values: [Value]?
    }
}
