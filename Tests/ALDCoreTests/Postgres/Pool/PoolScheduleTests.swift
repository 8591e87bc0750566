import ALDTestKit
import Testing

@testable import ALDCore

/// Random schedules against a reference model that throws on the first broken promise.
@Suite(.background) struct PoolScheduleTests {
    private static let first = TestSeed.draw("PoolScheduleTests")
    private static let share = 25_000

    /// A hundred thousand in four shares, so that they use the processors there are.
    @Test(.background, arguments: 0..<4) func randomSchedulesKeepEveryPromise(part: Int) async throws {
        let start = Self.first + UInt64(part * Self.share)
        for seed in start..<(start + UInt64(Self.share)) {
            await TestSeed.letOthersRun(round: Int(seed - start))
            do {
                var world = PoolModel(seed: seed)
                try world.run()
            } catch {
                Issue.record("\(error) (ALD_SEED=\(seed) replays it)")
                return
            }
        }
    }

    /// What the schedules are worth: everything that can happen in a pool happens in them, often.
    @Test(.background) func theSchedulesGoEverywhere() async throws {
        var seen = PoolStatistics()
        var causes: Set<PoolCloseCause> = []
        var stages: Set<LeakStage> = []
        for seed in UInt64(1)...500 {
            await TestSeed.letOthersRun(round: Int(seed))
            var world = PoolModel(seed: seed)
            try world.run()
            let statistics = world.statistics
            seen.timeouts += statistics.timeouts
            seen.failures += statistics.failures
            seen.cancellations += statistics.cancellations
            seen.refusals += statistics.refusals
            seen.reclaimed += statistics.reclaimed
            seen.lateReturns += statistics.lateReturns
            seen.deadAtLease += statistics.deadAtLease
            seen.generation += statistics.generation
            causes.formUnion(PoolCloseCause.allCases.filter { statistics.closes[$0] > 0 })
            stages.formUnion(world.stages)
        }
        let counts = [
            seen.timeouts, seen.failures, seen.cancellations, seen.refusals, seen.reclaimed, seen.lateReturns,
            seen.deadAtLease, seen.generation,
        ]
        #expect(counts.allSatisfy { $0 > 20 }, "\(counts)")
        #expect(causes == Set(PoolCloseCause.allCases))
        #expect(stages == Set(LeakStage.allCases))
    }
}
