import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Back-off", .background) struct BackoffTests {
    @Test("grows by at most three, stays between base and cap, and starts over after a success")
    func bounds() {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        var backoff = Backoff(.init(base: .milliseconds(100), cap: .seconds(5)))
        for _ in 0..<200 {
            var previous = Duration.milliseconds(100)
            for _ in 0..<20 {
                let wait = backoff.next(using: &random)
                #expect(wait >= .milliseconds(100) && wait <= .seconds(5) && wait <= previous * 3, "seed \(seed)")
                previous = wait
            }
            backoff.reset()
        }
    }

    @Test("clients that failed together do not come back together")
    func jitter() {
        var random = SeededGenerator(seed: 1)
        let waits = (0..<100).map { _ -> Duration in
            var backoff = Backoff()
            _ = backoff.next(using: &random)
            return backoff.next(using: &random)
        }
        #expect(Set(waits).count == 100)
    }

    @Test("the same seed waits the same")
    func replay() {
        func waits() -> [Duration] {
            var random = SeededGenerator(seed: 3)
            var backoff = Backoff()
            return (0..<10).map { _ in backoff.next(using: &random) }
        }
        #expect(waits() == waits())
    }

    @Test("settings that cannot work are all named")
    func problems() {
        let problems = Backoff.Configuration(base: .zero, cap: .seconds(-1)).problems(named: "backoff")
        #expect(problems.count == 2 && problems.allSatisfy { $0.hasPrefix("backoff.") })
    }
}
