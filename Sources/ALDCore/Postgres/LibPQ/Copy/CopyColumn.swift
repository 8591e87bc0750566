/// One column of rows that are to be copied, read from its array.
struct CopyColumn {
    private let value: PostgresValue
    let count: Int
    /// Where the next element of an already encoded array begins.
    private var position = 0
    /// Which one that is.
    private var element = 0

    /// - Returns: `nil` when the value is no array.
    init?(_ value: PostgresValue) {
        self.value = value
        switch value {
        case .int2Array(let values): count = values.count
        case .int4Array(let values): count = values.count
        case .int8Array(let values): count = values.count
        case .float8Array(let values): count = values.count
        case .timestamptzArray(let values): count = values.count
        case .textArray(let values): count = values.count
        case .array(let array): count = array.count
        default: return nil
        }
    }

    /// Bytes of every value of these rows, if they all have the same and none is null.
    func fixedWidth(_ rows: Range<Int>) -> Int? {
        switch value {
        case .int2Array: 2
        case .int4Array: 4
        case .int8Array, .timestamptzArray: 8
        case .float8Array(let values): values[rows].contains { $0 == nil } ? nil : 8
        case .array(let array): array.hasNulls ? nil : Self.widths[array.elementType]
        default: nil
        }
    }

    private static let widths: [PostgresType: Int] = [
        .bool: 1, .int2: 2, .int4: 4, .float4: 4, .int8: 8, .float8: 8, .timestamptz: 8, .uuid: 16,
    ]

    // MARK: Column by column

    /// Writes length and value of every row, `stride` bytes apart. Only with a ``fixedWidth(_:)``.
    ///
    /// - Throws: ``PostgresError/Code/encodingFailed``; some of the rows are written then.
    func fill(_ base: UnsafeMutableRawPointer, stride: Int, _ rows: Range<Int>) throws(PostgresError) {
        switch value {
        case .int2Array(let values): Self.store(values, base, stride, rows) { $0 }
        case .int4Array(let values): Self.store(values, base, stride, rows) { $0 }
        case .int8Array(let values): Self.store(values, base, stride, rows) { $0 }
        case .float8Array(let values): Self.store(values, base, stride, rows) { ($0 ?? .nan).bitPattern }
        case .timestamptzArray(let values):
            for index in rows { _ = try values[index].postgresMicroseconds }
            Self.store(values, base, stride, rows) { $0.microseconds &- Timestamp.postgresEpochMicroseconds }
        case .array(let array):
            let size = 4 + (Self.widths[array.elementType] ?? 0)
            array.elements.withUnsafeBytes { elements in
                for (row, index) in rows.enumerated() {
                    let source = elements[(index * size)..<((index + 1) * size)]
                    UnsafeMutableRawBufferPointer(start: base + row * stride, count: size).copyBytes(from: source)
                }
            }
        default: break
        }
    }

    @inline(__always)
    private static func store<Element, Number: FixedWidthInteger>(
        _ values: [Element], _ base: UnsafeMutableRawPointer, _ stride: Int, _ rows: Range<Int>,
        _ number: (Element) -> Number
    ) {
        let length = Int32(MemoryLayout<Number>.size).bigEndian
        var place = base
        values.withUnsafeBufferPointer { values in
            for index in rows {
                place.storeBytes(of: length, as: Int32.self)
                place.storeBytes(of: number(values[index]).bigEndian, toByteOffset: 4, as: Number.self)
                place += stride
            }
        }
    }

    // MARK: Row by row

    /// Writes length and value of one row. Rows must be asked for in order.
    mutating func append(_ index: Int, to writer: inout BinaryWriter) throws(PostgresError) {
        switch value {
        case .int2Array(let values): try PostgresValue.int2(values[index]).encodeWithLength(into: &writer)
        case .int4Array(let values): try PostgresValue.int4(values[index]).encodeWithLength(into: &writer)
        case .int8Array(let values): try PostgresValue.int8(values[index]).encodeWithLength(into: &writer)
        case .float8Array(let values):
            try (values[index].map(PostgresValue.float8) ?? .null).encodeWithLength(into: &writer)
        case .timestamptzArray(let values):
            try PostgresValue.timestamptz(values[index]).encodeWithLength(into: &writer)
        case .textArray(let values): try PostgresValue.text(values[index]).encodeWithLength(into: &writer)
        case .array(let array): appendElement(index, of: array, to: &writer)
        default: writer.append(CopyFormat.null)
        }
    }

    private mutating func appendElement(_ index: Int, of array: PostgresArray, to writer: inout BinaryWriter) {
        array.elements.withUnsafeBytes { elements in
            // Blocks that went column by column have left the position behind.
            while element < index { advance(elements) }
            let start = position
            advance(elements)
            writer.append(contentsOf: UnsafeRawBufferPointer(rebasing: elements[start..<position]))
        }
    }

    private mutating func advance(_ elements: UnsafeRawBufferPointer) {
        let length = Int32(bigEndian: elements.loadUnaligned(fromByteOffset: position, as: Int32.self))
        position += 4 + max(0, Int(length))
        element += 1
    }
}
