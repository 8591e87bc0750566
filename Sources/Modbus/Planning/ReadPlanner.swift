/// Packs values into as few or as quick requests as possible. The result is exact: no other way to cut the sorted
/// spans into requests costs less.
public struct ReadPlanner: Hashable, Sendable {
    /// What "best" means.
    public enum Goal: Hashable, Sendable {
        /// As few requests as possible; among those the fewest registers. Right where the round trip dominates.
        case fewestRequests
        /// As little time as possible when a request of q registers takes `perRequest + q · perRegister`. A bit
        /// counts as a sixteenth of a register. `perRequest` 0…1 min, `perRegister` 0…1 s.
        case minimumTime(perRequest: Duration, perRegister: Duration)
    }

    /// Defaults to ``Goal/fewestRequests``.
    public var goal = Goal.fewestRequests
    /// The most registers one request may read, 1…125: some devices take less than the specification allows.
    /// Defaults to 125.
    public var maximumRegisters = ModbusLimits.maximumReadRegisters
    /// The most bits one request may read, 1…2000. Defaults to 2000.
    public var maximumBits = ModbusLimits.maximumReadBits
    /// Whether a request may also read addresses that belong to no span. Some devices answer 02 to a block with an
    /// address they do not have. Defaults to true.
    public var allowsHoles = true
    /// Addresses that no request may touch, because the device refuses or mistreats reads of them. Defaults to none.
    public var forbidden: [ReadSpan] = []
    /// Ranges that no request may contain whole, because the device refused such requests. Defaults to none.
    public var refused: [ReadSpan] = []
    /// Tables that are the same memory in this device as another table, and are read as that one: fewer requests
    /// reach the same values. Bits only as bits, registers only as registers. Defaults to none.
    public var aliases: [DataTable: DataTable] = [:]
    /// The most addresses of one request in tables for which less was learnt than is configured.
    var learnt: [DataTable: Int] = [:]

    /// The ``aliases`` of a device with one space of registers and one of bits, read with functions 03 and 01.
    public static let oneSpace: [DataTable: DataTable] = [
        .inputRegisters: .holdingRegisters, .discreteInputs: .coils,
    ]

    /// A planner with all defaults.
    public init() {}

    /// Plans the requests that read all of `spans`. Spans may overlap and repeat.
    ///
    /// - Throws: ``ModbusError/Code/invalidRequest(_:)`` naming the span that cannot be read in one request, or what
    ///   is wrong with the planner.
    public func plan(_ spans: [ReadSpan]) throws(ModbusError) -> ReadPlan {
        try validate()
        var tables: [DataTable] = []
        var ranges: [DataTable: [AddressRange]] = [:]
        for span in spans {
            let table = asked(for: span.table)
            if ranges[table] == nil { tables.append(table) }
            ranges[table, default: []].append(span.range)
        }
        var requests: [PlannedRead] = []
        for table in tables {
            let packing = packing(of: table)
            for range in ranges[table] ?? [] { try check(range, in: packing) }
            requests += packing.cut(ranges[table] ?? [])
        }
        return ReadPlan(requests: requests, aliases: aliases)
    }

    /// The table whose function reads `table`.
    func asked(for table: DataTable) -> DataTable {
        aliases[table] ?? table
    }

    /// The most addresses of `table` one request may read.
    func limit(of table: DataTable) -> Int {
        min(table.isBits ? maximumBits : maximumRegisters, learnt[table] ?? .max)
    }

    private func packing(of table: DataTable) -> SpanPacking {
        SpanPacking(
            table: table, limit: limit(of: table), allowsHoles: allowsHoles,
            reach: Reach(
                forbidden: forbidden.filter { asked(for: $0.table) == table }.map(\.range),
                refused: refused.filter { asked(for: $0.table) == table }.map(\.range)),
            price: Price(goal, bits: table.isBits))
    }

    private func validate() throws(ModbusError) {
        var problems: [String] = []
        if !(1...ModbusLimits.maximumReadRegisters).contains(maximumRegisters) {
            problems.append("maximumRegisters is \(maximumRegisters); allowed are 1 to 125")
        }
        if !(1...ModbusLimits.maximumReadBits).contains(maximumBits) {
            problems.append("maximumBits is \(maximumBits); allowed are 1 to 2000")
        }
        if case .minimumTime(let perRequest, let perRegister) = goal {
            if perRequest < .zero || perRequest > .seconds(60) {
                problems.append("perRequest is \(perRequest); allowed are 0 to 1 min")
            }
            if perRegister < .zero || perRegister > .seconds(1) {
                problems.append("perRegister is \(perRegister); allowed are 0 to 1 s")
            }
        }
        for (table, other) in aliases where table.isBits != other.isBits || asked(for: other) != other {
            problems.append("\(table) cannot be read as \(other)")
        }
        guard problems.isEmpty else {
            throw ModbusError(.invalidRequest("read planner: " + problems.joined(separator: "; ")))
        }
    }

    private func check(_ range: AddressRange, in packing: SpanPacking) throws(ModbusError) {
        let function = packing.table.readFunction
        let place = ReadSpan(packing.table, range)
        guard range.count <= packing.limit else {
            throw ModbusError(
                .invalidRequest("the value at \(place) does not fit into one request of at most \(packing.limit)"),
                function: function, range: range)
        }
        guard range.end <= packing.reach.end(from: range.start) else {
            throw ModbusError(
                .invalidRequest("the value at \(place) touches addresses that must not be read"),
                function: function, range: range)
        }
    }
}
