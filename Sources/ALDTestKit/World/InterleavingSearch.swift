/// Looks for an interleaving under which something goes wrong.
public enum InterleavingSearch {
    /// What was tried, and what was found.
    public struct Outcome: Sendable {
        public var runs = 0
        /// The first order under which the check failed, to be replayed; `nil` when it never did.
        public var failing: WorldSchedule.Order?
        public var seed: UInt64?
        public var failure: String?
        /// Whether everything within the bound was tried.
        public var isExhausted = false
    }

    /// Runs `check` under one random order after the other.
    ///
    /// - Parameter check: populates and runs the world that it is given; throws when something went wrong.
    public static func random(
        from seed: UInt64, runs: Int, _ check: (World) throws -> Void
    ) -> Outcome {
        var outcome = Outcome()
        for seed in seed..<seed + UInt64(runs) {
            outcome.runs += 1
            do {
                try check(World(seed: seed))
            } catch {
                (outcome.failing, outcome.seed, outcome.failure) = (.random, seed, "\(error)")
                return outcome
            }
        }
        return outcome
    }

    /// Runs `check` under every order that differs from first-in-first-out at up to `deviations` decisions.
    ///
    /// Most races need one or two (delay-bounded scheduling, Emmi, Qadeer and Rakamarić, POPL 2011).
    public static func bounded(
        seed: UInt64, deviations: Int, atMost runs: Int, _ check: (World) throws -> Void
    ) -> Outcome {
        var outcome = Outcome()
        // Those that have fewer deviations come first.
        var open: [[Int: Int]] = [[:]]
        var next = 0
        while next < open.count, outcome.runs < runs {
            let tried = open[next]
            next += 1
            outcome.runs += 1
            let world = World(seed: seed, order: .deviating(tried))
            do {
                try check(world)
            } catch {
                (outcome.failing, outcome.seed, outcome.failure) = (.deviating(tried), seed, "\(error)")
                return outcome
            }
            guard tried.count < deviations else { continue }
            let choices = world.schedule.choices
            // Only behind the last one, so that no order comes twice.
            for decision in choices.indices.dropFirst(tried.keys.max().map { $0 + 1 } ?? 0) {
                for choice in 1..<choices[decision] { open.append(tried.merging([decision: choice]) { $1 }) }
            }
        }
        outcome.isExhausted = next == open.count
        return outcome
    }
}
