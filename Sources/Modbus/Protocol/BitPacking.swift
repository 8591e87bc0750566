import NIOCore

/// Bits on the wire: eight to a byte, the lowest address in the lowest bit, unused high bits of the last byte zero
/// (MODBUS Application Protocol V1.1b3 §6.1, §6.11).
enum BitPacking {
    static func write(_ bits: [Bool], to buffer: inout ByteBuffer) {
        var byte: UInt8 = 0
        for (offset, bit) in bits.enumerated() {
            if bit { byte |= 1 << UInt8(offset & 7) }
            if offset & 7 == 7 {
                buffer.writeInteger(byte)
                byte = 0
            }
        }
        if bits.count & 7 != 0 { buffer.writeInteger(byte) }
    }

    /// The bits of `bytes`, nil when the number of bytes is not the one that `count` bits need, or when an unused
    /// bit is set.
    static func read(_ bytes: ByteBufferView, count: Int) -> [Bool]? {
        guard bytes.count == ModbusLimits.byteCount(forBits: count) else { return nil }
        if count & 7 != 0, let last = bytes.last, last >> UInt8(count & 7) != 0 { return nil }
        var bits: [Bool] = []
        bits.reserveCapacity(count)
        for byte in bytes {
            for position in 0..<UInt8(min(8, count - bits.count)) {
                bits.append(byte & (1 << position) != 0)
            }
        }
        return bits
    }
}

/// Registers on the wire: 16 bits each, high byte first (§4.2).
enum RegisterPacking {
    static func write(_ registers: [UInt16], to buffer: inout ByteBuffer) {
        // In one access: register by register, the checks of the buffer cost more than the rest of an answer.
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 2 * registers.count) { room in
            for (index, register) in registers.enumerated() {
                room.storeBytes(of: register.bigEndian, toByteOffset: 2 * index, as: UInt16.self)
            }
            return 2 * registers.count
        }
    }

    /// The registers of `bytes`, nil when the number of bytes is not the one that `count` registers need.
    static func read(_ bytes: ByteBufferView, count: Int) -> [UInt16]? {
        guard bytes.count == 2 * count else { return nil }
        return bytes.withUnsafeBytes { raw in
            [UInt16](unsafeUninitializedCapacity: count) { words, initialized in
                for index in 0..<count {
                    words[index] = UInt16(raw[2 * index]) << 8 | UInt16(raw[2 * index + 1])
                }
                initialized = count
            }
        }
    }
}
