import Modbus

/// Where in the bytes of one direction of a connection ADUs of Modbus TCP begin, and with which function (MODBUS Messaging
/// on TCP/IP V1.0b §3.1.3): transaction, protocol 0, length of what follows, unit, function. Requests and answers look
/// alike. A value without I/O.
struct MBAPFraming: Sendable {
    struct ADU: Hashable, Sendable {
        /// Of its first byte, among the bytes that were given; negative when it began before them.
        var offset: Int
        /// That of an exception response has its highest bit set.
        var function: FunctionCode
    }

    private enum State {
        /// So many bytes of a header have come; `length` is what they say so far.
        case header(bytes: Int, length: Int)
        case body(left: Int)
        /// Encrypted, or not Modbus TCP.
        case unknown
    }

    private var state = State.header(bytes: 0, length: 0)

    /// Bytes of an ADU whose function has not come yet, 0…7.
    var undecided: Int {
        if case .header(let bytes, _) = state { bytes } else { 0 }
    }

    /// The ADUs whose functions are among these bytes.
    mutating func units(in bytes: [UInt8]) -> [ADU] {
        var units: [ADU] = []
        var index = 0
        while index < bytes.count {
            switch state {
            case .header(ModbusLimits.headerSize, let length):
                let function = FunctionCode(rawValue: bytes[index])
                guard Self.exists(function) else {
                    state = .unknown
                    return units
                }
                units.append(ADU(offset: index - ModbusLimits.headerSize, function: function))
                // Unit and function are among what follows.
                state = Self.after(left: length - 2)
            case .header(let count, let length):
                state = Self.after(bytes[index], bytes: count, length)
            case .body(let left):
                let step = min(left, bytes.count - index)
                state = Self.after(left: left - step)
                index += step - 1
            case .unknown:
                return units
            }
            index += 1
        }
        return units
    }

    /// - Parameter count: bytes of the header before this one.
    private static func after(_ byte: UInt8, bytes count: Int, _ length: Int) -> State {
        switch count {
        case 2, 3:
            byte == 0 ? .header(bytes: count + 1, length: 0) : .unknown
        case 4:
            .header(bytes: count + 1, length: Int(byte) << 8)
        case 5:
            ModbusLimits.headerLengths.contains(length | Int(byte))
                ? .header(bytes: count + 1, length: length | Int(byte)) : .unknown
        default:
            .header(bytes: count + 1, length: length)
        }
    }

    private static func after(left: Int) -> State {
        left == 0 ? .header(bytes: 0, length: 0) : .body(left: left)
    }

    /// Whether a request can have it, or an exception response to one (MODBUS Application Protocol V1.1b3 §4.1, §7).
    private static func exists(_ function: FunctionCode) -> Bool { function.rawValue & 0x7F != 0 }
}
