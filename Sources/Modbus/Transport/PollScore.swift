/// Whether looking for an answer before the event loop sleeps has paid lately.
///
/// A device that answers within the time of a look keeps the score up. One that takes longer brings it down twice as
/// fast; from then on only one chance in ``trialInterval`` is tried, to notice when it becomes quick.
struct PollScore: Hashable, Sendable {
    static let maximum = 16
    static let trialInterval = 256

    private(set) var value = PollScore.maximum / 2
    private var chances = 0

    /// Whether to look this time.
    mutating func shouldPoll() -> Bool {
        guard value == 0 else { return true }
        chances += 1
        guard chances == Self.trialInterval else { return false }
        chances = 0
        return true
    }

    /// The answer came while looking for it.
    mutating func hit() {
        value = min(Self.maximum, value + 1)
    }

    /// It did not.
    mutating func miss() {
        value = max(0, value - 2)
    }
}
