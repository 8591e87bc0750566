import NIOCore

// Sub-requests of functions 20 and 21 on the wire (MODBUS Application Protocol V1.1b3 §6.14, §6.15). Both are behind
// one byte count; each begins with reference type 06, file, first record and number of records.

extension FileRecordRange {
    /// Size of the PDU that answers a request for `ranges`, in bytes.
    static func answerSize(_ ranges: [FileRecordRange]) -> Int {
        ranges.reduce(2) { $0 + 2 + 2 * $1.count }
    }

    static func write(_ ranges: [FileRecordRange], to buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(truncatingIfNeeded: ModbusRequest.fileReadSize * ranges.count))
        for range in ranges {
            buffer.writeInteger(ModbusRequest.fileReferenceType)
            buffer.writeMultipleIntegers(range.file, range.start, UInt16(truncatingIfNeeded: range.count))
        }
    }

    /// Sub-requests that fill `rest`, their byte count in front.
    static func read(_ rest: inout ByteBuffer) throws(ModbusException) -> [FileRecordRange] {
        let size = ModbusRequest.fileReadSize
        guard let byteCount = rest.readInteger(as: UInt8.self).map(Int.init), byteCount == rest.readableBytes,
            ModbusLimits.fileReadByteCounts.contains(byteCount), byteCount.isMultiple(of: size)
        else { throw .illegalDataValue }
        var ranges: [FileRecordRange] = []
        var isPlaced = true
        var answerSize = 2
        for _ in 0..<(byteCount / size) {
            guard let head = FileHead(&rest), head.count >= 1 else { throw .illegalDataValue }
            answerSize += 2 + 2 * Int(head.count)
            guard answerSize <= ModbusLimits.maximumPDUSize else { throw .illegalDataValue }
            if head.isRecord, let range = FileRecordRange(file: head.file, start: head.start, count: Int(head.count)) {
                ranges.append(range)
            } else {
                isPlaced = false
            }
        }
        guard isPlaced else { throw .illegalDataAddress }
        return ranges
    }
}

extension FileRecord {
    /// Size of all of `records` on the wire, in bytes.
    static func size(_ records: [FileRecord]) -> Int {
        records.reduce(0) { $0 + ModbusRequest.fileReadSize + 2 * $1.values.count }
    }

    static func write(_ records: [FileRecord], to buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(truncatingIfNeeded: size(records)))
        for record in records {
            buffer.writeInteger(ModbusRequest.fileReferenceType)
            buffer.writeMultipleIntegers(record.file, record.start, UInt16(truncatingIfNeeded: record.values.count))
            RegisterPacking.write(record.values, to: &buffer)
        }
    }

    /// Sub-requests that fill `rest`, their byte count in front.
    static func read(_ rest: inout ByteBuffer) throws(ModbusException) -> [FileRecord] {
        guard let byteCount = rest.readInteger(as: UInt8.self).map(Int.init), byteCount == rest.readableBytes,
            ModbusLimits.fileWriteByteCounts.contains(byteCount)
        else { throw .illegalDataValue }
        var records: [FileRecord] = []
        var isPlaced = true
        while rest.readableBytes > 0 {
            guard let head = FileHead(&rest), head.count >= 1, let data = rest.readSlice(length: 2 * Int(head.count)),
                let values = RegisterPacking.read(data.readableBytesView, count: Int(head.count))
            else { throw .illegalDataValue }
            if head.isRecord, let record = FileRecord(file: head.file, start: head.start, values: values) {
                records.append(record)
            } else {
                isPlaced = false
            }
        }
        guard isPlaced else { throw .illegalDataAddress }
        return records
    }
}

extension FileRecord {
    /// The answer to a read: of each group its length, the reference type and the values.
    static func write(_ groups: [[UInt16]], to buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt8(truncatingIfNeeded: groups.reduce(0) { $0 + 2 + 2 * $1.count }))
        for group in groups {
            buffer.writeMultipleIntegers(
                UInt8(truncatingIfNeeded: 1 + 2 * group.count), ModbusRequest.fileReferenceType)
            RegisterPacking.write(group, to: &buffer)
        }
    }

    /// The groups of an answer that fills `rest`; each must have as many values as were asked for.
    static func read(
        _ rest: inout ByteBuffer, answering ranges: [FileRecordRange]
    ) throws(ResponseMismatch) -> [[UInt16]] {
        guard rest.readInteger(as: UInt8.self).map(Int.init) == rest.readableBytes else {
            throw ResponseMismatch("file records whose byte count is not their size")
        }
        var groups: [[UInt16]] = []
        groups.reserveCapacity(ranges.count)
        for range in ranges {
            guard let (length, type) = rest.readMultipleIntegers(as: (UInt8, UInt8).self),
                Int(length) == 1 + 2 * range.count, type == ModbusRequest.fileReferenceType,
                let data = rest.readSlice(length: 2 * range.count),
                let values = RegisterPacking.read(data.readableBytesView, count: range.count)
            else { throw ResponseMismatch("a group of file records that is not \(range)") }
            groups.append(values)
        }
        guard rest.readableBytes == 0 else { throw ResponseMismatch("more file records than were asked for") }
        return groups
    }
}

/// What every sub-request begins with.
private struct FileHead {
    let isRecord: Bool
    let file: UInt16
    let start: UInt16
    let count: UInt16

    init?(_ rest: inout ByteBuffer) {
        guard let type = rest.readInteger(as: UInt8.self),
            let (file, start, count) = rest.readMultipleIntegers(as: (UInt16, UInt16, UInt16).self)
        else { return nil }
        isRecord = type == ModbusRequest.fileReferenceType
        self.file = file
        self.start = start
        self.count = count
    }
}
