import ALDTestKit
import Synchronization
import Testing

@testable import ALDCore

@Suite("Drivers of the resilience kit") struct SharedResilienceTests {
    private struct Broken: Error {}

    private let time = ManualTime()

    /// A peer that never answers, and reports a cancelled call as an error of its own.
    private static func untilCancelled() async throws {
        for await _ in AsyncStream<Never>.makeStream().stream {}
        throw Broken()
    }

    private func breaker(
        _ change: (inout CircuitBreaker.Configuration) -> Void = { _ in }
    ) throws -> SharedCircuitBreaker {
        var configuration = CircuitBreaker.Configuration()
        change(&configuration)
        return SharedCircuitBreaker(try CircuitBreaker(configuration), time: time, seed: 1)
    }

    @Test("the example of the documentation: retries around a breaker around a call with a deadline")
    func example() async throws {
        let breaker = SharedCircuitBreaker(.standard, time: time, seed: 1)
        let budget = SharedRetryBudget(try RetryBudget(), seed: 2)
        let deadline = Deadline.after(.seconds(5), now: time.now)
        let answer = try await withRetry(RetryPolicy(), budget: budget, deadline: deadline, time: time) { attempt in
            try await breaker.call(deadline: deadline.limited(to: .seconds(1), now: time.now)) { 40 + 1 + attempt }
        }
        #expect(answer == 42 && breaker.current.statistics.successes == 1)
    }

    @Test("failures open it, the rejection says when to come back, and the stream tells all of it")
    func opens() async throws {
        let breaker = try breaker()
        for _ in 0..<3 {
            await #expect(throws: Broken.self) { try await breaker.call { throw Broken() } }
        }
        await #expect(throws: CircuitBreaker.Rejection.self) { try await breaker.call {} }
        time.advance(by: .seconds(60))
        try await breaker.call {}
        var names: [CircuitBreaker.StateName] = []
        for await event in breaker.events {
            if case .stateChanged(_, let to, _, _) = event { names.append(to) }
            if names.count == 3 { break }
        }
        #expect(names == [.open, .halfOpen, .recovering])
    }

    @Test("a call that outlives its deadline is cancelled and is a failure")
    func deadline() async throws {
        let breaker = try breaker {
            $0.consecutiveFailures = 1
            $0.lease = .milliseconds(100)
        }
        let deadline = Deadline.after(.seconds(1), now: time.now)
        let call = Task {
            try await breaker.call(deadline: deadline) { try await Self.untilCancelled() }
        }
        await time.waitForSleepers(1)
        time.advance(by: .milliseconds(900))
        #expect(breaker.current.callsUnderWay == 1, "its lease is not shorter than its deadline")
        time.advance(by: .milliseconds(100))
        await #expect(throws: DeadlineExceeded(deadline)) { try await call.value }
        #expect(breaker.current.state.name == .open && time.sleeperCount == 0)
        await #expect(throws: DeadlineExceeded.self) { try await breaker.call(deadline: deadline) {} }
        #expect(breaker.current.statistics.rejected == 0)
    }

    @Test("a cancelled probe gives its permit back and says nothing")
    func cancelled() async throws {
        let breaker = try breaker()
        breaker.update { breaker, now, _ in breaker.isolate(by: "a", reason: "b", timeToLive: .zero, now: now) }
        #expect(breaker.current.state.name == .halfOpen)
        let (started, signal) = AsyncStream<Void>.makeStream()
        let call = Task {
            try await breaker.call {
                signal.yield()
                try await Self.untilCancelled()
            }
        }
        for await _ in started { break }
        await #expect(throws: CircuitBreaker.Rejection.probing) { try await breaker.call {} }
        call.cancel()
        await #expect(throws: Broken.self) { try await call.value }
        #expect(breaker.current.statistics.ignored == 1 && breaker.current.callsUnderWay == 0)
        try await breaker.call {}
        #expect(breaker.current.state.name == .recovering)
    }

    @Test("retries wait by the clock, and end with the last error")
    func retries() async throws {
        let budget = SharedRetryBudget(try RetryBudget(), seed: 1)
        let attempts = Mutex<[Int]>([])
        let run = Task { [time] in
            try await withRetry(
                RetryPolicy(), budget: budget, deadline: .after(.seconds(60), now: time.now), time: time
            ) { attempt in
                attempts.withLock { $0.append(attempt) }
                throw Broken()
            }
        }
        for _ in 0..<3 {
            await time.waitForSleepers(1)
            time.advance(by: .milliseconds(500))
        }
        await #expect(throws: Broken.self) { try await run.value }
        #expect(attempts.withLock { $0 } == [1, 2, 3, 4] && budget.tokens == 7)
    }

