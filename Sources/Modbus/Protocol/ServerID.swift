/// What function 17 brings (MODBUS Application Protocol V1.1b3 §6.13).
///
/// Where the identifier ends is known to nobody but the device: on the wire all of it is one row of bytes.
public struct ServerID: Hashable, Sendable {
    /// Names the kind of device; the length is the device's own.
    public var identifier: [UInt8]
    /// The run indicator.
    public var isRunning: Bool
    /// Whatever else the device tells.
    public var additionalData: [UInt8]

    public init(identifier: [UInt8], isRunning: Bool = true, additionalData: [UInt8] = []) {
        self.identifier = identifier
        self.isRunning = isRunning
        self.additionalData = additionalData
    }

    /// Takes an answer's bytes apart, or nil when they are fewer than the identifier and the run indicator, or when
    /// the indicator is neither 00 nor FF.
    ///
    /// - Parameter identifierLength: bytes of the identifier. Defaults to 1, what most devices have.
    public init?(bytes: [UInt8], identifierLength: Int = 1) {
        guard identifierLength >= 0, bytes.count > identifierLength else { return nil }
        switch bytes[identifierLength] {
        case 0x00: isRunning = false
        case 0xFF: isRunning = true
        default: return nil
        }
        identifier = Array(bytes[..<identifierLength])
        additionalData = Array(bytes[(identifierLength + 1)...])
    }

    /// The row of bytes, at most 251 of which a frame can carry.
    public var bytes: [UInt8] {
        identifier + [isRunning ? 0xFF : 0x00] + additionalData
    }
}
