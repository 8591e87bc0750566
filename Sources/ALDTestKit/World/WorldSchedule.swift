public import ALDCore

/// Which of several ready jobs of a ``World`` runs next: a pure decision, and the only place where interleavings come
/// from.
public struct WorldSchedule: Sendable {
    public enum Order: Hashable, Sendable {
        /// The one that has been ready longest. What an ordinary serial executor does; it finds next to no race.
        case firstInFirstOut
        /// The one that has become ready last.
        case lastInFirstOut
        /// Any of them, as the seed says.
        case random
        /// First in, first out, but at the numbered decisions another one: `[7: 1]` runs the second oldest at the
        /// seventh. Decisions count from 0 and only where there is a choice. ``InterleavingSearch`` makes these.
        case deviating([Int: Int])
    }

    public let order: Order
    private var random: SeededGenerator
    /// Between how many jobs each decision so far has chosen; only kept for ``Order/deviating(_:)``.
    public private(set) var choices: [Int] = []
    private var decisions = 0

    public init(_ order: Order, random: SeededGenerator) {
        self.order = order
        self.random = random
    }

    /// - Parameter count: how many jobs are ready, oldest first; at least 1.
    /// - Returns: the index of the one that runs.
    mutating func choose(among count: Int) -> Int {
        guard count > 1 else { return 0 }
        switch order {
        case .firstInFirstOut: return 0
        case .lastInFirstOut: return count - 1
        case .random: return Int.random(in: 0..<count, using: &random)
        case .deviating(let deviations):
            defer { decisions += 1 }
            choices.append(count)
            return min(deviations[decisions, default: 0], count - 1)
        }
    }
}
