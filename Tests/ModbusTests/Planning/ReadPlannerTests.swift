import ALDTestKit
import Testing

@testable import Modbus

private func span(_ first: UInt16, _ count: Int, _ table: DataTable = .holdingRegisters) -> ReadSpan {
    ReadSpan(table, AddressRange(start: first, count: count) ?? AddressRange(first))
}

/// The cheapest way to distribute the spans of one table over requests, found by trying every distribution there is.
private struct BruteForce {
    let planner: ReadPlanner
    let ranges: [AddressRange]
    private let limit: Int
    private let price: Price
    private let forbidden: [AddressRange]
    private let refused: [AddressRange]

    init(_ planner: ReadPlanner, _ spans: [ReadSpan], of table: DataTable) {
        self.planner = planner
        ranges = spans.filter { planner.asked(for: $0.table) == table }.map(\.range)
        limit = planner.limit(of: table)
        price = Price(planner.goal, bits: table.isBits)
        forbidden = planner.forbidden.filter { planner.asked(for: $0.table) == table }.map(\.range)
        refused = planner.refused.filter { planner.asked(for: $0.table) == table }.map(\.range)
    }

    func best() -> Price.Cost? {
        search(0, groups: [])
    }

    private func search(_ next: Int, groups: [[AddressRange]]) -> Price.Cost? {
        guard next < ranges.count else { return cost(groups) }
        var best: Price.Cost?
        for index in 0...groups.count {
            var groups = groups
            if index == groups.count { groups.append([]) }
            groups[index].append(ranges[next])
            if let found = search(next + 1, groups: groups), best.map({ found < $0 }) ?? true { best = found }
        }
        return best
    }

    private func cost(_ groups: [[AddressRange]]) -> Price.Cost? {
        var total = Price.Cost.zero
        for group in groups {
            let hull = AddressRange(first: group.map(\.start).min() ?? 0, last: group.map(\.last).max() ?? 0)
            guard hull.count <= limit,
                planner.allowsHoles || Set(group.flatMap { $0.start...$0.last }).count == hull.count,
                !forbidden.contains(where: { $0.overlaps(hull) }), !refused.contains(where: { hull.contains($0) })
            else { return nil }
            total = total + price.of(hull.count)
        }
        return total
    }
}

@Suite("The read planner", .background)
struct ReadPlannerTests {
    @Test("no plan is cheaper: compared with every distribution of small random maps", .background)
    func bruteForce() async throws {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        for round in 0..<3200 {
            await TestSeed.letOthersRun(round: round)
            var planner = ReadPlanner()
            planner.maximumRegisters = .random(in: 8...20, using: &random)
            planner.maximumBits = .random(in: 8...20, using: &random)
            planner.allowsHoles = round % 4 != 0
            if round % 2 == 1 {
                planner.goal = .minimumTime(
                    perRequest: .milliseconds(Int.random(in: 0...20, using: &random)),
                    perRegister: .milliseconds(Int.random(in: 0...(round % 8 < 4 ? 4 : 30), using: &random)))
            }
            if round % 5 == 0 { planner.aliases = ReadPlanner.oneSpace }
            let tables: [DataTable] =
                round % 3 == 0 ? [.coils, .discreteInputs] : [.holdingRegisters, .inputRegisters]
            let anywhere = { (count: Int) in
                span(.random(in: 0...40, using: &random), count, tables.randomElement(using: &random) ?? .coils)
            }
            if round % 3 != 1 { planner.forbidden = [anywhere(1), anywhere(2)] }
            if round % 7 < 3 { planner.refused = [anywhere(3), anywhere(5)] }
            let spans = (0..<Int.random(in: 1...7, using: &random)).map { _ in
                anywhere(.random(in: 1...8, using: &random))
            }
            .filter { (try? planner.plan([$0])) != nil }
            let plan = try planner.plan(spans)
            for table in DataTable.allCases {
                let price = Price(planner.goal, bits: table.isBits)
                let cost = plan.requests.filter { $0.table == table }
                    .reduce(Price.Cost.zero) { $0 + price.of($1.range.count) }
                try #require(cost == BruteForce(planner, spans, of: table).best(), "seed \(seed) round \(round)")
            }
            for span in spans {
                try #require(plan.index(of: span.table, span.range) != nil, "torn: \(span), seed \(seed)")
            }
            for read in plan.requests {
                try #require(read.range.count <= planner.limit(of: read.table))
                try #require(planner.allowsHoles || read.filler == 0)
            }
        }
    }

    @Test("the cap is used to the last register and never passed")
    func cap() throws {
        let words = (0..<250).map { span(UInt16($0), 1) }
        #expect(try ReadPlanner().plan(words).requests.map(\.range.count) == [125, 125])
        #expect(try ReadPlanner().plan([span(0, 1), span(125, 1)]).requests.count == 2)
        let bits = [ReadSpan(.coils, AddressRange(0)), ReadSpan(.coils, AddressRange(1999))]
        #expect(try ReadPlanner().plan(bits).requests.map(\.range.count) == [2000])
    }

    @Test("a value at the cap's edge moves to the next request as a whole")
    func neverTorn() throws {
        let plan = try ReadPlanner().plan([span(0, 124), span(124, 2)])
        #expect(plan.requests.map { "\($0.range)" } == ["0×124", "124×2"])
    }

    @Test("time decides how large a gap is worth bridging")
    func gaps() throws {
        var planner = ReadPlanner()
        planner.goal = .minimumTime(perRequest: .milliseconds(16), perRegister: .milliseconds(2))
        #expect(try planner.plan([span(0, 1), span(8, 1)]).requests.count == 1, "7 filler cost 14 ms, a request 16")
        #expect(try planner.plan([span(0, 1), span(10, 1)]).requests.count == 2, "9 filler cost 18 ms")
        #expect(try planner.plan([span(0, 1), span(9, 1)]).requests.count == 1, "equal: fewer requests")
    }

    @Test("what cannot be planned is named")
    func refusals() {
        #expect(throws: ModbusError.self) { try ReadPlanner().plan([span(0, 126)]) }
        var planner = ReadPlanner()
        planner.forbidden = [span(5, 1)]
        #expect(throws: ModbusError.self) { try planner.plan([span(4, 2)]) }
        planner.maximumRegisters = 0
        #expect(throws: ModbusError.self) { try planner.plan([]) }
        planner = ReadPlanner()
        planner.goal = .minimumTime(perRequest: .seconds(-1), perRegister: .seconds(9))
        #expect(throws: ModbusError.self) { try planner.plan([]) }
        planner = ReadPlanner()
        planner.refused = [span(5, 2)]
        #expect(throws: ModbusError.self) { try planner.plan([span(4, 3)]) }
        #expect(throws: Never.self) { try planner.plan([span(5, 1), span(6, 1)]) }
        planner = ReadPlanner()
        planner.aliases = [.coils: .holdingRegisters]
        #expect(throws: ModbusError.self) { try planner.plan([]) }
        planner.aliases = [.coils: .discreteInputs, .discreteInputs: .coils]
        #expect(throws: ModbusError.self) { try planner.plan([]) }
    }

    @Test("nothing to read is a plan without a request")
    func empty() throws {
        #expect(try ReadPlanner().plan([]) == .empty)
        #expect(ReadPlan.empty.explain() == "0 requests, 0 registers, 0 bits")
    }
}
