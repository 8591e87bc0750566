/// FNV-1a over everything that happens in a ``World``: two runs went the same way exactly when their digests agree.
public struct WorldDigest: Hashable, Sendable, CustomStringConvertible {
    public private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    public init() {}

    public mutating func mix(_ number: UInt64) {
        value = (value ^ number) &* 0x100_0000_01B3
    }

    public mutating func mix(_ text: String) {
        for byte in text.utf8 { mix(UInt64(byte)) }
        mix(UInt64(text.utf8.count) << 32)
    }

    public var description: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
