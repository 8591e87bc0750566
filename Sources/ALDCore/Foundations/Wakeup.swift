import Synchronization

/// A doorbell for one waiting task: rung from anywhere and never missed.
///
/// A service's loop waits on it for "something changed" together with a deadline, instead of polling. A ring that
/// comes while nobody waits is kept, and answers the next wait at once. A wait that was cancelled may leave a ring
/// behind, so whoever waits looks at what it waits for after every wait.
public final class Wakeup: Sendable {
    private struct State {
        var isRung = false
        /// The deadline of the wait that goes on has passed.
        var isExpired = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    public init() {}

    /// Rings: the waiting task, or the next one to wait, goes on.
    public func signal() {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            defer { state.waiter = nil }
            if state.waiter == nil { state.isRung = true }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Waits until somebody rings or the task is cancelled. Only one task may wait at a time.
    public func wait() async { await wait(orExpiry: false) }

    private func wait(orExpiry: Bool) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goOn = state.withLock { state -> Bool in
                    if state.isRung || orExpiry && state.isExpired || Task.isCancelled {
                        state.isRung = false
                        return true
                    }
                    state.waiter = continuation
                    return false
                }
                if goOn { continuation.resume() }
            }
        } onCancel: {
            signal()
        }
    }

    /// Waits until somebody rings, also when the task is cancelled: for those who have to see the end of what they began.
    public func waitThroughCancellation() async {
        await withCheckedContinuation { continuation in
            let goOn = state.withLock { state -> Bool in
                if state.isRung {
                    state.isRung = false
                    return true
                }
                state.waiter = continuation
                return false
            }
            if goOn { continuation.resume() }
        }
    }

    /// Waits until somebody rings, `deadline` passes or the task is cancelled, whichever comes first.
    public func wait(until deadline: MonotonicInstant, time: some TimeSource) async {
        state.withLock { $0.isExpired = false }
        // Ends with this scope: what still sleeps then is cancelled and waited for, so none outlives its wait.
        async let _: Void = expire(at: deadline, time)
        await wait(orExpiry: true)
    }

    private func expire(at deadline: MonotonicInstant, _ time: some TimeSource) async {
        do {
            try await time.sleep(until: deadline)
        } catch {
            // The wait's own doing: the ring came first. A clock that cannot sleep is no reason to wait for ever.
            if Task.isCancelled { return }
        }
        // Not a ring: nothing is left behind for the next wait.
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            defer { (state.waiter, state.isExpired) = (nil, true) }
            return state.waiter
        }
        waiter?.resume()
    }
}
