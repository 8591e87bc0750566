public import ALDCore
import Synchronization

/// A process of a ``World``: what runs on it, its clock, and its end.
public final class WorldNode: TaskExecutor, Sendable {
    public let name: String
    let number: Int
    private let world: World
    private let clockOffset = Mutex(Duration.zero)

    init(name: String, number: Int, world: World) {
        self.name = name
        self.number = number
        self.world = world
    }

    public func enqueue(_ job: consuming ExecutorJob) {
        world.enqueue(UnownedJob(job), of: self)
    }

    /// Starts `body` here. Structured tasks inside it stay here, too.
    @discardableResult public func spawn<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) -> WorldTask<Value> {
        let outcome = WorldTask<Value>()
        let number = world.nextNumber()
        PreferredExecutor.$current.withValue(self) {
            let task = Task(executorPreference: self) { [world] in
                do {
                    outcome.end(.success(try await body()))
                } catch {
                    outcome.end(.failure(error))
                }
                world.noteEnded(number)
            }
            outcome.hold(task)
            world.noteSpawned(task, as: number)
        }
        return outcome
    }

    /// The process dies: nothing that runs here goes on, and nothing is cleaned up.
    public func crash() { world.crash(self) }

    /// The process stands still for so long, as after SIGSTOP. Time goes on, and it finds everything late afterwards.
    public func freeze(for duration: Duration) { world.freeze(self, until: world.now + duration) }

    /// Runs `action` here after `delay`, unless the process has crashed by then.
    public func schedule(after delay: Duration, _ action: @escaping @Sendable () -> Void) {
        world.schedule(at: world.now + delay, node: number, action)
    }

    /// The clocks of this process: monotonic time is the world's, civil time may be set.
    public var time: some TimeSource { WorldTime(node: self, world: world) }

    /// Somebody sets this process's civil clock: from now on it is so far ahead; negative: behind.
    public func setClock(ahead offset: Duration) { clockOffset.withLock { $0 = offset } }

    fileprivate var wallClock: Timestamp {
        World.civilBeginning.advanced(by: (world.now - World.beginning) + clockOffset.withLock(\.self))
    }
}

/// The clocks of a ``WorldNode``.
private struct WorldTime: TimeSource {
    let node: WorldNode
    let world: World

    var now: MonotonicInstant { world.now }
    var wallClock: Timestamp { node.wallClock }

    nonisolated(nonsending) func sleep(until deadline: MonotonicInstant) async throws {
        try await world.sleep(until: deadline, node: node.number)
    }

    func call(at deadline: MonotonicInstant, _ action: @escaping @Sendable () -> Void) -> any ScheduledCall {
        world.call(at: deadline, node: node.number, action)
    }
}

/// What was spawned on a node, to be looked at from outside of the world.
public final class WorldTask<Value: Sendable>: Sendable {
    private struct State {
        var task: Task<Void, Never>?
        var outcome: Result<Value, any Error>?
    }

    private let state = Mutex(State())

    /// `nil` while it runs, and for ever when its node has crashed.
    public var outcome: Result<Value, any Error>? { state.withLock(\.outcome) }
    public var isDone: Bool { outcome != nil }

    public func cancel() { state.withLock(\.task)?.cancel() }

    fileprivate func hold(_ task: Task<Void, Never>) { state.withLock { $0.task = task } }
    fileprivate func end(_ outcome: Result<Value, any Error>) { state.withLock { $0.outcome = outcome } }
}
