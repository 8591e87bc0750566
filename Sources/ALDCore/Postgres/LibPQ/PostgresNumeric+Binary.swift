extension PostgresNumeric {
    /// Count of digits, weight, kind, scale, then the digits: 16 bits each (`numeric_send` of the server).
    func encode(into writer: inout BinaryWriter) {
        writer.append(Int16(truncatingIfNeeded: digits.count))
        writer.append(weight)
        writer.append(kind.rawValue)
        writer.append(scale)
        for digit in digits { writer.append(digit) }
    }

    init?(binary bytes: UnsafeRawBufferPointer) {
        func number(_ index: Int) -> UInt16 {
            UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self))
        }
        guard bytes.count >= 8, let kind = Kind(rawValue: number(2)) else { return nil }
        let count = Int(number(0))
        guard bytes.count == 8 + 2 * count, number(3) <= Self.maximumScale else { return nil }
        let digits = (0..<count).map { Int16(bitPattern: number(4 + $0)) }
        guard digits.allSatisfy({ (0..<Self.base).contains($0) }) else { return nil }
        guard kind == .positive || kind == .negative else {
            self = kind == .nan ? .nan : kind == .infinity ? .infinity : .negativeInfinity
            return
        }
        self.init(kind: kind, digits: digits, weight: Int(Int16(bitPattern: number(1))), scale: number(3))
    }
}

extension PostgresNumeric: PostgresDecodable {
    /// From numeric, and from the integer types, which fit.
    public static func decode(_ cell: PostgresCell) throws(PostgresError) -> PostgresNumeric {
        guard !cell.isNull else { throw cell.mismatch("PostgresNumeric") }
        if cell.type != .numeric { return PostgresNumeric(try Int64.decode(cell)) }
        guard let value = cell.withBytes({ PostgresNumeric(binary: $0) }) else {
            throw cell.mismatch("PostgresNumeric", "it is malformed")
        }
        return value
    }
}