    @Test("cancelled while waiting for a probe, the next one may probe")
    func cancelledProbe() async throws {
        var bucket = try RetryBudget()
        for _ in 0..<6 { _ = bucket.take(now: time.now) }
        let budget = SharedRetryBudget(bucket, seed: 1)
        let deadline = Deadline.after(.seconds(60), now: time.now)
        let run = Task { [time] in
            try await withRetry(RetryPolicy(), budget: budget, deadline: deadline, time: time) { _ in throw Broken() }
        }
        await time.waitForSleepers(1)
        run.cancel()
        await #expect(throws: CancellationError.self) { try await run.value }
        var progress = RetryProgress(RetryPolicy())
        let decision = budget.failed(&progress, .retry(after: .seconds(1)), deadline: deadline, now: time.now)
        #expect(decision == .retry(at: time.now + .seconds(1), isProbe: true) && budget.tokens == 2)
    }

    @Test("a probe that has failed makes way for the next one")
    func probesInARow() async throws {
        var bucket = try RetryBudget()
        for _ in 0..<6 { _ = bucket.take(now: time.now) }
        let budget = SharedRetryBudget(bucket, seed: 1)
        let attempts = Mutex(0)
        let run = Task { [time] in
            try await withRetry(
                RetryPolicy(), budget: budget, deadline: .after(.seconds(20), now: time.now), time: time
            ) { _ in
                attempts.withLock { $0 += 1 }
                throw Broken()
            }
        }
        // Far less than brings a token or ends a probe that nobody ends.
        for _ in 0..<3 {
            await time.waitForSleepers(1)
            time.advance(by: .milliseconds(500))
        }
        await #expect(throws: Broken.self) { try await run.value }
        #expect(attempts.withLock { $0 } == 4 && budget.tokens == 1)
    }

    @Test("an attempt that was cancelled is followed by no other, and costs nothing of the budget")
    func cancelledAttempt() async throws {
        let budget = SharedRetryBudget(try RetryBudget(), seed: 1)
        let (started, signal) = AsyncStream<Void>.makeStream()
        let run = Task { [time] in
            try await withRetry(
                RetryPolicy(), budget: budget, deadline: .after(.seconds(60), now: time.now), time: time
            ) { _ in
                signal.yield()
                try await Self.untilCancelled()
            }
        }
        for await _ in started { break }
        run.cancel()
        await #expect(throws: Broken.self) { try await run.value }
        #expect(budget.tokens == 10)
    }

    @Test("a process that crashes again and again does not hammer: what was open stays open")
    func snapshots() throws {
        let configuration = CircuitBreaker.Configuration()
        var bench = try BreakerBench()
        bench.chance = 1
        try bench.call(.immediateFailure())
        let later = MonotonicInstant(nanoseconds: 77)
        func restored(_ elapsed: Duration) throws -> CircuitBreaker {
            let kept = bench.breaker.snapshot(now: bench.now)
            return try CircuitBreaker(configuration, restoring: kept, elapsed: elapsed, now: later, chance: 1)
        }
        let open = CircuitBreaker.State.open(until: later + .seconds(2), earliest: later)
        #expect(try restored(.seconds(1)).state == open)
        let set = CircuitBreaker.State.open(until: later + .seconds(3), earliest: later + .seconds(1))
        #expect(try restored(.seconds(-100)).state == set, "the wall clock was set back")
        bench.pass(.seconds(3))
        #expect(bench.breaker.state.name == .halfOpen)
        let longer = CircuitBreaker.State.open(until: later + .seconds(9), earliest: later + .seconds(1))
        #expect(try restored(.seconds(1)).state == longer, "died while probing")
        try bench.call(.success)
        #expect(try restored(.seconds(1)).allowance == 0.1)
        bench.breaker.isolate(by: "anna", reason: "disk", timeToLive: .seconds(10), now: bench.now)
        let isolation = CircuitBreaker.Isolation(owner: "anna", reason: "disk", until: later + .seconds(6))
        #expect(try restored(.seconds(4)).state == .forcedOpen(isolation))
        bench.breaker.disable(by: "anna", now: bench.now)
        bench.breaker.resume(by: "anna", now: bench.now)
        for _ in 0..<2 { try bench.call(.failure) }
        var again = try restored(.zero)
        guard case .permitted(let permit) = again.acquire(now: later, chance: 1) else { throw Broken() }
        again.complete(permit, .failure, now: later, chance: 1)
        #expect(again.state.name == .open, "the failures of before count")
        var kept = bench.breaker.snapshot(now: bench.now)
        kept.consecutiveFailures = -1
        kept.lastOpenTime = .zero
        #expect(throws: ConfigurationProblems.self) {
            try CircuitBreaker(configuration, restoring: kept, elapsed: .zero, now: later, chance: 0)
        }
    }
}
