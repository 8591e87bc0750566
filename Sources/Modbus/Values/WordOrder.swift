/// In which order a device puts the bytes of a 32-bit or 64-bit value into its registers. `a` is the most significant
/// byte; the specification leaves this to the device.
public enum WordOrder: Hashable, Sendable, CaseIterable {
    /// High word first, high byte first: 123456.0 is `47F1 2000`. With 64 bits ABCDEFGH.
    case abcd
    /// High word first, bytes swapped: `F147 0020`. With 64 bits BADCFEHG.
    case badc
    /// Low word first: `2000 47F1`. With 64 bits GHEFCDAB.
    case cdab
    /// Low word first, bytes swapped: `0020 F147`. With 64 bits HGFEDCBA.
    case dcba

    private var swapsBytes: Bool {
        self == .badc || self == .dcba
    }

    private var swapsWords: Bool {
        self == .cdab || self == .dcba
    }

    /// The 32-bit value of two consecutive registers.
    ///
    /// - Parameters:
    ///   - first: the register at the lower address.
    ///   - second: the register after it.
    public func combine(_ first: UInt16, _ second: UInt16) -> UInt32 {
        let (high, low) = swapsWords ? (second, first) : (first, second)
        return swapsBytes
            ? UInt32(high.byteSwapped) << 16 | UInt32(low.byteSwapped) : UInt32(high) << 16 | UInt32(low)
    }

    /// The 64-bit value of four consecutive registers, the one at the lowest address first.
    public func combine(_ first: UInt16, _ second: UInt16, _ third: UInt16, _ fourth: UInt16) -> UInt64 {
        let (upper, lower) = (combine(first, second), combine(third, fourth))
        return swapsWords ? UInt64(lower) << 32 | UInt64(upper) : UInt64(upper) << 32 | UInt64(lower)
    }

    /// The two registers that hold `value`, lower address first.
    public func split(_ value: UInt32) -> (UInt16, UInt16) {
        let high = UInt16(truncatingIfNeeded: value >> 16)
        let low = UInt16(truncatingIfNeeded: value)
        let (first, second) = swapsWords ? (low, high) : (high, low)
        return swapsBytes ? (first.byteSwapped, second.byteSwapped) : (first, second)
    }

    /// The four registers that hold `value`, lowest address first.
    public func split(_ value: UInt64) -> (UInt16, UInt16, UInt16, UInt16) {
        let high = split(UInt32(truncatingIfNeeded: value >> 32))
        let low = split(UInt32(truncatingIfNeeded: value))
        return swapsWords ? (low.0, low.1, high.0, high.1) : (high.0, high.1, low.0, low.1)
    }
}
