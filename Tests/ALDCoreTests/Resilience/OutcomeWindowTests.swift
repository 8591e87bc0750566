import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Outcome window", .background) struct OutcomeWindowTests {
    @Test("both windows count what a list of all calls counts")
    func besideAList() async {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        for round in 0..<100 {
            await TestSeed.letOthersRun(round: round)
            let size = Int.random(in: 1...30, using: &random)
            var count = CountWindow(size: size)
            var time = TimeWindow(span: .nanoseconds(100))
            var calls: [(bucket: Int64, sample: OutcomeWindow.Sample)] = []
            // Before the clock's origin too.
            var now: Int64 = -300
            for _ in 0..<200 {
                now += Int64.random(in: 0...(Bool.random(using: &random) ? 3 : 30), using: &random)
                let failed = Bool.random(using: &random)
                let sample = OutcomeWindow.Sample(failed: failed, slow: failed ? nil : Bool.random(using: &random))
                count.record(sample)
                time.record(sample, now: MonotonicInstant(nanoseconds: now))
                let bucket = Int64((Double(now) / 10).rounded(.down))
                calls.append((bucket, sample))
                #expect(count.sums == sums(calls.suffix(size).map(\.sample)), "seed \(seed)")
                #expect(time.sums == sums(calls.filter { bucket - $0.bucket < 10 }.map(\.sample)), "seed \(seed)")
            }
        }
    }

    private func sums(_ samples: [OutcomeWindow.Sample]) -> OutcomeWindow.Sums {
        var sums = OutcomeWindow.Sums()
        sums.calls = samples.count
        sums.failures = samples.count(where: \.failed)
        sums.judged = samples.count { $0.slow != nil }
        sums.slow = samples.count { $0.slow == true }
        return sums
    }
}
