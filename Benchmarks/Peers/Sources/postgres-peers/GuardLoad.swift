import ALDCore

/// What the breaker and the retry wrapper cost a call that does nothing and succeeds.
enum GuardLoad {
    static func breaker(seconds: Double) async throws {
        let breaker = SharedCircuitBreaker(try CircuitBreaker(), time: Target.time, seed: 1)
        try await Measurement.repeated(seconds: seconds) {
            for _ in 0..<1000 { try await breaker.call {} }
            return 1000
        }
    }

    static func retry(seconds: Double) async throws {
        let budget = SharedRetryBudget(try RetryBudget(), seed: 1)
        let deadline = Deadline.after(.seconds(3600), now: Target.time.now)
        try await Measurement.repeated(seconds: seconds) {
            for _ in 0..<1000 {
                try await withRetry(RetryPolicy(), budget: budget, deadline: deadline, time: Target.time) { _ in }
            }
            return 1000
        }
    }

    static func nothing(seconds: Double) async throws {
        try await Measurement.repeated(seconds: seconds) {
            for _ in 0..<1000 { try await call {} }
            return 1000
        }
    }

    @inline(never)
    private nonisolated(nonsending) static func call(_ body: () async throws -> Void) async throws { try await body() }
}
