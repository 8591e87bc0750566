import ALDTestKit
import NIOCore
import Testing

@testable import Modbus

@Suite("What reads cost", .background)
struct CostTests {
    @Test("the gap worth bridging, by link: 4 to 125 registers for the same device")
    func breakEven() {
        func gaps(_ bitsPerSecond: Double, overhead: Int = 0) -> [Int] {
            var link = LinkModel(bitsPerSecond: bitsPerSecond)
            link.packetOverhead = overhead
            var gaps = [10, 50, 100].map { (milliseconds: Int) in
                link.roundTrip = .milliseconds(milliseconds)
                return link.sequential.breakEvenGap
            }
            gaps.append(link.pipelined().breakEvenGap)
            link.isHalfDuplex = true
            return gaps + [link.pipelined().breakEvenGap]
        }
        #expect(gaps(10_000) == [16, 41, 73, 4, 10])
        #expect(gaps(10_000, overhead: 40) == [56, 81, 113, 24, 50])
        #expect(gaps(100_000) == [73, 125, 125, 4, 10])
        var fast = LinkModel(bitsPerSecond: 10_000_000)
        fast.roundTrip = .milliseconds(10)
        #expect(fast.sequential.breakEvenGap == 125)
        fast.perRequest = .microseconds(250)
        #expect(fast.pipelined().breakEvenGap == 125, "the device is the slowest part, and registers cost it nothing")
        fast.perRequest = .microseconds(100)
        #expect(fast.pipelined().breakEvenGap == 4)
    }

    @Test("the window from which on more would only wait: 2 for full blocks, 3 for 32 registers, 6 for 11")
    func window() {
        var link = LinkModel(bitsPerSecond: 10_000)
        link.roundTrip = .milliseconds(100)
        #expect([125, 32, 11].map(link.window) == [2, 3, 6])
        link.perRequest = .milliseconds(200)
        #expect(link.window(registers: 11) == 2)
    }

    /// Samples of a link with a cost, each disturbed by up to `jitter` of itself.
    private func feed(
        _ fit: inout CostFit, _ cost: ReadCost, count: Int, sizes: [Int] = [2, 20, 60, 125], jitter: Double = 0,
        random: inout SeededGenerator
    ) {
        for index in 0..<count {
            let range = AddressRange(start: 0, count: sizes[index % sizes.count]) ?? AddressRange(0)
            let time = cost.perRequest + cost.perRegister * range.count
            let factor = jitter == 0 ? 1 : 1 + Double.random(in: -jitter...jitter, using: &random)
            fit.add(.holdingRegisters, range, roundTrip: time * factor)
        }
    }

    private func isClose(_ cost: ReadCost, _ truth: ReadCost, within share: Double) -> Bool {
        abs(cost.perRequest / truth.perRequest - 1) < share && abs(cost.perRegister / truth.perRegister - 1) < share
    }

    @Test("both shares are found, through jitter and single accidents")
    func fits() {
        var random = SeededGenerator(seed: 1)
        let truth = ReadCost(perRequest: .milliseconds(67), perRegister: .microseconds(1600))
        var fit = CostFit()
        #expect(!fit.isMeasured)
        feed(&fit, truth, count: 8, random: &random)
        #expect(fit.isMeasured && isClose(fit.cost, truth, within: 0.000_1))
        #expect(fit.samples == 8 && fit.breakEvenGap == 41)
        for _ in 0..<20 {
            feed(&fit, truth, count: 20, jitter: 0.1, random: &random)
            fit.add(.holdingRegisters, AddressRange(0), roundTrip: .seconds(5))
        }
        #expect(fit.outliers == 20)
        #expect(isClose(fit.cost, truth, within: 0.15))
    }

    @Test("a link that has changed is believed after eight samples, not forgotten over hundreds")
    func changes() {
        var random = SeededGenerator(seed: 2)
        var fit = CostFit()
        feed(&fit, ReadCost(perRequest: .milliseconds(5), perRegister: .microseconds(10)), count: 500, random: &random)
        let slow = ReadCost(perRequest: .milliseconds(100), perRegister: .milliseconds(2))
        feed(&fit, slow, count: 7, random: &random)
        #expect(fit.cost.perRequest < .milliseconds(6) && fit.outliers == 7)
        feed(&fit, slow, count: 1, random: &random)
        #expect(isClose(fit.cost, slow, within: 0.01))
    }

    @Test("requests of one size tell nothing about the shares: their proportion stays")
    func oneSize() {
        var random = SeededGenerator(seed: 3)
        let prior = ReadCost(perRequest: .milliseconds(10), perRegister: .microseconds(200))
        var fit = CostFit(prior: prior)
        feed(&fit, ReadCost(perRequest: .milliseconds(6), perRegister: .zero), count: 100, sizes: [50], random: &random)
        #expect(!fit.isMeasured && fit.breakEvenGap == 50)
        #expect(abs(fit.cost.perRequest / .milliseconds(3) - 1) < 0.000_1, "6 ms in all, in the proportion 10 : 10")
        let truth = ReadCost(perRequest: .milliseconds(5), perRegister: .microseconds(20))
        feed(&fit, truth, count: 200, random: &random)
        #expect(fit.isMeasured && isClose(fit.cost, truth, within: 0.01))
        feed(&fit, truth, count: 1000, sizes: [100], random: &random)
        #expect(isClose(fit.cost, truth, within: 0.01), "what was measured is not lost")
    }

    @Test("no share is ever negative, whatever comes", .background)
    func neverNegative() async {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        for round in 0..<300 {
            await TestSeed.letOthersRun(round: round)
            var fit = CostFit()
            for _ in 0..<60 {
                let count = Int.random(in: 1...125, using: &random)
                fit.add(
                    Bool.random(using: &random) ? .coils : .inputRegisters,
                    AddressRange(start: 0, count: count) ?? AddressRange(0),
                    roundTrip: .microseconds(Int.random(in: -5...2_000_000, using: &random)))
                let isSound = fit.cost.perRequest >= .zero && fit.cost.perRegister >= .zero
                #expect(isSound && (0...125).contains(fit.breakEvenGap), "seed \(seed)")
            }
        }
        var falling = CostFit()
        feed(
            &falling, ReadCost(perRequest: .milliseconds(9), perRegister: .zero), count: 8, sizes: [100],
            random: &random)
        for index in 0..<16 {
            let range = AddressRange(start: 0, count: index % 2 == 0 ? 1 : 101) ?? AddressRange(0)
            falling.add(.holdingRegisters, range, roundTrip: .milliseconds(index % 2 == 0 ? 10 : 9))
        }
        #expect(falling.isMeasured && falling.cost.perRegister == .zero && falling.breakEvenGap == 125)
    }

    @Test("a plan is made anew when the gap moved by more than a quarter, and once a minute")
    func replanning() {
        var rule = ReplanRule()
        let start = NIODeadline.uptimeNanoseconds(0)
        func asked(_ gap: Int, _ seconds: Int64) -> Bool {
            rule.shouldPlan(forGap: gap, now: start + .seconds(seconds))
        }
        #expect(asked(40, 0), "the first")
        #expect(!asked(80, 59))
        #expect(!asked(50, 60), "a quarter is not more than a quarter")
        #expect(asked(51, 60))
        #expect(!asked(10, 119))
        #expect(asked(10, 120))
        #expect(asked(0, 200))
        #expect(asked(1, 300))
    }
}
