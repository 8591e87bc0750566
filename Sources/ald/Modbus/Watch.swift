import ALDCore
import Modbus

/// What has been seen of a range of addresses: the values, their extremes and changes, and how the device answered.
/// No clock and no device.
struct Watch: Sendable {
    /// One value: a bit, a register, or as many registers as its type takes.
    struct Row: Sendable {
        let address: UInt16
        /// As on the wire: hexadecimal words, or 0 and 1.
        fileprivate(set) var raw = ""
        fileprivate(set) var value: Value?
        fileprivate(set) var lowest: Value?
        fileprivate(set) var highest: Value?
        fileprivate(set) var changes = 0
        /// Whether the last reading changed it.
        fileprivate(set) var isNew = false
    }

    struct Change: Sendable {
        var address: UInt16
        var raw: String
        var value: Value
        /// What it was before; `nil` at the first reading.
        var previous: (raw: String, value: Value)?
    }

    let table: TableName
    let type: ValueType
    let order: WordOrder
    private(set) var rows: [Row]
    private(set) var readings = 0
    private(set) var errors = 0
    private(set) var changes = 0
    /// Why the last reading failed; `nil` when it did not.
    private(set) var fault: ModbusErrorKind?
    private(set) var roundTrip = Duration.zero
    private(set) var roundTrips = DurationHistogram()

    /// - Parameter count: how many values, all of them inside the table.
    init(table: TableName, start: UInt16, count: Int, type: ValueType, order: WordOrder) {
        self.table = table
        self.type = type
        self.order = order
        let width = table.table.isBits ? 1 : type.registers
        rows = (0..<count).map { Row(address: UInt16(truncatingIfNeeded: Int(start) + $0 * width)) }
    }

    /// The addresses of each value: what must come in one answer.
    var spans: [ReadSpan] {
        let width = table.table.isBits ? 1 : type.registers
        return rows.compactMap { row in
            AddressRange(start: row.address, count: width).map { ReadSpan(table.table, $0) }
        }
    }

    /// A reading that brought every value.
    ///
    /// - Parameter data: one for each row.
    mutating func record(_ data: [ReadData], took: Duration) -> [Change] {
        readings += 1
        fault = nil
        roundTrip = took
        roundTrips.record(took)
        let seen = zip(rows.indices, data).compactMap { index, data in
            rows[index].update(data, type: type, order: order)
        }
        changes += seen.count { $0.previous != nil }
        return seen
    }

    /// A reading that failed; the values stay as they were.
    ///
    /// - Returns: whether it failed otherwise than the one before.
    mutating func record(_ error: ModbusErrorKind) -> Bool {
        readings += 1
        errors += 1
        for index in rows.indices { rows[index].isNew = false }
        defer { fault = error }
        return fault != error
    }
}

extension Watch.Row {
    /// Takes in what was read.
    fileprivate mutating func update(_ data: ReadData, type: ValueType, order: WordOrder) -> Watch.Change? {
        let raw: String
        let value: Value
        switch data {
        case .bits(let bits):
            let bit = bits.first == true
            (raw, value) = (bit ? "1" : "0", .known(.bit(bit), isSingle: false))
        case .registers(let words):
            raw = words.map { hexadecimal($0) }.joined(separator: " ")
            value = type.decode(words[...], order: order)
        }
        if let number = value.approximate {
            if number < lowest?.approximate ?? .infinity { lowest = value }
            if number > highest?.approximate ?? -.infinity { highest = value }
        }
        isNew = false
        guard raw != self.raw else { return nil }
        let previous = self.value.map { (raw: self.raw, value: $0) }
        if previous != nil {
            changes += 1
            isNew = true
        }
        (self.raw, self.value) = (raw, value)
        return Watch.Change(address: address, raw: raw, value: value, previous: previous)
    }
}
