/// Whether looking for an answer before the event loop sleeps has paid lately.
///
/// A device that answers within the time of a look keeps the score up. One that takes longer brings it down twice as
/// fast; from then on only one chance in ``trialInterval`` is tried, to notice when it becomes quick.
///
/// After ``burst`` answers in a row the event loop must bring one: a caller on it that has its answer goes on at once
/// and asks again, and the loop serves no other connection while anybody on it has something to do.
struct PollScore: Hashable, Sendable {
    static let maximum = 16
    static let trialInterval = 256
    static let burst = 64

    private(set) var value = PollScore.maximum / 2
    private var chances = 0
    private var inARow = 0

    /// Whether to look this time.
    mutating func shouldPoll() -> Bool {
        guard inARow < Self.burst else { return false }
        guard value == 0 else { return true }
        chances += 1
        guard chances == Self.trialInterval else { return false }
        chances = 0
        return true
    }

    /// The answer came while looking for it.
    mutating func hit() {
        value = min(Self.maximum, value + 1)
        inARow += 1
    }

    /// The event loop brought an answer itself, so it has looked after everybody.
    mutating func loopHadItsTurn() {
        inARow = 0
    }

    /// It did not.
    mutating func miss() {
        value = max(0, value - 2)
    }
}
