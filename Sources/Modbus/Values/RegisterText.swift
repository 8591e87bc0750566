/// How characters lie in registers.
public struct RegisterText: Hashable, Sendable {
    /// Which bytes of a register hold characters, and in which order.
    public enum Packing: Hashable, Sendable, CaseIterable {
        /// Two characters, the first in the high byte.
        case highByteFirst
        /// Two characters, the first in the low byte.
        case lowByteFirst
        /// One character in the high byte; the low byte is something else.
        case highByteOnly
        /// One character in the low byte; the high byte is something else.
        case lowByteOnly
    }

    /// What fills the room behind a text that is shorter. When read, both end the text.
    public enum Padding: UInt8, Hashable, Sendable {
        case nul = 0x00
        case space = 0x20
    }

    /// How many registers there are, 1…125.
    public var registers: Int
    /// Which bytes hold characters. Defaults to both, high byte first.
    public var packing: Packing
    /// What is written behind a shorter text. Defaults to NUL.
    public var padding: Padding

    public init(registers: Int, packing: Packing = .highByteFirst, padding: Padding = .nul) {
        self.registers = registers
        self.packing = packing
        self.padding = padding
    }

    var usesBothBytes: Bool {
        packing == .highByteFirst || packing == .lowByteFirst
    }

    /// The most bytes a text may have.
    public var capacity: Int {
        usesBothBytes ? 2 * registers : registers
    }

    /// The text up to the first NUL, without spaces at its end.
    func decode(_ words: ArraySlice<UInt16>) throws(RegisterValueError) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(capacity)
        for word in words {
            let (high, low) = (UInt8(word >> 8), UInt8(truncatingIfNeeded: word))
            switch packing {
            case .highByteFirst: bytes += [high, low]
            case .lowByteFirst: bytes += [low, high]
            case .highByteOnly: bytes.append(high)
            case .lowByteOnly: bytes.append(low)
            }
        }
        var text = bytes.prefix { $0 != Padding.nul.rawValue }
        while text.last == Padding.space.rawValue { text.removeLast() }
        guard let string = String(validating: text, as: UTF8.self) else { throw .invalidText }
        return string
    }

    /// - Parameter current: the registers whose other bytes stay; needed unless both bytes are used.
    func encode(_ string: String, over current: [UInt16]?) throws(RegisterValueError) -> [UInt16] {
        var bytes = Array(string.utf8)
        guard bytes.count <= capacity else { throw .textTooLong(bytes: bytes.count, room: capacity) }
        guard !bytes.contains(Padding.nul.rawValue), bytes.last != Padding.space.rawValue else {
            throw .textNotReadable
        }
        bytes += Array(repeating: padding.rawValue, count: capacity - bytes.count)
        let old = current ?? Array(repeating: 0, count: registers)
        return (0..<registers).map { index in
            switch packing {
            case .highByteFirst: UInt16(bytes[2 * index]) << 8 | UInt16(bytes[2 * index + 1])
            case .lowByteFirst: UInt16(bytes[2 * index + 1]) << 8 | UInt16(bytes[2 * index])
            case .highByteOnly: UInt16(bytes[index]) << 8 | old[index] & 0x00FF
            case .lowByteOnly: UInt16(bytes[index]) | old[index] & 0xFF00
            }
        }
    }
}
