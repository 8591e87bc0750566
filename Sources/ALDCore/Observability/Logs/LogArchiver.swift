import Foundation
import Synchronization

/// Compresses what was put away, on a thread that lives as long as there is something to do: whoever logs never waits
/// for it.
final class LogArchiver: Sendable {
    private struct State {
        var isAsked = false
        var isRunning = false
        var isStopped = false
    }

    private let folder: LogFolder
    private let policy: LogRotation.Policy
    private let complain: @Sendable (String) -> Void
    private let state = Mutex(State())

    init(_ folder: LogFolder, _ policy: LogRotation.Policy, complain: @escaping @Sendable (String) -> Void) {
        (self.folder, self.policy, self.complain) = (folder, policy, complain)
    }

    /// There may be something to do.
    func ask() {
        let mustStart = state.withLock { state -> Bool in
            guard !state.isStopped else { return false }
            state.isAsked = true
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if mustStart { Thread.detachNewThread { self.work() } }
    }

    private func work() {
        Thread.current.name = "ald.archive"
        #if os(Linux)
            // PRIO_PROCESS, on Linux of this thread alone: what opens valves must not wait for it.
            setpriority(__priority_which_t(0), 0, 10)
        #endif
        while state.withLock({ Self.goesOn(&$0) }) {
            do {
                _ = try folder.tidy(policy) { self.state.withLock(\.isStopped) }
            } catch {
                complain("what was put away of \(folder.path(folder.log)) is not compressed: \(error)")
            }
        }
    }

    private static func goesOn(_ state: inout State) -> Bool {
        if state.isAsked, !state.isStopped {
            state.isAsked = false
        } else {
            state.isRunning = false
        }
        return state.isRunning
    }

    /// Waits until there is nothing to do.
    ///
    /// - Returns: whether that came within `limit`.
    @discardableResult func finish(within limit: Duration) -> Bool {
        let deadline = ContinuousClock.now + limit
        while state.withLock(\.isRunning) {
            if ContinuousClock.now >= deadline { return false }
            usleep(1000)
        }
        return true
    }

    /// Ends after the piece that is being compressed; the rest is for the next process.
    func stop() {
        state.withLock { $0.isStopped = true }
        finish(within: .seconds(5))
    }
}
