/// The checksum of iSCSI and many storage formats (RFC 3720, appendix B.4): Castagnoli's polynomial, reflected.
///
/// It finds accidents, not malice: any burst of up to 32 changed bits, and all but one in four thousand million others.
struct CRC32C {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in
            value & 1 == 1 ? (value >> 1) ^ 0x82F6_3B78 : value >> 1
        }
    }

    private var state: UInt32 = .max

    init() {}

    /// The checksum of everything added so far.
    var value: UInt32 { ~state }

    mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { state = (state >> 8) ^ Self.table[Int((state ^ UInt32(byte)) & 0xFF)] }
    }

    /// Adds a number as its eight bytes, big-endian.
    mutating func add(_ number: Int64) {
        withUnsafeBytes(of: number.bigEndian) { add($0) }
    }
}
