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
            try check(span)
            if ranges[span.table] == nil { tables.append(span.table) }
            ranges[span.table, default: []].append(span.range)
        }
        var requests: [PlannedRead] = []
        for table in tables {
            requests += packing(of: table).cut(ranges[table] ?? [])
        }
        return ReadPlan(requests: requests)
    }

    /// The most addresses of `table` one request may read.
    func limit(of table: DataTable) -> Int {
        table.isBits ? maximumBits : maximumRegisters
    }

    private func packing(of table: DataTable) -> SpanPacking {
        SpanPacking(
            table: table, limit: limit(of: table), allowsHoles: allowsHoles,
            forbidden: forbidden.filter { $0.table == table }.map(\.range).sorted { $0.start < $1.start },
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
        guard problems.isEmpty else {
            throw ModbusError(.invalidRequest("read planner: " + problems.joined(separator: "; ")))
        }
    }

    private func check(_ span: ReadSpan) throws(ModbusError) {
        let limit = limit(of: span.table)
        guard span.range.count <= limit else {
            throw ModbusError(
                .invalidRequest("the value at \(span) does not fit into one request of at most \(limit)"),
                function: span.table.readFunction, range: span.range)
        }
        if let bad = forbidden.first(where: { $0.table == span.table && $0.range.overlaps(span.range) }) {
            throw ModbusError(
                .invalidRequest("the value at \(span) touches the forbidden \(bad)"),
                function: span.table.readFunction, range: span.range)
        }
    }
}
