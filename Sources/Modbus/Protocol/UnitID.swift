/// The device behind a TCP connection that a request is meant for (Messaging on TCP/IP V1.0b §3.1.3, "unit
/// identifier").
///
/// A device that is reached directly answers to ``direct`` or to any value; behind a gateway 1…247 name the serial
/// devices.
public struct UnitID: RawRepresentable, Hashable, Sendable {
    public var rawValue: UInt8

    public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// Creates a unit identifier from its number, 0…255.
    public init(_ number: UInt8) {
        self.init(rawValue: number)
    }

    /// 0: broadcast on a serial line. On TCP an ordinary unit.
    public static let zero = UnitID(0)
    /// 1: what most devices expect.
    public static let one = UnitID(1)
    /// 255: the device at the other end of the TCP connection itself.
    public static let direct = UnitID(255)
}

extension UnitID: CustomStringConvertible {
    public var description: String {
        "unit \(rawValue)"
    }
}

extension UnitID: ExpressibleByIntegerLiteral {
    public init(integerLiteral value: UInt8) {
        self.init(value)
    }
}
