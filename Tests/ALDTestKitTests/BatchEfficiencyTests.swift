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

    // MARK: The largest

    /// Says of large batches that their time is over before they have landed. Of some a part is there all the same.
    private struct TimingOutSink: ForwardingSink {
        let sink: any BatchSink
        var most: Int
        var leaves: @Sendable (Int) -> Int = { _ in 0 }
        var isEarly = false

        func deliver(_ batches: [Batch], deadline: MonotonicInstant) async throws(SinkFault) -> [BatchLanding] {
            guard var batch = batches.first, batch.records.count > most, case .history(let rows) = batch.records else {
                return try await sink.deliver(batches, deadline: deadline)
            }
            if leaves(rows.count) > 0 {
                batch.records = .history(Array(rows.prefix(leaves(rows.count))))
                _ = try await sink.deliver([batch], deadline: deadline + .seconds(30))
            }
            if !isEarly { await Wakeup().wait(until: deadline, time: SystemTime()) }
            throw SinkFault(.inDoubt, "planted")
        }
    }

    private func largest(
        _ around: @escaping @Sendable (any BatchSink) -> any BatchSink
    ) async throws -> ScenarioResult {
        var scenario = try #require(Catalogue.scenario("DB-BI-05"))
        scenario.work = BatchLoad(rows: 20, rate: 10, comparesSizes: true, patience: .seconds(3), around: around)
        var options = ScenarioRunner.Options()
        options.duration = .milliseconds(200)
        let host = ScenarioHost()
        return try await withCleanup {
            await ScenarioRunner(options: options, host: host).run(scenario)
        } cleanup: {
            try await host.stop()
        }
    }

    @Test("the largest batch before a timeout is found, one that is too small fails, and so does a part left behind")
    func largestBatch() async throws {
        func judged(_ result: ScenarioResult) -> [Double?] {
            ["largest batch before a timeout", "batches that landed in part", "lost or doubled"]
                .map { result.measurement($0) }
        }
        let small = try await largest { TimingOutSink(sink: $0, most: 500) }
        #expect(small.verdict == .fail && judged(small) == [500, 0, 0], "\(small.line)")
        #expect(small.measurement("batch that timed out") == 1000 && small.measurement("batches given up") == 2)
        let whole = try await largest { TimingOutSink(sink: $0, most: 2000, leaves: { $0 }) }
        #expect(judged(whole) == [2000, 0, 0], "\(whole.line)")
        let torn = try await largest { TimingOutSink(sink: $0, most: 2000, leaves: { $0 / 2 }) }
        #expect(torn.verdict == .fail && torn.measurement("batches that landed in part") == 2, "\(torn.line)")
        let early = try await largest { TimingOutSink(sink: $0, most: 500, isEarly: true) }
        #expect(early.verdict == .fail && early.reasons.contains { $0.contains("planted") }, "\(early.reasons)")
    }

    @Test("where no batch is given up, nothing is shown of what becomes of one")
    func nothingGivenUp() async throws {
        var scenario = try #require(Catalogue.scenario("DB-BI-05"))
        scenario.criteria.removeAll { !$0.measure.contains("batch") || $0.measure.hasPrefix("partial") }
        #expect(scenario.criteria.count == 2)
        scenario.work = Work { LargestBatch(landed: 64_000).note($0) }
        let result = await ScenarioRunner(host: ScenarioHost()).run(scenario)
        #expect(result.verdict == .unknown && result.reasons == ["never happened: a batch that was given up"])
    }

    private struct Work: ScenarioWork {
        var note: @Sendable (ScenarioRun) -> Void
        func run(_ run: ScenarioRun) async throws { note(run) }
    }
}
