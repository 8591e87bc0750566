import ALDCore
import Synchronization

/// What must hold all the time, looked at from outside of the world.
extension World {
    struct Invariant: Sendable {
        var name: String
        var interval: Duration
        var next: MonotonicInstant
        var check: @Sendable () -> Bool
    }

    /// Demands that something holds from now on until ``end()``. The step after which it does not stops the run with
    /// ``WorldError/Reason/violated(_:)``, which names the seed and the instant.
    ///
    /// ```swift
    /// world.invariant("no more has landed than was accepted") { database.records <= writer.statistics.accepted }
    /// ```
    ///
    /// - Parameters:
    ///   - interval: of virtual time between two looks; the first step after it is looked at. Defaults to none: every
    ///     step is, of which a day has a million.
    ///   - check: whether it holds. It runs on the world's thread, must not wait, and changes nothing.
    public func invariant(
        _ name: String, every interval: Duration = .zero, check: @escaping @Sendable () -> Bool
    ) {
        let invariant = Invariant(name: name, interval: interval, next: now, check: check)
        invariants.withLock { $0.append(invariant) }
        hasInvariants.store(true, ordering: .relaxed)
    }

    /// The name of one that does not hold.
    func brokenInvariant() -> String? {
        // One that is added by another thread meanwhile is looked at after a later step.
        guard hasInvariants.load(ordering: .relaxed) else { return nil }
        let now = now
        // A check may look at the world, and add another one.
        let due = invariants.withLock { all in
            let due = all.indices.filter { all[$0].next <= now }
            for index in due { all[index].next = now + all[index].interval }
            return due.map { all[$0] }
        }
        return due.first { !$0.check() }?.name
    }
}
