import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Retries", .background) struct RetryTests {
    private let start = MonotonicInstant(nanoseconds: 0)

    @Test("full jitter lies between zero and the doubled wait and fills it evenly; without jitter waits double")
    func jitter() {
        var random = SeededGenerator(seed: TestSeed.draw())
        var plain = Backoff(.init(base: .seconds(1), cap: .seconds(10), jitter: .none))
        #expect((0..<5).map { _ in plain.next(chance: 0.3) } == [1, 2, 4, 8, 10].map { .seconds($0) })
        var quarters = [0, 0, 0, 0]
        for _ in 0..<4000 {
            var full = Backoff(.init(base: .seconds(1), cap: .seconds(10), jitter: .full))
            for cap in [1.0, 2, 4, 8, 10, 10] {
                let wait = full.next(using: &random)
                #expect(wait >= .zero && wait.inSeconds < cap)
                quarters[Int(wait.inSeconds / cap * 4)] += 1
            }
        }
        // 24 000 draws: 6000 each, and 400 is more than five standard deviations.
        #expect(quarters.allSatisfy { abs($0 - 6000) < 400 }, "\(quarters)")
    }

    @Test("half of the budget is spent freely, the rest by single probes, then time alone brings one")
    func budget() throws {
        var budget = try RetryBudget()
        #expect((0..<6).map { _ in budget.take(now: start) } == Array(repeating: .retry, count: 6))
        #expect(budget.take(now: start) == .probe && budget.take(now: start) == .denied)
        for _ in 0..<3 {
            budget.probeEnded()
            #expect(budget.take(now: start) == .probe)
        }
        budget.probeEnded()
        #expect(budget.tokens == 0 && budget.take(now: start + .milliseconds(29_999)) == .denied)
        #expect(budget.take(now: start + .seconds(30)) == .probe && budget.take(now: start + .seconds(59)) == .denied)
        #expect(budget.take(now: start + .seconds(60)) == .probe, "a probe whose end is never told does not lock it")
        for _ in 0..<50 { budget.succeeded(now: start + .seconds(61)) }
        #expect(budget.tokens == 5 && budget.take(now: start + .seconds(61)) == .retry)
    }

    @Test("amplification is bounded, whatever the traffic")
    func amplification() throws {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            var budget = try RetryBudget()
            var now = start
            var (retries, successes) = (0, 0)
            let health = Double.random(in: 0...1, using: &random)
            for _ in 0..<1000 {
                now = now + .milliseconds(Int.random(in: 0..<2000, using: &random))
                if Double.random(in: 0..<1, using: &random) < health {
                    budget.succeeded(now: now)
                    successes += 1
                } else if budget.take(now: now) != .denied {
                    retries += 1
                    if Bool.random(using: &random) { budget.probeEnded() }
                }
                let allowed = 10 + 0.1 * Double(successes) + (now - start).inSeconds / 30 + 1
                #expect(Double(retries) <= allowed, "seed \(seed)")
                #expect(budget.tokens >= 0 && budget.tokens <= 10, "seed \(seed)")
            }
        }
    }

    @Test("a failure gives up for a reason, and a token is taken only for a retry that will be made")
    func decisions() throws {
        var policy = RetryPolicy()
        policy.maximumAttempts = 3
        policy.backoff = .init(base: .seconds(1), cap: .seconds(4), jitter: .none)
        var budget = try RetryBudget()
        var progress = RetryProgress(policy)
        let deadline = Deadline.after(.seconds(60), now: start)
        func failed(_ advice: RetryPolicy.Advice, _ deadline: Deadline) -> RetryPolicy.Decision {
            progress.failed(advice, budget: &budget, deadline: deadline, now: start, chance: 0)
        }
        #expect(failed(.never, deadline) == .giveUp(.notRetriable))
        #expect(failed(.retry(after: .seconds(60)), deadline) == .giveUp(.deadlineTooNear))
        #expect(budget.tokens == 10)
        #expect(failed(.retry(after: .seconds(5)), deadline) == .retry(at: start + .seconds(5), isProbe: false))
        #expect(failed(.retry(), deadline) == .retry(at: start + .seconds(4), isProbe: false))
        #expect(failed(.retry(), deadline) == .giveUp(.attemptsUsedUp) && budget.tokens == 8)
        progress = RetryProgress(policy)
        for _ in 0..<8 {
            #expect(budget.take(now: start) != .denied)
            budget.probeEnded()
        }
        #expect(failed(.retry(), deadline) == .giveUp(.budgetUsedUp))
    }

    @Test("a deadline never grows and never has less than nothing left")
    func deadlines() {
        let deadline = Deadline.after(.seconds(5), now: start)
        #expect(deadline.limited(to: .seconds(9), now: start) == deadline)
        #expect(deadline.limited(to: .seconds(1), now: start) == .after(.seconds(1), now: start))
        #expect(deadline.remaining(now: start + .seconds(7)) == .zero && deadline.hasPassed(now: start + .seconds(5)))
        #expect(Deadline.after(.seconds(-1), now: start).hasPassed(now: start))
    }

    @Test("settings that cannot work are all named")
    func problems() {
        var policy = RetryPolicy()
        policy.maximumAttempts = 0
        policy.backoff.base = .zero
        var budget = RetryBudget.Configuration()
        budget.capacity = 0
        budget.thousandthsPerSuccess = -1
        budget.floorInterval = .zero
        #expect(policy.problems(named: "retry").count == 2 && budget.problems(named: "budget").count == 3)
        #expect(throws: ConfigurationProblems.self) { try RetryBudget(budget) }
    }
}
