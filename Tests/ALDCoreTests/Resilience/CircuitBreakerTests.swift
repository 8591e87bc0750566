import ALDTestKit
import Testing

@testable import ALDCore

/// A breaker with a clock in the test's hand.
struct BreakerBench {
    var breaker: CircuitBreaker
    var now = MonotonicInstant(nanoseconds: 0)
    var chance = 0.5

    init(_ change: (inout CircuitBreaker.Configuration) -> Void = { _ in }) throws {
        var configuration = CircuitBreaker.Configuration()
        configuration.maximumConcurrentCalls = 10
        change(&configuration)
        breaker = try CircuitBreaker(configuration)
    }

    mutating func acquire() throws -> CircuitBreaker.Permit {
        switch breaker.acquire(now: now, chance: chance) {
        case .permitted(let permit): return permit
        case .rejected(let rejection): throw rejection
        }
    }

    mutating func call(_ outcome: CircuitBreaker.Outcome, takes: Duration = .milliseconds(5)) throws {
        let permit = try acquire()
        now = now + takes
        breaker.complete(permit, outcome, now: now, chance: chance)
    }

    mutating func pass(_ duration: Duration) {
        now = now + duration
        breaker.advance(now: now, chance: chance)
    }

    /// Opens it and lets the open time pass.
    mutating func halfOpen() throws {
        try call(.immediateFailure())
        pass(.seconds(60))
        try #require(breaker.state == .halfOpen(successes: 0))
    }
}

@Suite("Circuit breaker", .background) struct CircuitBreakerTests {
    @Test("three failures in a row open it, a success between starts over")
    func consecutive() throws {
        var bench = try BreakerBench()
        for outcome in [CircuitBreaker.Outcome.failure, .failure, .success, .failure, .failure] {
            try bench.call(outcome)
        }
        #expect(bench.breaker.state == .closed)
        try bench.call(.failure)
        #expect(bench.breaker.state.name == .open)
        #expect(throws: CircuitBreaker.Rejection.self) { try bench.acquire() }
        #expect(bench.breaker.allowance == 0)
    }

    @Test("one call per second is enough for a failure rate")
    func lowTraffic() throws {
        for window in ["count", "time"] {
            var bench = try BreakerBench {
                $0.consecutiveFailures = nil
                if window == "count" { $0.timeWindow = nil } else { $0.countWindow = nil }
            }
            for index in 0..<6 {
                #expect(bench.breaker.state == .closed)
                try bench.call(index % 2 == 0 ? .success : .failure)
                bench.pass(.seconds(1))
            }
            #expect(bench.breaker.state.name == .open, "\(window)")
            #expect(bench.breaker.takeEvents().contains { "\($0)".contains("failureRate(0.5)") })
        }
    }

    @Test("what happened before the time window is forgotten")
    func timeWindow() throws {
        var bench = try BreakerBench {
            $0.consecutiveFailures = nil
            $0.countWindow = nil
        }
        for _ in 0..<5 { try bench.call(.failure) }
        bench.pass(.seconds(61))
        for _ in 0..<5 { try bench.call(.failure) }
        #expect(bench.breaker.state == .closed)
        try bench.call(.failure)
        #expect(bench.breaker.state.name == .open)
    }

    @Test("one refusal opens at once, and as long as the server asked for")
    func immediate() throws {
        var bench = try BreakerBench()
        try bench.call(.immediateFailure(atLeast: .seconds(120)))
        let opened = bench.now
        bench.breaker.evidenceOfHealth(now: bench.now)
        guard case .open(let until, _) = bench.breaker.state else { throw CircuitBreaker.Rejection.probing }
        #expect(until == opened + .seconds(120))
    }

    @Test("a probe whose caller vanished ends with its lease")
    func stuck() throws {
        var bench = try BreakerBench()
        try bench.halfOpen()
        let lost = try bench.acquire()
        #expect(throws: CircuitBreaker.Rejection.probing) { try bench.acquire() }
        #expect(bench.breaker.nextDeadline == lost.deadline)
        bench.pass(.seconds(60))
        #expect(bench.breaker.state.name == .open)
        bench.pass(.seconds(60))
        let counted = bench.breaker.complete(lost, .immediateFailure(), now: bench.now, chance: 0)
        #expect(!counted && bench.breaker.state == .halfOpen(successes: 0) && bench.breaker.statistics.late == 1)
    }

    @Test("load comes back in steps, one failure halves it, another at the bottom opens")
    func ramp() throws {
        var bench = try BreakerBench()
        try bench.halfOpen()
        try bench.call(.success)
        var allowances: [Double] = []
        while bench.breaker.state != .closed {
            if allowances.last != bench.breaker.allowance { allowances.append(bench.breaker.allowance) }
            try bench.call(.success)
        }
        #expect(allowances == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])

        try bench.halfOpen()
        for _ in 0..<(1 + 3 * 3) { try bench.call(.success) }
        #expect(bench.breaker.allowance == 0.4)
        let together = try (0..<4).map { _ in try bench.acquire() }
        #expect(throws: CircuitBreaker.Rejection.ramping(percent: 40)) { try bench.acquire() }
        for permit in together { bench.breaker.complete(permit, .failure, now: bench.now, chance: 0.5) }
        #expect(bench.breaker.allowance == 0.2)
        try bench.call(.failure)
        #expect(bench.breaker.allowance == 0.1)
        try bench.call(.failure)
        #expect(bench.breaker.state.name == .open)
    }

