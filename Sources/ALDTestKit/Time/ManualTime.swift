public import ALDCore
import Synchronization

/// A clock that stands still until the test moves it.
///
/// Code under test sleeps on it as on the real one. A test waits until the code has gone to sleep, then moves time:
///
/// ```swift
/// await time.waitForSleepers(1)
/// time.advance(by: .seconds(1))
/// ```
public final class ManualTime: TimeSource {
    private struct Sleeper {
        var id: Int
        var deadline: MonotonicInstant
        var continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now: MonotonicInstant
        var nextID = 0
        var sleepers: [Sleeper] = []
        /// Sleepers that were cancelled before they had lain down.
        var cancelled: Set<Int> = []
        var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state: Mutex<State>
    private let start: MonotonicInstant
    private let startOfCivilTime: Timestamp

    /// - Parameter wallClock: civil time at the start. Defaults to 2026-01-01T00:00:00Z.
    public init(wallClock: Timestamp = Timestamp(microseconds: 1_767_225_600_000_000)) {
        start = MonotonicInstant(nanoseconds: 1_000_000_000_000)
        startOfCivilTime = wallClock
        state = Mutex(State(now: start))
    }

    public var now: MonotonicInstant { state.withLock(\.now) }

    public var wallClock: Timestamp { startOfCivilTime.advanced(by: now - start) }

    /// How many tasks sleep now.
    public var sleeperCount: Int { state.withLock(\.sleepers.count) }

    public func sleep(until deadline: MonotonicInstant) async throws {
        let id = state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                lieDown(Sleeper(id: id, deadline: deadline, continuation: continuation))
            }
        } onCancel: {
            let sleeper = state.withLock { state -> Sleeper? in
                guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else {
                    state.cancelled.insert(id)
                    return nil
                }
                return state.sleepers.remove(at: index)
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    private func lieDown(_ sleeper: Sleeper) {
        enum Outcome { case asleep, cancelled, due }
        let (outcome, watchers) = state.withLock { state -> (Outcome, [CheckedContinuation<Void, Never>]) in
            if state.cancelled.remove(sleeper.id) != nil { return (.cancelled, []) }
            if sleeper.deadline <= state.now { return (.due, []) }
            state.sleepers.append(sleeper)
            let satisfied = state.watchers.filter { $0.count <= state.sleepers.count }
            state.watchers.removeAll { $0.count <= state.sleepers.count }
            return (.asleep, satisfied.map(\.continuation))
        }
        switch outcome {
        case .asleep: watchers.forEach { $0.resume() }
        case .cancelled: sleeper.continuation.resume(throwing: CancellationError())
        case .due: sleeper.continuation.resume()
        }
    }

    /// Returns as soon as at least `count` tasks sleep on this clock.
    public func waitForSleepers(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isSatisfied = state.withLock { state -> Bool in
                if state.sleepers.count >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if isSatisfied { continuation.resume() }
        }
    }

    /// Moves time forward and wakes everybody whose time has come, earliest first.
    public func advance(by duration: Duration) {
        let due = state.withLock { state -> [Sleeper] in
            state.now = state.now + duration
            let due = state.sleepers.filter { $0.deadline <= state.now }.sorted { $0.deadline < $1.deadline }
            state.sleepers.removeAll { $0.deadline <= state.now }
            return due
        }
        due.forEach { $0.continuation.resume() }
    }
}
