import Synchronization

/// One ``RetryBudget`` for all tasks that call the same peer.
public final class SharedRetryBudget: Sendable {
    private struct State {
        var budget: RetryBudget
        var random: SeededGenerator
    }

    private let state: Mutex<State>

    /// - Parameter seed: of the chance that spreads the waits; another one for each process.
    public init(_ budget: RetryBudget, seed: UInt64) {
        state = Mutex(State(budget: budget, random: SeededGenerator(seed: seed)))
    }

    /// What is left, in tokens.
    public var tokens: Double { state.withLock(\.budget.tokens) }

    func succeeded(now: MonotonicInstant) {
        state.withLock { $0.budget.succeeded(now: now) }
    }

    func probeEnded() {
        state.withLock { $0.budget.probeEnded() }
    }

    func failed(
        _ progress: inout RetryProgress, _ advice: RetryPolicy.Advice, deadline: Deadline, now: MonotonicInstant
    ) -> RetryPolicy.Decision {
        state.withLock { state in
            let chance = Double.random(in: 0..<1, using: &state.random)
            return progress.failed(advice, budget: &state.budget, deadline: deadline, now: now, chance: chance)
        }
    }
}
