/// One value of a device: the addresses that must arrive in the same answer, never torn across two requests.
public struct ReadSpan: Hashable, Sendable {
    /// The table the value lies in.
    public var table: DataTable
    /// Its addresses: one bit, or as many registers as the value has words.
    public var range: AddressRange

    public init(_ table: DataTable, _ range: AddressRange) {
        self.table = table
        self.range = range
    }
}

extension ReadSpan: CustomStringConvertible {
    public var description: String {
        "\(table) \(range)"
    }
}
