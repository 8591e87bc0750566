/// The number of a parameter within its machine, as the register map assigns it. It is part of every recorded row, so
/// it must never be given to another parameter.
public struct ParameterID: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    public var rawValue: Int32

    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    public static func < (left: ParameterID, right: ParameterID) -> Bool {
        left.rawValue < right.rawValue
    }

    public var description: String { String(rawValue) }
}
