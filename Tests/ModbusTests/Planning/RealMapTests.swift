import ALDTestKit
import Foundation
import Testing

@testable import Modbus

/// Times are those of a link of 10 kbit/s each way, one request outstanding.
@Suite("The plans for the layout of a real machine with 137 parameters", .background)
struct RealMapTests {
    private static func spans() throws -> [ReadSpan] {
        try String(contentsOfFile: Repository.registers137, encoding: .utf8).split(separator: "\n")
            .filter { !$0.hasPrefix("#") }.dropFirst()
            .map { line in
                let fields = line.split(separator: ",")
                let table = try #require(DataTable.allCases.first { "\($0)" == fields[0] })
                let range = AddressRange(start: try #require(UInt16(fields[1])), count: try #require(Int(fields[2])))
                return ReadSpan(table, try #require(range))
            }
    }

    private static func link(_ milliseconds: Int) -> LinkModel {
        var link = LinkModel(bitsPerSecond: 10_000)
        link.roundTrip = .milliseconds(milliseconds)
        return link
    }

    private static func milliseconds(_ plan: ReadPlan) -> [Int] {
        [10, 50, 100].map { Int((link($0).time(of: plan) / .milliseconds(1)).rounded()) }
    }

    @Test(
        "four spaces need 6 requests with 320 registers, at every round trip from 10 to 100 ms",
        arguments: [10, 50, 100])
    func fourSpaces(roundTrip: Int) throws {
        let spans = try Self.spans()
        #expect(spans.count == 110)
        var planner = ReadPlanner()
        planner.goal = Self.link(roundTrip).sequential.goal
        let plan = try planner.plan(spans)
        #expect(plan.requests.count == 6 && plan.registerCount == 320)
        #expect(Self.milliseconds(plan) == [678, 918, 1218])
        #expect(try ReadPlanner().plan(spans).requests == plan.requests, "the fewest requests are the quickest as well")
    }

    @Test("one space of registers and one of bits need 3 requests with 172 registers", arguments: [10, 50, 100])
    func oneSpace(roundTrip: Int) throws {
        let spans = try Self.spans()
        var planner = ReadPlanner()
        planner.aliases = ReadPlanner.oneSpace
        planner.goal = Self.link(roundTrip).sequential.goal
        let plan = try planner.plan(spans)
        #expect(plan.requests.count == 3 && plan.registerCount == 172)
        #expect(Self.milliseconds(plan) == [360, 480, 630])
        for span in spans {
            let index = try #require(plan.index(of: span.table, span.range))
            #expect([.holdingRegisters, .coils].contains(plan.requests[index].table))
        }
    }

    @Test("with filler for bits alone it takes 35 requests, without any 37, value by value 110")
    func withoutFiller() throws {
        let spans = try Self.spans()
        var planner = ReadPlanner()
        planner.allowsHoles = false
        #expect(try planner.plan(spans).requests.count == 37)
        let plan = ReadPlan(
            requests: try planner.plan(spans.filter { !$0.table.isBits }).requests
                + ReadPlanner().plan(spans.filter(\.table.isBits)).requests)
        #expect(plan.requests.count == 35 && plan.registerCount == 158)
        #expect(Self.milliseconds(plan) == [1196, 2596, 4346])
        let single = ReadPlan(requests: spans.map { PlannedRead(table: $0.table, range: $0.range, filler: 0) })
        #expect(Self.milliseconds(single) == [3226, 7626, 13126])
    }

    @Test("with many requests outstanding, smaller gaps are worth bridging: 18 requests with 204 registers")
    func pipelined() throws {
        var planner = ReadPlanner()
        planner.goal = Self.link(100).pipelined().goal
        let plan = try planner.plan(try Self.spans())
        #expect(plan.requests.count == 18 && plan.registerCount == 204)
        #expect(Self.milliseconds(plan) == [814, 1534, 2434])
    }

    @Test("the explanation says what is asked, how much of it is wanted, and how long it should take")
    func explanation() throws {
        let cost = Self.link(50).sequential
        var planner = ReadPlanner()
        planner.goal = cost.goal
        #expect(
            try planner.plan(try Self.spans()).explain(cost: cost) == """
                6 requests, 320 registers (162 filler), 40 bits (9 filler), 52 % wanted, 916.8 ms
                  1  01 read coils              0×38      9 filler   70.6 ms
                  2  02 read discrete inputs    35×2                 67.0 ms
                  3  03 read holding registers  2000×88  24 filler  207.6 ms
                  4  03 read holding registers  2098×84  24 filler  201.2 ms
                  5  04 read input registers    2002×82  64 filler  198.0 ms
                  6  04 read input registers    2110×66  50 filler  172.4 ms
                """)
    }
}
