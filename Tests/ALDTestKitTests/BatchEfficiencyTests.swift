import ALDCore
import Testing

@testable import ALDTestKit

/// What is concluded from batches of different sizes, and from one with a bad row.
@Suite("Batches") struct BatchEfficiencyTests {
    /// All of it well, but for what became of a part of the batch.
    private struct Seen: ScenarioWork {
        var batch: PartialBatch

        func run(_ run: ScenarioRun) async throws {
            run.note("insert p95", .milliseconds(10))
            run.note("insert failures", count: 0)
            run.note("lost or doubled", count: 0)
            batch.note(run)
        }
    }

    @Test("the best batch size is the one that brings in the most rows a second, whatever one delivery took")
    func batchEfficiency() {
        var efficiency = BatchEfficiency()
        #expect(efficiency.best == nil && efficiency.efficiency(10) == nil)
        for took in [10, 10, 900] { efficiency.add(10, took: .milliseconds(took)) }
        for took in [20, 20, 20] { efficiency.add(100, took: .milliseconds(took)) }
        for took in [400, 500, 900] { efficiency.add(1000, took: .milliseconds(took)) }
        #expect(efficiency.best == 100 && efficiency.rowsPerSecond(100) == 5000)
        #expect(efficiency.efficiency(100) == 1 && efficiency.efficiency(10) == 0.2)
        #expect(efficiency.efficiency(1000) == 0.4 && efficiency.efficiency(7) == nil)
    }

    @Test("a good row that a bad one takes with it shows, and a bad one that nobody put aside fails the run")
    func partialBatch() async throws {
        func result(landed: Int, letters: Int) async throws -> ScenarioResult {
            var scenario = try #require(Catalogue.scenario("DB-BI-01"))
            scenario.work = Seen(batch: PartialBatch(good: 9, landed: landed, bad: 1, letters: letters))
            return await ScenarioRunner(host: ScenarioHost()).run(scenario)
        }
        let good = try await result(landed: 9, letters: 1)
        #expect(good.verdict == .pass && good.measurement("partial batch success") == 1)
        let alone = try await result(landed: 0, letters: 1)
        #expect(alone.measurement("partial batch success") == 0 && alone.verdict == .fail)
        for letters in [0, 10] {
            let wrong = try await result(landed: 0, letters: letters)
            #expect(wrong.verdict == .fail)
        }
    }
}