    @Test("a step waits for as many calls as were under way when it began")
    func rampOfManyCalls() throws {
        var bench = try BreakerBench { $0.maximumConcurrentCalls = 100 }
        try bench.halfOpen()
        try bench.call(.success)
        let together = try (0..<10).map { _ in try bench.acquire() }
        func allowance(after count: Range<Int>) -> Double {
            for permit in together[count] { bench.breaker.complete(permit, .success, now: bench.now, chance: 0.5) }
            return bench.breaker.allowance
        }
        #expect(allowance(after: 0..<3) == 0.2)
        #expect(allowance(after: 3..<9) == 0.2, "seven were under way")
        #expect(allowance(after: 9..<10) == 0.3)
    }

    @Test("nothing is slow before enough calls have shown what is usual")
    func learning() throws {
        var bench = try BreakerBench()
        for _ in 0..<19 { try bench.call(.success, takes: .milliseconds(10)) }
        try bench.call(.success, takes: .seconds(2))
        #expect(bench.breaker.statistics.slow == 0)
        try bench.call(.success, takes: .seconds(9))
        #expect(bench.breaker.statistics.slow == 1)
    }

    @Test("slow calls are judged against what is usual, with a minimum of their own")
    func slow() throws {
        var bench = try BreakerBench()
        for _ in 0..<20 { try bench.call(.success, takes: .milliseconds(50)) }
        for _ in 0..<30 { try bench.call(.success, takes: .milliseconds(90)) }
        #expect(bench.breaker.state == .closed && bench.breaker.statistics.slow == 0)
        var calls = 0
        while bench.breaker.state == .closed, calls < 100 {
            try bench.call(.success, takes: .seconds(20))
            calls += 1
        }
        #expect(bench.breaker.state.name == .open && calls >= 8 && calls < 20)
    }

    @Test("the open time grows, and starts over only after sustained health")
    func openTime() throws {
        var bench = try BreakerBench {
            $0.ramp = nil
            $0.openTime.cap = .seconds(10)
        }
        bench.chance = 1
        func openTime(_ bench: inout BreakerBench) throws -> Duration {
            try bench.call(.immediateFailure())
            guard case .open(let until, _) = bench.breaker.state else { return .zero }
            let wait = until - bench.now
            bench.pass(wait)
            try bench.call(.success, takes: .milliseconds(1))
            return wait
        }
        #expect(
            try (0..<4).map { _ in try openTime(&bench) } == [.seconds(3), .seconds(9), .seconds(10), .seconds(10)])
        bench.pass(.seconds(400))
        #expect(try openTime(&bench) == .seconds(10), "silence is not health")
        bench.pass(.seconds(300))
        try bench.call(.success)
        #expect(try openTime(&bench) == .seconds(3))
    }

    @Test("evidence of health shortens the open time, but not below its base; an operator may")
    func evidence() throws {
        var bench = try BreakerBench()
        bench.chance = 1
        try bench.call(.immediateFailure())
        bench.breaker.evidenceOfHealth(now: bench.now)
        bench.pass(.milliseconds(999))
        #expect(bench.breaker.state.name == .open)
        bench.pass(.milliseconds(1))
        #expect(bench.breaker.state.name == .halfOpen)
        try bench.call(.failure)
        bench.breaker.resume(by: "operator", now: bench.now)
        #expect(bench.breaker.state.name == .halfOpen)
    }

    @Test("isolation ends with its time, disabled and metricsOnly never open")
    func forced() throws {
        var bench = try BreakerBench()
        bench.breaker.isolate(by: "anna", reason: "disk change", timeToLive: .seconds(5), now: bench.now)
        let rejection = bench.breaker.rejection
        #expect("\(try #require(rejection))".contains("anna: disk change"))
        bench.breaker.evidenceOfHealth(now: bench.now)
        #expect(bench.breaker.state.name == .forcedOpen)
        bench.pass(.seconds(5))
        #expect(bench.breaker.state.name == .halfOpen)
        bench.breaker.onlyMeasure(by: "anna", now: bench.now)
        _ = bench.breaker.takeEvents()
        for _ in 0..<3 { try bench.call(.failure) }
        #expect(bench.breaker.takeEvents() == [.wouldHaveOpened(cause: .consecutiveFailures(3), at: bench.now)])
        bench.breaker.disable(by: "anna", now: bench.now)
        for _ in 0..<30 { try bench.call(.immediateFailure()) }
        #expect(bench.breaker.state == .disabled && !bench.breaker.takeEvents().isEmpty)
        bench.breaker.resume(by: "anna", now: bench.now)
        #expect(bench.breaker.state == .closed)
    }

    @Test("settings that cannot work are all named")
    func problems() {
        var configuration = CircuitBreaker.Configuration()
        configuration.consecutiveFailures = 0
        configuration.failureRate = .nan
        configuration.minimumCalls = 0
        configuration.countWindow = 100_000
        configuration.timeWindow = .zero
        configuration.slowCalls?.factor = 0
        configuration.slowCalls?.rate = 2
        configuration.openTime.base = .zero
        configuration.ramp?.start = 100
        configuration.ramp?.step = 0
        configuration.ramp?.successes = 0
        configuration.halfOpenPermits = 0
        configuration.halfOpenSuccesses = 0
        configuration.maximumConcurrentCalls = 0
        configuration.lease = .zero
        configuration.sustainedHealth = .seconds(-1)
        let problems = configuration.problems(named: "breaker")
        #expect(problems.count == 16 && problems.allSatisfy { $0.hasPrefix("breaker.") }, "\(problems)")
        #expect(throws: ConfigurationProblems.self) { try CircuitBreaker(configuration) }
        #expect(CircuitBreaker.standard.configuration.problems(named: "breaker") == [])
        // No window holds so many: a problem, and no range that ends before it begins.
        configuration = CircuitBreaker.Configuration()
        configuration.minimumCalls = CircuitBreaker.Configuration.maximumWindow + 1
        #expect(configuration.problems(named: "breaker").count == 1)
    }
}
