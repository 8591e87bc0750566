import Foundation
import Testing

@testable import ALDTestKit
@testable import ald

@Suite struct SyncReportTests {
    private static func result(reduction: Double, increase: Double, cycles: Int = 100) async throws -> ScenarioResult {
        let host = ScenarioHost()
        var scenario = Catalogue.synchronisationCost()
        scenario.work = Measured(reduction: reduction, increase: increase, cycles: cycles)
        let result = await ScenarioRunner(host: host).run(scenario)
        try await host.stop()
        return result
    }

    private struct Measured: ScenarioWork {
        var reduction: Double
        var increase: Double
        var cycles: Int

        func run(_ run: ScenarioRun) async throws {
            for (side, factor) in [("history alone", 1.0), ("synchronised", 1 + increase)] {
                for percentile in SyncReport.percentiles {
                    run.note("\(side): landing \(percentile)", 0.01 * factor, .seconds)
                }
                run.note("\(side): rows", side == "synchronised" ? 1680 * (1 - reduction) : 1680, .perSecond)
                run.note("\(side): heap", 300_000, .bytes)
                run.note("\(side): success", 1, .ratio)
            }
            run.note("throughput reduction", reduction, .ratio)
            run.note("latency increase", increase, .ratio)
            run.note("memory increase", 0, .ratio)
            run.note("success", 1, .ratio)
            run.note("lost or doubled", count: 0)
            run.note("wrong current values", count: 0)
            run.note("cycles a side", count: cycles)
        }
    }

    @Test func whatIsWithinTheTargetsIsSaidLineByLine() async throws {
        let report = SyncReport(try await Self.result(reduction: 0.01, increase: 0.12), parameters: 84, rate: 20)
        #expect(report.impact == .low && report.verdict == .pass)
        #expect(
            report.lines.dropFirst(2) == [
                "             HISTORY ALONE  SYNCHRONISED  CHANGE  TARGET",
                "Rows         1680/s         1663/s        −1 %    > −20 %  met",
                "Landing p50  10 ms          11.2 ms       +12 %   < +30 %  met",
                "Landing p95  10 ms          11.2 ms       +12 %",
                "Landing p99  10 ms          11.2 ms       +12 %",
                "Landing max  10 ms          11.2 ms       +12 %",
                "Heap         300 kB         300 kB        +0 %    < +40 %  met",
                "Success      100 %          100 %                 > 95 %   met",
                "", "Impact  LOW", "Verdict pass",
            ])
    }

    /// Of writers at the same time, and of what they have landed.
    private struct Together: ScenarioWork {
        var comparison: Measured
        var success = 1.0
        var deadlocks = 0
        var wrong = 0

        func run(_ run: ScenarioRun) async throws {
            try await comparison.run(run)
            for (size, rate) in zip(QuickBenchmark.sizes, [1000.0, 2000, 3000, 4000, 8000]) {
                run.note("batches of \(size): rows per second", rate, .perSecond)
                run.note("batches of \(size): efficiency", rate / 8000, .ratio)
            }
            run.note("together: rows", 9000, .perSecond)
            for percentile in SyncReport.percentiles { run.note("together: landing \(percentile)", 0.02, .seconds) }
            run.note("together: success", success, .ratio)
            run.note("together: deadlocks", count: deadlocks)
            run.note("together: lost or doubled", count: wrong)
        }
    }

    private static func quick(_ change: (inout Together) -> Void = { _ in }) async throws -> SyncReport {
        var work = Together(comparison: Measured(reduction: 0.01, increase: 0.12, cycles: 100))
        change(&work)
        var scenario = Catalogue.quickBenchmark(parameters: 84, rate: 20)
        scenario.work = work
        return SyncReport(await ScenarioRunner(host: ScenarioHost()).run(scenario), parameters: 84, rate: 20)
    }

    @Test func sizesOfBatchesAndWritersAtATimeAreSaid() async throws {
        let report = try await Self.quick()
        #expect(report.verdict == .pass, "\(report.reasons)")
        #expect(
            report.lines.dropFirst(10).prefix(9) == [
                "", "BATCHES OF  ROWS    OF THE BEST", "10 rows     1000/s  12.5 %", "25 rows     2000/s  25 %",
                "50 rows     3000/s  37.5 %", "100 rows    4000/s  50 %", "200 rows    8000/s  100 %", "",
                "3 writers at a time: 9000/s rows, landing p50 20 ms, p95 20 ms, p99 20 ms, max 20 ms",
            ])
        #expect(report.batch_sizes.map(\.rows) == QuickBenchmark.sizes && report.together?.writers == 3)
    }

    @Test func writersAtATimeThatFailDeadlockLoseOrDoubleAreATargetMissed() async throws {
        #expect(try await Self.quick { $0.success = 0.95 }.verdict == .fail)
        #expect(try await Self.quick { $0.deadlocks = 1 }.verdict == .fail)
        #expect(try await Self.quick { $0.wrong = 1 }.verdict == .fail)
    }

    @Test func tooFewCyclesHaveNoClassOfImpact() async throws {
        let result = try await Self.result(reduction: 0.01, increase: 0.12, cycles: 99)
        let report = SyncReport(result, parameters: 84, rate: 20)
        #expect(report.impact == nil && report.lines.contains("Impact  not known"))
    }

    @Test func aTargetThatIsMissedIsNamed() async throws {
        let report = SyncReport(try await Self.result(reduction: 0.3, increase: 0.5), parameters: 84, rate: 20)
        #expect(report.impact == .high && report.verdict == .fail)
        #expect(report.lines.filter { $0.hasSuffix("MISSED") }.map { $0.prefix(11) } == ["Rows       ", "Landing p50"])
        #expect(report.lines.last == "        latency increase is 50 %, required < 30 %")
    }

    @Test(arguments: [
        (0.0, 0.0, SynchronisationImpact.low), (-0.5, -0.5, .low), (0.1, 0, .medium), (0, 0.15, .medium),
        (0.24, 0.39, .medium), (0.25, 0, .high), (0, 0.4, .high),
    ])
    func theImpactHasThreeClasses(reduction: Double, increase: Double, impact: SynchronisationImpact) {
        #expect(SynchronisationImpact(throughputReduction: reduction, latencyIncrease: increase) == impact)
    }
}
