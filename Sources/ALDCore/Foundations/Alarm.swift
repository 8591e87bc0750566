import Synchronization

/// Rings a bell at the instant that was set last: one sleep for a loop that is woken far more often than its deadline
/// changes.
///
/// The runtime keeps a sleep that was cancelled, a task and a timer of 2 KB together, until its time would have come. A
/// loop that begins one whenever it is woken, a thousand times a second and for a deadline in 15 s, has 30 MB of them.
final class Alarm: Sendable {
    private let instant = Mutex<MonotonicInstant?>(nil)
    private let changed = Wakeup()
    private let bell: Wakeup

    init(ringing bell: Wakeup) {
        self.bell = bell
    }

    /// - Parameter new: replaces what was set before; `nil`: it does not ring.
    func set(_ new: MonotonicInstant?) {
        let isNews = instant.withLock { old in
            defer { old = new }
            return old != new
        }
        if isNews { changed.signal() }
    }

    /// Until the task is cancelled.
    func run(time: some TimeSource) async {
        while !Task.isCancelled {
            guard let due = instant.withLock(\.self) else {
                await changed.wait()
                continue
            }
            if time.now < due {
                await changed.wait(until: due, time: time)
                continue
            }
            let isStillSet = instant.withLock { current in
                guard current == due else { return false }
                current = nil
                return true
            }
            if isStillSet { bell.signal() }
        }
    }
}
