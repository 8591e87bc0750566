/// The sizes the specification fixes, each derived from the one before it where that is possible.
///
/// MODBUS Application Protocol V1.1b3 §4.1 (PDU size) and §6.1 to §6.21 (quantities); MODBUS Messaging on TCP/IP
/// V1.0b §3.1.3 (MBAP header).
public enum ModbusLimits {
    /// Addresses of one table: 0…65535.
    public static let addressSpace = 65_536
    /// Largest protocol data unit (function code and data), in bytes.
    public static let maximumPDUSize = 253
    /// Transaction, protocol and length fields: what must have arrived before a header can be judged, in bytes.
    public static let headerPrefixSize = 6
    /// The prefix and the unit identifier, in bytes.
    public static let headerSize = headerPrefixSize + 1
    /// Largest application data unit on TCP, in bytes.
    public static let maximumADUSize = headerSize + maximumPDUSize
    /// What the header's length field may say: the unit identifier and a PDU of at least one byte.
    public static let headerLengths = 2...(1 + maximumPDUSize)
    /// Most bits one read may ask for.
    public static let maximumReadBits = 2000
    /// Most registers one read may ask for.
    public static let maximumReadRegisters = 125
    /// Most coils one write may carry.
    public static let maximumWriteCoils = 1968
    /// Most registers one write may carry.
    public static let maximumWriteRegisters = 123
    /// Most registers function 23 may write; it reads as many as a read (§6.17).
    public static let maximumReadWriteRegisters = 121
    /// Most words a FIFO queue may hold to be read (§6.18).
    public static let maximumFIFOCount = 31
    /// Most data of a raw request or answer, in bytes.
    public static let maximumRawData = maximumPDUSize - 1
    /// Most data of a server ID, additional data included, in bytes: what a PDU holds behind its byte count (§6.13).
    public static let maximumServerIDSize = maximumPDUSize - 2
    /// Most words of function 08: what a PDU holds behind the sub-function (§6.8).
    public static let maximumDiagnosticWords = (maximumPDUSize - 3) / 2
    /// Records of one file: 0…9999 (§6.14).
    public static let fileRecordSpace = 10_000
    /// What the byte count of a file read may be: 1…35 sub-requests of 7 bytes (§6.14).
    static let fileReadByteCounts = 7...0xF5
    /// Most records one sub-request may read: what an answer holds behind byte count, length and reference type.
    public static let maximumFileRecords = (maximumPDUSize - 4) / 2
    /// What the byte count of a file write may be (§6.15).
    static let fileWriteByteCounts = 9...0xFB
    /// Most records one sub-request may write.
    public static let maximumFileRecordsWritten = (maximumPDUSize - 2 - 7) / 2
    /// Bytes of an identification's objects, ids and lengths included: what a PDU holds behind its head (§6.21).
    static let maximumIdentificationObjects = maximumPDUSize - 7
    /// Most bytes of one identification object.
    public static let maximumIdentificationObject = maximumIdentificationObjects - 2

    /// Bytes that hold `count` bits, eight to a byte.
    static func byteCount(forBits count: Int) -> Int {
        (count + 7) / 8
    }
}
