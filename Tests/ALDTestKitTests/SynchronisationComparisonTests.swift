import ALDCore
import Testing

@testable import ALDTestKit

/// What is concluded from cycles with and without current values.
@Suite("Cost of the synchronisation")
struct SynchronisationComparisonTests {
    /// A side whose cycles take this long: `cycles` of them due at `rate` a second, done by one client, and twenty one after
    /// the other.
    private func side(
        _ cycle: Duration, rate: Double = 40, cycles: Int = 20, failing: Int = 0, heap: Int? = 1000
    ) -> SynchronisationSide {
        var side = SynchronisationSide()
        let beginning = MonotonicInstant(nanoseconds: 0)
        side.open = LoadReport(from: beginning, planned: .seconds(Double(cycles) / rate))
        side.open.due = cycles
        var free = beginning
        for number in 0..<cycles {
            let due = beginning + .seconds(Double(number) / rate)
            let began = max(free, due)
            free = began + cycle
            side.open.record(dueAt: due, from: began, to: free, failure: number < failing ? "no" : nil)
        }
        for _ in 0..<20 { side.addClosed(from: beginning, to: beginning + cycle, failure: nil) }
        side.heap = heap
        return side
    }

    private func comparison(
        _ rounds: [(plain: Duration, both: Duration)], rate: Double = 40
    ) -> SynchronisationComparison {
        var comparison = SynchronisationComparison(rate: rate)
        for round in rounds {
            comparison.add(plain: side(round.plain, rate: rate), both: side(round.both, rate: rate))
        }
        return comparison
    }

    @Test("half the speed is half the throughput, although the rate is kept by both")
    func reduction() {
        let slower = comparison(Array(repeating: (.milliseconds(5), .milliseconds(10)), count: 6))
        #expect(slower.throughputReduction == 0.5)
        #expect(abs(slower.latencyIncrease - 1) < 0.01)
        #expect(slower.impact == .high && slower.doubts == [])
        let equal = comparison(Array(repeating: (.milliseconds(5), .milliseconds(5)), count: 6))
        #expect(equal.throughputReduction == 0 && equal.latencyIncrease == 0 && equal.impact == .low)
    }

    @Test("what holds the machine up in two rounds of six is no cost of the synchronisation")
    func median() {
        var rounds: [(plain: Duration, both: Duration)] = Array(
            repeating: (.milliseconds(5), .milliseconds(5)), count: 4)
        rounds += Array(repeating: (.milliseconds(5), .milliseconds(24)), count: 2)
        #expect(comparison(rounds).throughputReduction == 0 && comparison(rounds).latencyIncrease == 0)
    }

    @Test("a rate that is not kept is a reason for doubt, and latency counts from when a cycle was due")
    func rate() {
        let late = comparison(Array(repeating: (.milliseconds(40), .milliseconds(40)), count: 6))
        #expect(late.doubts.count == 1 && late.doubts.first?.hasPrefix("the rate was not kept") == true)
        // The tenth of twenty begins 135 ms late.
        #expect(late.plain.open.latency.percentile(50) > .milliseconds(150))
    }

    @Test("a cycle that nobody could begin is a reason for doubt")
    func dropped() {
        var comparison = comparison(Array(repeating: (.milliseconds(5), .milliseconds(5)), count: 6))
        var plain = side(.milliseconds(5))
        plain.open.drop(at: MonotonicInstant(nanoseconds: 1))
        comparison.add(plain: plain, both: side(.milliseconds(5)))
        #expect(comparison.doubts.first?.hasPrefix("1 cycles could not be begun") == true)
    }

    @Test("of fewer than a hundred cycles a side no class is told")
    func few() {
        let few = comparison(Array(repeating: (.milliseconds(5), .milliseconds(5)), count: 4))
        #expect(few.impact == nil && few.doubts.count == 1)
        #expect(comparison([]).impact == nil && comparison([]).throughputReduction.isNaN)
    }

    @Test("memory is compared by what a side adds, and what is too little to be told from noise is no increase")
    func memory() {
        func increase(plain: Int?, both: Int?) -> Double {
            var comparison = SynchronisationComparison(rate: 40)
            for _ in 0..<3 {
                comparison.add(
                    plain: side(.milliseconds(5), heap: plain), both: side(.milliseconds(5), heap: both))
            }
            return comparison.memoryIncrease
        }
        let least = SynchronisationComparison.leastMemory
        #expect(increase(plain: 2 * least, both: 3 * least) == 0.5)
        #expect(increase(plain: 1000, both: 60_000) == 0 && increase(plain: -5000, both: 2 * least) == 1)
        #expect(increase(plain: nil, both: 2 * least).isNaN)
    }

    @Test("failed cycles are failures of both parts, and one side's are all cycles' too")
    func success() {
        var comparison = SynchronisationComparison(rate: 40)
        comparison.add(plain: side(.milliseconds(5)), both: side(.milliseconds(5), failing: 8))
        #expect(comparison.plain.success == 1 && comparison.both.success == 0.8 && comparison.success == 0.9)
    }

    @Test(
        "the classes of impact at their borders",
        arguments: [
            (0.0, 0.0, SynchronisationImpact.low), (-0.5, -0.5, .low), (0.0999, 0.1499, .low), (0.1, 0.0, .medium),
            (0.0, 0.15, .medium), (0.2499, 0.3999, .medium), (0.25, 0.0, .high), (0.0, 0.4, .high),
        ])
    func impact(reduction: Double, increase: Double, expected: SynchronisationImpact) {
        #expect(SynchronisationImpact(throughputReduction: reduction, latencyIncrease: increase) == expected)
    }
}
