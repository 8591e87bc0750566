/// The sizes the specification fixes, each derived from the one before it where that is possible.
///
/// MODBUS Application Protocol V1.1b3 §4.1 (PDU size) and §6.1 to §6.12 (quantities); MODBUS Messaging on TCP/IP
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

    /// Bytes that hold `count` bits, eight to a byte.
    static func byteCount(forBits count: Int) -> Int {
        (count + 7) / 8
    }
}
