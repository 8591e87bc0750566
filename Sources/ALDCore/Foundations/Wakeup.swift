import Synchronization

/// A doorbell for one waiting task: rung from anywhere and never missed.
///
/// A service's loop waits on it for "something changed" together with a deadline, instead of polling. A ring that
/// comes while nobody waits is kept, and answers the next wait at once. A wait that was cancelled may leave a ring
/// behind, so whoever waits looks at what it waits for after every wait.
public final class Wakeup: Sendable {
    private struct State {
        var isRung = false
        /// Rises with every wait that has a deadline.
        var waits = 0
        /// The deadline of the wait that goes on has passed.
        var isExpired = false
        /// Unsafe, because everything here waits with it, thousands of times a second: whoever resumes it has taken it out
        /// of here under the lock, and nobody leaves without having been resumed.
        var waiter: UnsafeContinuation<Void, Never>?

        mutating func lieDown(_ continuation: UnsafeContinuation<Void, Never>) {
            precondition(waiter == nil, "only one task may wait at a time")
            waiter = continuation
        }
    }

    private let state = Mutex(State())

    public init() {}

    /// Rings: the waiting task, or the next one to wait, goes on.
    public func signal() {
        let waiter = state.withLock { state in
            if state.waiter == nil { state.isRung = true }
            return state.waiter.take()
        }
        waiter?.resume()
    }

    /// Waits until somebody rings or the task is cancelled. Only one task may wait at a time.
    nonisolated(nonsending) public func wait() async { await wait(orExpiry: false) }

    nonisolated(nonsending) private func wait(orExpiry: Bool) async {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let goOn = state.withLock { state -> Bool in
                    if state.isRung || orExpiry && state.isExpired || Task.isCancelled {
                        state.isRung = false
                        return true
                    }
                    state.lieDown(continuation)
                    return false
                }
                if goOn { continuation.resume() }
            }
        } onCancel: {
            signal()
        }
    }

    /// Waits until somebody rings, also when the task is cancelled: for those who have to see the end of what they began.
    nonisolated(nonsending) public func waitThroughCancellation() async {
        await withUnsafeContinuation { continuation in
            let goOn = state.withLock { state -> Bool in
                if state.isRung {
                    state.isRung = false
                    return true
                }
                state.lieDown(continuation)
                return false
            }
            if goOn { continuation.resume() }
        }
    }

    /// Waits until somebody rings, `deadline` passes or the task is cancelled, whichever comes first.
    nonisolated(nonsending) public func wait(until deadline: MonotonicInstant, time: some TimeSource) async {
        let wait = state.withLock { state in
            (state.waits, state.isExpired) = (state.waits + 1, false)
            return state.waits
        }
        let expiry = time.call(at: deadline) { self.expire(wait) }
        await self.wait(orExpiry: true)
        expiry.cancel()
        // An expiry that is just coming comes too late.
        state.withLock { $0.waits += 1 }
    }

    private func expire(_ wait: Int) {
        // Not a ring: nothing is left behind for the next wait.
        let waiter = state.withLock { state -> UnsafeContinuation<Void, Never>? in
            guard state.waits == wait else { return nil }
            state.isExpired = true
            return state.waiter.take()
        }
        waiter?.resume()
    }
}
