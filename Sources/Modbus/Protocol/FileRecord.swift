/// Consecutive records of a file, to be read (MODBUS Application Protocol V1.1b3 §6.14). A record is one 16-bit word.
///
/// A value of this type is always sound.
public struct FileRecordRange: Hashable, Sendable {
    /// The file, 1…65535.
    public let file: UInt16
    /// The first record, 0…9999.
    public let start: UInt16
    /// How many records, 1…124.
    public let count: Int

    /// Creates a range, or nil when the file is 0, `count` is not 1…124, or a record after 9999 would belong to it.
    public init?(file: UInt16, start: UInt16, count: Int) {
        guard file != 0, (1...ModbusLimits.maximumFileRecords).contains(count),
            Int(start) + count <= ModbusLimits.fileRecordSpace
        else { return nil }
        self.file = file
        self.start = start
        self.count = count
    }

    /// The record after the last one, 1…10000.
    public var end: Int {
        Int(start) + count
    }
}

extension FileRecordRange: CustomStringConvertible {
    /// `file 4 1×2`.
    public var description: String {
        "file \(file) \(start)×\(count)"
    }
}

/// Consecutive records of a file with their values, to be written (§6.15).
///
/// A value of this type is always sound.
public struct FileRecord: Hashable, Sendable {
    /// The file, 1…65535.
    public let file: UInt16
    /// The first record, 0…9999.
    public let start: UInt16
    /// One value per record, 1…122.
    public let values: [UInt16]

    /// Creates the records, or nil when the file is 0, there are not 1…122 values, or a record after 9999 would
    /// belong to them.
    public init?(file: UInt16, start: UInt16, values: [UInt16]) {
        guard file != 0, (1...ModbusLimits.maximumFileRecordsWritten).contains(values.count),
            Int(start) + values.count <= ModbusLimits.fileRecordSpace
        else { return nil }
        self.file = file
        self.start = start
        self.values = values
    }
}
