/// The checksum of a serial line's frames: CRC-16, sent low byte first (MODBUS over Serial Line V1.02 §6.2.2).
enum RTUChecksum {
    private static let polynomial: UInt16 = 0xA001

    private static let table: [UInt16] = (0..<256).map { index in
        (0..<8).reduce(UInt16(index)) { value, _ in value & 1 == 0 ? value >> 1 : value >> 1 ^ polynomial }
    }

    static func of(_ bytes: some Sequence<UInt8>) -> UInt16 {
        bytes.reduce(0xFFFF) { checksum, byte in
            checksum >> 8 ^ table[Int(UInt8(truncatingIfNeeded: checksum) ^ byte)]
        }
    }
}
