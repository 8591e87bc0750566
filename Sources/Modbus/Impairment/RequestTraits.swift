import NIOCore

/// What is known of a request from its bytes alone, sound or not: enough for the time it takes and for the faults that
/// are meant for it.
struct RequestTraits: Hashable, Sendable {
    struct Span: Hashable, Sendable {
        var table: DataTable
        var range: AddressRange
        var isWrite: Bool
    }

    let function: FunctionCode
    let unit: UnitID
    /// What it reads and writes; empty for other functions and for addresses that do not exist.
    let spans: [Span]

    init(_ frame: ModbusFrame) {
        function = FunctionCode(rawValue: frame.functionByte)
        unit = frame.header.unit
        spans = Self.spans(function, frame.pdu)
    }

    /// Registers to read and write.
    var registers: Int {
        spans.reduce(0) { $0 + ($1.table.isBits ? 0 : $1.range.count) }
    }

    /// Bits to read and write.
    var bits: Int {
        spans.reduce(0) { $0 + ($1.table.isBits ? $1.range.count : 0) }
    }

    private static func spans(_ function: FunctionCode, _ pdu: ByteBuffer) -> [Span] {
        func number(_ offset: Int) -> UInt16? { pdu.getInteger(at: pdu.readerIndex + offset) }
        func span(_ table: DataTable, _ isWrite: Bool, at offset: Int, isSingle: Bool = false) -> [Span] {
            guard let start = number(offset), let count = isSingle ? 1 : number(offset + 2),
                let range = AddressRange(start: start, count: Int(count))
            else { return [] }
            return [Span(table: table, range: range, isWrite: isWrite)]
        }
        if let table = DataTable(readBy: function) { return span(table, false, at: 1) }
        return switch function.rawValue {
        case 5: span(.coils, true, at: 1, isSingle: true)
        case 6, 22: span(.holdingRegisters, true, at: 1, isSingle: true)
        case 15: span(.coils, true, at: 1)
        case 16: span(.holdingRegisters, true, at: 1)
        case 23: span(.holdingRegisters, false, at: 1) + span(.holdingRegisters, true, at: 5)
        default: []
        }
    }
}
