import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Circuit breaker beside its model", .background) struct CircuitBreakerModelTests {
    private typealias Step = BreakerPair.Step

    private func rules(
        _ change: (inout CircuitBreaker.Configuration) -> Void = { _ in }
    ) -> CircuitBreaker.Configuration {
        var rules = CircuitBreaker.Configuration()
        rules.consecutiveFailures = 2
        rules.minimumCalls = 3
        rules.countWindow = 4
        rules.timeWindow = .seconds(5)
        rules.slowCalls = nil
        rules.openTime = Backoff.Configuration(base: .seconds(1), cap: .seconds(8), jitter: .none)
        rules.sustainedHealth = .seconds(3)
        rules.maximumConcurrentCalls = 3
        rules.ramp?.start = 34
        rules.ramp?.step = 33
        rules.ramp?.successes = 1
        rules.lease = .seconds(2)
        change(&rules)
        return rules
    }

    private var allRules: [CircuitBreaker.Configuration] {
        [
            rules(),
            rules {
                $0.halfOpenPermits = 2
                $0.halfOpenSuccesses = 2
                $0.ramp = nil
            },
            rules {
                $0.consecutiveFailures = nil
                $0.timeWindow = nil
                $0.countWindow = 3
                $0.ramp?.successes = 2
            },
            rules {
                $0.consecutiveFailures = nil
                $0.countWindow = nil
            },
        ]
    }

    /// Ways into the states that lie deep.
    private var beginnings: [[Step]] {
        let open: [Step] = [.acquire, .oldestRefused]
        let halfOpen = open + [.threeSeconds]
        let recovering = halfOpen + [.acquire, .oldestSucceeds, .acquire, .oldestSucceeds]
        return [[], [.acquire, .acquire], open, halfOpen, recovering]
    }

    @Test("every sequence of events from every state, up to a depth")
    func exhaustive() async throws {
        var (count, expected) = (0, 0)
        for (index, rules) in allRules.enumerated() {
            let depth = Gate.rounds(index == 0 ? 4 : 3, nominal: 5)
            for beginning in beginnings {
                var pair = try BreakerPair(rules)
                for step in beginning { try pair.take(step) }
                try await explore(pair, path: beginning, depth: depth, count: &count)
                expected += (1...depth).reduce(0) { sum, depth in sum + power(Step.allCases.count, depth) }
            }
        }
        #expect(count == expected)
    }

    private func power(_ base: Int, _ exponent: Int) -> Int { (0..<exponent).reduce(1) { power, _ in power * base } }

    private func explore(_ pair: BreakerPair, path: [Step], depth: Int, count: inout Int) async throws {
        guard depth > 0 else { return }
        for step in Step.allCases {
            count += 1
            await TestSeed.letOthersRun(round: count)
            var next = pair
            do {
                try next.take(step)
            } catch {
                Issue.record("\(error) after \(path + [step])")
                throw error
            }
            try await explore(next, path: path + [step], depth: depth - 1, count: &count)
        }
    }

    @Test("random schedules of 120 000 steps")
    func schedules() async throws {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        // Time and calls are frequent, commands rare: else the deep states are never reached.
        let frequent = Step.allCases.dropLast(5)
        for round in 0..<1200 {
            await TestSeed.letOthersRun(round: round)
            var pair = try BreakerPair(try #require(allRules.randomElement(using: &random)))
            var path: [Step] = []
            for _ in 0..<100 {
                let isRare = Int.random(in: 0..<40, using: &random) == 0
                let steps = isRare ? Step.allCases[...] : frequent[...]
                let step = try #require(steps.randomElement(using: &random))
                path.append(step)
                do {
                    try pair.take(step)
                } catch {
                    Issue.record("\(error), seed \(seed), round \(round), after \(path)")
                    throw error
                }
            }
        }
    }

    @Test("with chance and slow calls: counts add up, probes stay within bounds, and a peer that heals is used again")
    func liveness() async throws {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        for round in 0..<200 {
            await TestSeed.letOthersRun(round: round)
            var bench = try BreakerBench { $0.slowCalls?.learningCalls = 3 }
            var out: [CircuitBreaker.Permit] = []
            for _ in 0..<300 {
                bench.chance = .random(in: 0..<1, using: &random)
                bench.pass(.milliseconds(Int.random(in: 0..<3000, using: &random)))
                if let permit = try? bench.acquire() { out.append(permit) }
                if let permit = out.randomElement(using: &random), Bool.random(using: &random) {
                    let outcomes: [CircuitBreaker.Outcome] = [.success, .failure, .ignored, .immediateFailure()]
                    let outcome = try #require(outcomes.randomElement(using: &random))
                    bench.breaker.complete(permit, outcome, now: bench.now, chance: bench.chance)
                    out.removeAll { $0 == permit }
                }
                let found = bench.breaker.statistics
                let ended = found.successes + found.failures + found.ignored + found.expired + found.superseded
                #expect(found.permitted == ended + bench.breaker.callsUnderWay, "seed \(seed)")
            }
            bench.pass(.seconds(61))
            var calls = 0
            while bench.breaker.state != .closed, calls < 1000 {
                bench.pass(.seconds(1))
                try? bench.call(.success)
                calls += 1
            }
            #expect(bench.breaker.state == .closed, "seed \(seed), round \(round)")
        }
    }
}
