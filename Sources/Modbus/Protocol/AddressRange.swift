/// One or more consecutive addresses of a table, all of them inside 0…65535.
///
/// A value of this type is always sound: an empty range, or one that runs past the last address, cannot be made.
public struct AddressRange: Hashable, Sendable {
    /// The first address, as it goes over the wire (zero-based).
    public let start: UInt16
    /// How many addresses follow the first one. Four bytes in all keep requests, of which a client holds many, small.
    private let following: UInt16

    /// Creates a range, or nil when `count` is less than 1 or the range would run past address 65535.
    public init?(start: UInt16, count: Int) {
        guard count >= 1, count <= ModbusLimits.addressSpace - Int(start) else { return nil }
        self.start = start
        self.following = UInt16(count - 1)
    }

    /// Creates the range of one single address.
    public init(_ address: UInt16) {
        self.start = address
        self.following = 0
    }

    /// Creates a range that is known to be sound because both ends are addresses.
    ///
    /// When `last` lies before `first` the range is `first` alone.
    init(first: UInt16, last: UInt16) {
        self.start = first
        self.following = last < first ? 0 : last - first
    }

    /// How many addresses, 1…65536.
    public var count: Int {
        Int(following) + 1
    }

    /// The last address of the range.
    public var last: UInt16 {
        UInt16(end - 1)
    }

    /// The address after the last one, 1…65536.
    public var end: Int {
        Int(start) + count
    }

    /// Whether every address of `other` is in this range.
    public func contains(_ other: AddressRange) -> Bool {
        start <= other.start && other.end <= end
    }

    /// Whether the two ranges share an address.
    public func overlaps(_ other: AddressRange) -> Bool {
        Int(start) < other.end && Int(other.start) < end
    }
}

extension AddressRange: CustomStringConvertible {
    /// `2002×116`: the first address and the count.
    public var description: String {
        "\(start)×\(count)"
    }
}
