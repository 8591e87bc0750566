import Synchronization

/// Which numbers were handed to a writer, and which of them it has accepted, as told by the one who called `append`.
public final class Promises: Sendable {
    private struct State {
        var next: Int64 = 1
        var attempted = RangeSet<Int64>()
        var accepted = RangeSet<Int64>()
    }

    private let state = Mutex(State())

    public init() {}

    /// The next numbers. Whether they are accepted is not known yet.
    public func take(_ count: Int) -> Range<Int64> {
        state.withLock { state in
            let numbers = state.next..<state.next + Int64(count)
            state.next = numbers.upperBound
            state.attempted.insert(contentsOf: numbers)
            return numbers
        }
    }

    /// Numbers that somebody else has given out; those that are not accepted may have been, unheard.
    public func note(_ numbers: Range<Int64>, isAccepted: Bool) {
        state.withLock { state in
            state.attempted.insert(contentsOf: numbers)
            if isAccepted { state.accepted.insert(contentsOf: numbers) }
        }
    }

    /// Not accepted, and known to be so: nothing of it may ever land.
    public func refuse(_ numbers: Range<Int64>) { state.withLock { $0.attempted.remove(contentsOf: numbers) } }

    public func accept(_ numbers: Range<Int64>) { state.withLock { $0.accepted.insert(contentsOf: numbers) } }

    public var accepted: RangeSet<Int64> { state.withLock(\.accepted) }
    public var attempted: RangeSet<Int64> { state.withLock(\.attempted) }
    public var acceptedCount: Int { accepted.ranges.reduce(0) { $0 + $1.count } }
}
