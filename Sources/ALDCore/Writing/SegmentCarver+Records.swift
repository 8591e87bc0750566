extension SegmentCarver {
    /// One column of a row.
    enum Field: Equatable {
        case null
        case number(Int64)
        case bytes([UInt8])
    }

    /// Reads SQLite's variable-length numbers and records; `nil` wherever the bytes do not make sense.
    struct RecordReader {
        private let bytes: [UInt8]
        private var offset: Int

        init(_ bytes: [UInt8], at offset: Int) {
            self.bytes = bytes
            self.offset = offset
        }

        mutating func take(_ count: Int) -> [UInt8]? {
            guard count >= 0, offset >= 0, count <= bytes.count - offset else { return nil }
            defer { offset += count }
            return Array(bytes[offset..<offset + count])
        }

        mutating func varint() -> Int64? {
            var value: UInt64 = 0
            for index in 0..<9 {
                guard offset >= 0, offset < bytes.count else { return nil }
                let byte = bytes[offset]
                offset += 1
                if index == 8 { return Int64(bitPattern: value << 8 | UInt64(byte)) }
                value = value << 7 | UInt64(byte & 0x7F)
                if byte & 0x80 == 0 { return Int64(bitPattern: value) }
            }
            return nil
        }

        /// The columns of a record that begins here.
        mutating func fields() -> [Field]? {
            let start = offset
            guard let length = varint(), length > 0, length <= Int64(bytes.count - start) else { return nil }
            var types: [Int64] = []
            while offset < start + Int(length) {
                guard let type = varint(), type >= 0 else { return nil }
                types.append(type)
            }
            var fields: [Field] = []
            for type in types {
                guard let field = field(type) else { return nil }
                fields.append(field)
            }
            return fields
        }

        private mutating func field(_ type: Int64) -> Field? {
            switch type {
            case 0: return .null
            case 8: return .number(0)
            case 9: return .number(1)
            case 1...6:
                let width = [1, 2, 3, 4, 6, 8][Int(type) - 1]
                return take(width).map { bytes in
                    let isNegative = bytes[0] & 0x80 != 0
                    let value = bytes.reduce(isNegative ? UInt64.max : 0) { $0 << 8 | UInt64($1) }
                    return .number(Int64(bitPattern: value))
                }
            case 12...: return take((Int(clamping: type) - 12) / 2).map(Field.bytes)
            default: return nil
            }
        }
    }

    /// The header in a row of the table `batch`; `nil` when it is none or not what was written.
    static func header(_ row: Int64, _ fields: [Field], segment: Int64) -> BatchHeader? {
        guard fields.count == 14, row > 0, row <= 0xFFFF_FFFF, case .bytes(let digest) = fields[11],
            case .number(let checksum) = fields[12], case .bytes(let payload) = fields[13]
        else { return nil }
        let numbers = fields[1...10].compactMap { field -> Int64? in
            guard case .number(let number) = field else { return nil }
            return number
        }
        guard numbers.count == 10, let machine = Int32(exactly: numbers[2]), let format = Int16(exactly: numbers[3]),
            numbers[5] <= numbers[6]
        else { return nil }
        let header = BatchHeader(
            position: SpoolPosition(segment: segment, row: row), id: BatchID(origin: numbers[0], number: numbers[1]),
            machine: machine, format: format, records: Int(numbers[4]), bytes: payload.count,
            times: Timestamp(microseconds: numbers[5])...Timestamp(microseconds: numbers[6]),
            acceptedAt: Timestamp(microseconds: numbers[7]),
            parent: numbers[9] == 0 ? nil : BatchID(origin: numbers[8], number: numbers[9]), digest: digest)
        return Int64(header.checksum) == checksum ? header : nil
    }

    /// What the row of the table `extent` says.
    static func extent(_ fields: [Field]) -> Int64? {
        guard fields.count == 3, case .number(let rows) = fields[1], case .number(let checksum) = fields[2],
            Int64(SpoolSegment.extentChecksum(rows)) == checksum
        else { return nil }
        return rows
    }

    /// A row of the table `progress`.
    static func progress(_ row: Int64, _ fields: [Field]) -> SpoolProgress? {
        guard fields.count == 5, case .number(let state) = fields[1], case .number(let at) = fields[2],
            case .number(let attempts) = fields[3], case .number(let checksum) = fields[4],
            let settlement = SpoolBook.Settlement(rawValue: state)
        else { return nil }
        let entry = SpoolProgress(
            row: row, settlement: settlement, at: Timestamp(microseconds: at), attempts: attempts)
        return Int64(entry.checksum) == checksum ? entry : nil
    }
}
