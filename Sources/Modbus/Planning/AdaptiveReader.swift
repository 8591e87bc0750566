public import NIOCore

/// Reads a set of values again and again, and learns how this device is read best: which addresses it lacks, how
/// much it takes at once, and what a request costs.
///
/// A value: it decides what to ask and what to make of the answers. `ModbusClient.read(_:unit:deadline:)` asks.
///
/// ```text
/// var cycle = reader.begin(now: now)
/// while !cycle.next.requests.isEmpty { reader.take(await client.run(cycle.next, …), in: &cycle, now: now) }
/// let results = reader.finish(cycle)
/// ```
///
/// **What a refusal means.** Exceptions 01, 02 and 03 are learnt from; every other error is only reported. A refused
/// block is divided at its widest gap, or near its middle when it has none (or after 03, which speaks of quantities).
/// When all of its addresses have been read in parts, the block was too large. When all but one gap have been read,
/// the smallest request across that gap is tried: refused, the gap holds a missing address; answered, the block was
/// too large. A value that is refused alone is left out until the refusal expires. See ``DeviceLimits``.
///
/// **How much it asks.** Besides its plan a cycle makes at most ``questionsPerCycle`` requests, all of them after
/// the plan. Once nothing is unclear it is at most one: towards the largest block, for a refusal that expired, or,
/// eight times in all, to measure a request of another size.
public struct AdaptiveReader: Sendable {
    /// The most requests besides the plan that one cycle makes. What is still unclear then is asked in later cycles.
    public static let questionsPerCycle = 32
    /// The most questions carried over from one cycle to the next; what exceeds it is asked again by itself when a
    /// refusal expires.
    static let maximumLeftOver = 256

    /// What the device turned out not to read.
    public internal(set) var limits: DeviceLimits
    /// What requests turned out to cost.
    public internal(set) var fit: CostFit
    /// The requests of the next cycle, unless something changes before.
    public private(set) var plan: ReadPlan

    let planner: ReadPlanner
    /// By the table that is asked, ascending by start, each once.
    private let spans: [DataTable: [AddressRange]]
    private let tables: [DataTable]
    let followsCost: Bool
    private var rule = ReplanRule()
    private var goal: ReadPlanner.Goal
    var isOutdated = false
    /// Requests made for nothing but to measure their cost.
    var samplesAsked = 0
    private var leftOver: (pending: [ReadSpan], inquiries: [ReadCycle.Inquiry]) = ([], [])

    /// - Parameters:
    ///   - spans: the values to read, each in one piece.
    ///   - planner: limits known beforehand, and the goal until costs are measured.
    ///   - followsCost: whether to plan for least time as soon as costs are measured. Defaults to true.
    /// - Throws: ``ModbusError/Code/invalidRequest(_:)`` as ``ReadPlanner/plan(_:)`` does.
    public init(
        _ spans: [ReadSpan], planner: ReadPlanner = ReadPlanner(), limits: DeviceLimits = DeviceLimits(),
        fit: CostFit = CostFit(), followsCost: Bool = true
    ) throws(ModbusError) {
        _ = try planner.plan(spans)
        var tables: [DataTable] = []
        var ranges: [DataTable: Set<AddressRange>] = [:]
        for span in spans {
            let table = planner.asked(for: span.table)
            if ranges[table] == nil { tables.append(table) }
            ranges[table, default: []].insert(span.range)
        }
        self.planner = planner
        self.limits = limits
        self.fit = fit
        self.followsCost = followsCost
        self.tables = tables
        self.spans = ranges.mapValues { $0.sorted { ($0.start, $0.count) < ($1.start, $1.count) } }
        goal = planner.goal
        plan = .empty
        plan = makePlan()
    }

    /// Begins to read everything once.
    ///
    /// - Parameter deadline: when it must be over. What is asked besides the values is only asked while as much time
    ///   is left as was used. Defaults to never.
    public mutating func begin(now: NIODeadline, deadline: NIODeadline = .distantFuture) -> ReadCycle {
        if followsCost, fit.isMeasured, rule.shouldPlan(forGap: fit.breakEvenGap, now: now) {
            goal = fit.cost.goal
            isOutdated = true
        }
        if isOutdated {
            plan = makePlan()
            limits.forgetFloors()
        }
        isOutdated = false
        var cycle = ReadCycle(plan: plan, budget: Self.questionsPerCycle, started: now, deadline: deadline)
        (cycle.pending, cycle.inquiries) = leftOver
        leftOver = ([], [])
        if plan.requests.isEmpty { takeUp(&cycle, now: now) }
        return cycle
    }

