/// One request of a ``ReadPlan``.
public struct PlannedRead: Hashable, Sendable {
    /// The table to read.
    public var table: DataTable
    /// The addresses to read, never more than one frame carries.
    public var range: AddressRange
    /// How many of the addresses belong to no span: read only because leaving them out would cost more.
    public var filler: Int

    init(table: DataTable, range: AddressRange, filler: Int) {
        self.table = table
        self.range = range
        self.filler = filler
    }
}

/// The requests that read a set of spans, in the order in which they are sent. A pure value: make it once, run it
/// every second.
public struct ReadPlan: Hashable, Sendable {
    /// The requests: tables in the order in which the spans first named them, ascending addresses within a table.
    public let requests: [PlannedRead]

    /// Tables that are read as another one, see ``ReadPlanner/aliases``.
    let aliases: [DataTable: DataTable]

    init(requests: [PlannedRead], aliases: [DataTable: DataTable] = [:]) {
        self.requests = requests
        self.aliases = aliases
    }

    /// A plan without a request.
    public static let empty = ReadPlan(requests: [])

    /// Registers read in all, filler included.
    public var registerCount: Int {
        count(bits: false) { $0.range.count }
    }

    /// Bits read in all, filler included.
    public var bitCount: Int {
        count(bits: true) { $0.range.count }
    }

    /// The position in ``requests`` of the request that reads all of `range`; nil when none does.
    public func index(of table: DataTable, _ range: AddressRange) -> Int? {
        let table = aliases[table] ?? table
        return requests.firstIndex { $0.table == table && $0.range.contains(range) }
    }

    func count(bits: Bool, _ amount: (PlannedRead) -> Int) -> Int {
        requests.reduce(0) { $0 + ($1.table.isBits == bits ? amount($1) : 0) }
    }
}
