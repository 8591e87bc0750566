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
    private enum Wake: Sendable {
        case task(CheckedContinuation<Void, any Error>)
        case call(@Sendable () -> Void)

        func perform() {
            switch self {
            case .task(let continuation): continuation.resume()
            case .call(let action): action()
            }
        }
    }

    private struct Sleeper: Sendable {
        var id: Int
        var deadline: MonotonicInstant
        var wake: Wake
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

    /// How many tasks sleep now, or wait until they are called.
    public var sleeperCount: Int { state.withLock(\.sleepers.count) }

    public func sleep(until deadline: MonotonicInstant) async throws {
        let id = nextID()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                lieDown(Sleeper(id: id, deadline: deadline, wake: .task(continuation)))
            }
        } onCancel: {
            let sleeper = state.withLock { state -> Sleeper? in
                guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else {
                    state.cancelled.insert(id)
                    return nil
                }
                return state.sleepers.remove(at: index)
            }
            if case .task(let continuation)? = sleeper?.wake { continuation.resume(throwing: CancellationError()) }
        }
    }

    public func call(at deadline: MonotonicInstant, _ action: @escaping @Sendable () -> Void) -> any ScheduledCall {
        let id = nextID()
        lieDown(Sleeper(id: id, deadline: deadline, wake: .call(action)))
        return ManualCall(time: self, id: id)
    }

    private struct ManualCall: ScheduledCall {
        let time: ManualTime
        let id: Int

        func cancel() { time.state.withLock { state in state.sleepers.removeAll { $0.id == id } } }
    }

    private func nextID() -> Int {
        state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
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
        case .cancelled:
            if case .task(let continuation) = sleeper.wake { continuation.resume(throwing: CancellationError()) }
        case .due: sleeper.wake.perform()
        }
    }

    /// Returns as soon as at least `count` tasks sleep on this clock, or wait until it calls them.
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
        due.forEach { $0.wake.perform() }
    }
}