    /// Takes what came of running `cycle.next`, and sets it to what is to be run then.
    public mutating func take(_ result: PlanResult, in cycle: inout ReadCycle, now: NIODeadline) {
        for (index, read) in result.plan.requests.enumerated() where index < result.results.count {
            let block = ReadSpan(read.table, read.range)
            cycle.keep(block, result.results[index])
            switch result.results[index] {
            case .success:
                if limits.accept(block) { isOutdated = true }
                if let time = result.roundTrip(index) { fit.add(read.table, read.range, roundTrip: time) }
            case .failure(let error):
                guard let code = error.limit else {
                    guard !error.isAnswer else { continue }
                    cycle.isBroken = true
                    if !cycle.isFirst { cycle.ask(block) }
                    continue
                }
                isOutdated = true
                let inside = spans(within: block)
                limits.refuse(block, isValue: inside.contains(block.range), code, now: now)
                if inside.count > 1 {
                    cycle.inquiries.append(ReadCycle.Inquiry(block: block, code: code))
                }
            }
        }
        takeUp(&cycle, now: now)
    }

    /// Ends a cycle, however far it came.
    public mutating func finish(_ cycle: ReadCycle) -> SpanResults {
        leftOver.pending = Array((leftOver.pending + cycle.pending).prefix(Self.maximumLeftOver))
        leftOver.inquiries = Array((leftOver.inquiries + cycle.inquiries).prefix(Self.maximumLeftOver))
        return SpanResults(outcomes: cycle.outcomes, limits: limits, aliases: planner.aliases)
    }

    /// The spans that lie in `block`.
    func spans(within block: ReadSpan) -> [AddressRange] {
        let all = spans[block.table] ?? []
        let first = all.partitioningIndex { $0.start >= block.range.start }
        return all[first...].prefix { Int($0.start) < block.range.end }.filter { block.range.contains($0) }
    }

    /// The best plan for all values that the device is not known to refuse, as far as they lie in `block`.
    func makePlan(within block: ReadSpan? = nil, cap: Int? = nil) -> ReadPlan {
        var planner = planner
        planner.goal = goal
        planner.refused += limits.refused
        var wanted: [ReadSpan] = []
        for table in tables where block == nil || block?.table == table {
            let ranges = block.map { spans(within: $0) } ?? spans[table] ?? []
            let reach = Reach(
                forbidden: [], refused: planner.refused.filter { planner.asked(for: $0.table) == table }.map(\.range))
            let readable = ranges.filter { $0.end <= reach.end(from: $0.start) }
            // A value that is longer than everything answered so far was not refused alone: it must be tried.
            if let learnt = cap ?? limits.maximum(of: table) {
                planner.learnt[table] = max(learnt, readable.map(\.count).max() ?? 1)
            }
            wanted += readable.map { ReadSpan(table, $0) }
        }
        // What could be planned at first can be planned with fewer spans and further cuts; a value that no plan may
        // hold was left out just now.
        guard let plan = try? planner.plan(wanted) else { return .empty }
        return ReadPlan(requests: plan.requests, aliases: planner.aliases)
    }

    /// The longest request that the values of `table` form when none is longer than `cap`.
    func longestRequest(of table: DataTable, cap: Int) -> ReadSpan? {
        guard let whole = AddressRange(start: 0, count: ModbusLimits.addressSpace) else { return nil }
        return makePlan(within: ReadSpan(table, whole), cap: cap).requests
            .max { $0.range.count < $1.range.count }
            .map { ReadSpan($0.table, $0.range) }
    }
}

extension ModbusError {
    /// The exception, when it speaks of what was asked for and not of the device's state.
    fileprivate var limit: ExceptionCode? {
        guard case .exception(let code, _) = code else { return nil }
        switch code {
        case .illegalFunction, .illegalDataAddress, .illegalDataValue: return code
        default: return nil
        }
    }
}
