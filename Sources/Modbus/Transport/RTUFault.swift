/// Why a stream of RTU frames cannot be followed any further.
enum RTUFault: Error, Hashable, CustomStringConvertible {
    /// The checksum is not that of the bytes before it.
    case checksum(UInt16, expected: UInt16)
    /// The length of a frame with this function is not known.
    case function(UInt8)
    /// The frame says it is longer than any frame may be.
    case length(Int)
    /// An answer came, and nothing was asked.
    case unexpected
    /// An answer of another unit or function than was asked.
    case mismatch(unit: UInt8, function: UInt8)
    /// A request while an answer is owed.
    case busy

    var description: String {
        switch self {
        case .checksum(let found, let expected):
            "an RTU frame with checksum \(Self.hex(found)) where \(Self.hex(expected)) was expected"
        case .function(let function): "an RTU frame with function \(function), whose length is not known"
        case .length(let length): "an RTU frame with a PDU of \(length) bytes"
        case .unexpected: "an RTU frame that nobody asked for"
        case .mismatch(let unit, let function):
            "an RTU frame of unit \(unit) with function \(function), which was not asked"
        case .busy: "a second RTU request before the first was answered"
        }
    }

    private static func hex(_ value: UInt16) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: 4 - digits.count) + digits
    }
}
