import Synchronization

/// Rings a bell at the instant that was set last: one call for a loop that is woken far more often than its deadline
/// changes.
final class Alarm: Sendable {
    private struct State {
        var instant: MonotonicInstant?
        var call: (any ScheduledCall)?
        /// Rises with every instant that is set, and when it has rung.
        var number = 0
    }

    private let state = Mutex(State())
    private let bell: Wakeup
    private let time: any TimeSource

    init(ringing bell: Wakeup, time: any TimeSource) {
        self.bell = bell
        self.time = time
    }

    /// - Parameter instant: replaces what was set before; `nil`: it does not ring.
    func set(_ instant: MonotonicInstant?) {
        let (number, old) = state.withLock { state -> (Int?, (any ScheduledCall)?) in
            if instant == state.instant { return (nil, nil) }
            defer { (state.instant, state.call, state.number) = (instant, nil, state.number + 1) }
            return (state.number + 1, state.call)
        }
        guard let number else { return }
        old?.cancel()
        guard let instant else { return }
        let call = time.call(at: instant) { self.ring(number) }
        let isStillSet = state.withLock { state in
            guard state.number == number else { return false }
            state.call = call
            return true
        }
        if !isStillSet { call.cancel() }
    }

    private func ring(_ number: Int) {
        let (isStillSet, call) = state.withLock { state -> (Bool, (any ScheduledCall)?) in
            guard state.number == number else { return (false, nil) }
            defer { (state.instant, state.call, state.number) = (nil, nil, state.number + 1) }
            return (true, state.call)
        }
        call?.cancel()
        if isStillSet { bell.signal() }
    }
}
