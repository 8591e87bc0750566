public import ALDCore
import Foundation
import HeapModule
import Synchronization

/// A world of one thread, virtual time and seeded chance, in which real services run.
///
/// Whatever was spawned on one of its ``WorldNode``s runs here one job after the other. When nothing is ready, time
/// jumps to the earliest sleeper; what is due at one instant comes in any order, like all that is ready. The same seed
/// gives the same run, job by job, which ``digest`` shows.
///
/// ```swift
/// let world = World(seed: 42)
/// let node = world.node("collector")
/// let day = node.spawn { try await service(time: node.time).run() }
/// try world.run(for: .seconds(86_400))
/// ```
///
/// What runs inside must take time and chance as arguments, and must not create unstructured tasks, threads or
/// dispatch queues: a job that comes from outside stops the world with ``WorldError/Reason/escaped``.
public final class World: Sendable {
    /// When every world begins.
    public static let beginning = MonotonicInstant(nanoseconds: 1_000_000_000_000)
    /// Civil time at the beginning: 2026-01-01T00:00:00Z.
    static let civilBeginning = Timestamp(microseconds: 1_767_225_600_000_000)
    /// So many jobs at one instant are a livelock.
    private static let jobsPerInstant = 1_000_000

    private enum Wake: Sendable {
        case sleeper(Int)
        case call(Int)
        case action(@Sendable () -> Void)
    }

    private struct Timer: Comparable, Sendable {
        var at: MonotonicInstant
        var sequence: Int
        var node: Int
        var wake: Wake

        static func < (left: Timer, right: Timer) -> Bool { (left.at, left.sequence) < (right.at, right.sequence) }
        static func == (left: Timer, right: Timer) -> Bool { left.sequence == right.sequence }
    }

    private struct Ready: Sendable {
        var job: UnownedJob
        var node: WorldNode
    }

    private struct State {
        var now = World.beginning
        var ready: [Ready] = []
        /// Whose instant has come.
        var due: [Timer] = []
        var timers = Heap<Timer>()
        var sequence = 0
        /// Unsafe, because a day has a million: whoever resumes one has taken it out of here.
        var sleepers: [Int: UnsafeContinuation<Void, any Error>] = [:]
        var calls: [Int: @Sendable () -> Void] = [:]
        /// Sleepers that were cancelled before they had lain down.
        var cancelled: Set<Int> = []
        var schedule: WorldSchedule
        var digest = WorldDigest()
        var jobs = 0
        var jobsNow = 0
        /// Of each node, by its number, whether it has crashed.
        var crashed: [Bool] = []
        /// What nodes that have crashed would have done, until ``World/end()``.
        var buried: [Ready] = []
        /// Everything that was spawned and has not ended by itself.
        var spawned: [Int: Task<Void, Never>] = [:]
        /// Nodes that stand still, and what they would do.
        var frozen: [Int: (jobs: [Ready], timers: [Timer])] = [:]
        var runner: pthread_t?
        var hasEscaped = false
        var trace: [String]?

        /// - Parameter node: -1: nobody.
        func hasCrashed(_ node: Int) -> Bool { node >= 0 && crashed[node] }
    }

    public let seed: UInt64
    /// See ``invariant(_:every:check:)``.
    let invariants = Mutex<[Invariant]>([])
    /// Whether there are any: asked after every step.
    let hasInvariants = Atomic(false)
    private let state: Mutex<State>

    /// - Parameters:
    ///   - order: which of several ready jobs runs. Defaults to random, which finds what others do not.
    ///   - keepsTrace: whether ``trace`` is kept; the digest is made either way.
    public init(seed: UInt64, order: WorldSchedule.Order = .random, keepsTrace: Bool = false) {
        self.seed = seed
        let schedule = WorldSchedule(order, random: Self.stream("schedule", of: seed))
        state = Mutex(State(schedule: schedule, trace: keepsTrace ? [] : nil))
    }

    // MARK: Looking

    public var now: MonotonicInstant { state.withLock(\.now) }
    /// How many jobs have run.
    public var jobs: Int { state.withLock(\.jobs) }
    /// Of every job and every ``note(_:)`` so far.
    public var digest: WorldDigest { state.withLock(\.digest) }
    /// What was noted, with the time in milliseconds since the beginning; empty unless it is kept.
    public var trace: [String] { state.withLock { $0.trace ?? [] } }
    /// The schedule with the choices it has made.
    public var schedule: WorldSchedule { state.withLock(\.schedule) }

    /// A stream of chance of its own for `label`: a draw more here shifts nothing there.
    public func stream(_ label: String) -> SeededGenerator { Self.stream(label, of: seed) }

    private static func stream(_ label: String, of seed: UInt64) -> SeededGenerator {
        var digest = WorldDigest()
        digest.mix(seed)
        digest.mix(label)
        return SeededGenerator(seed: digest.value)
    }

    /// Enters something that happened into the digest and the trace.
    public func note(_ what: @autoclosure () -> String) {
        let line = what()
        state.withLock { state in
            state.digest.mix(line)
            state.trace?.append("\((state.now - Self.beginning).wholeNanoseconds / 1_000_000) \(line)")
        }
    }

    // MARK: Populating

    /// A process, or anything that crashes as a whole.
    public func node(_ name: String) -> WorldNode {
        let number = state.withLock { state in
            state.crashed.append(false)
            return state.crashed.count - 1
        }
        return WorldNode(name: name, number: number, world: self)
    }

    /// Runs `action` on the world's thread at `instant`, or now when that has passed.
    public func schedule(at instant: MonotonicInstant, _ action: @escaping @Sendable () -> Void) {
        schedule(at: instant, node: -1, action)
    }

    /// - Parameter node: with whose crash the action is forgotten; -1: nobody's.
    func schedule(at instant: MonotonicInstant, node: Int, _ action: @escaping @Sendable () -> Void) {
        state.withLock { Self.add(Wake.action(action), at: instant, node: node, &$0) }
    }

    private static func add(_ wake: Wake, at instant: MonotonicInstant, node: Int, _ state: inout State) {
        state.sequence += 1
        let timer = Timer(at: max(instant, state.now), sequence: state.sequence, node: node, wake: wake)
        if timer.at > state.now { state.timers.insert(timer) } else { state.due.append(timer) }
    }

    func enqueue(_ job: UnownedJob, of node: WorldNode) {
        state.withLock { state in
            guard !state.hasCrashed(node.number) else { return state.buried.append(Ready(job: job, node: node)) }
            if let runner = state.runner, pthread_equal(runner, pthread_self()) == 0 { state.hasEscaped = true }
            let ready = Ready(job: job, node: node)
            let isFrozen = !state.frozen.isEmpty && state.frozen[node.number]?.jobs.append(ready) != nil
            if !isFrozen { state.ready.append(ready) }
        }
    }

    /// What the node was about to do never happens, also not what others would tell it.
    func crash(_ node: WorldNode) {
        state.withLock { state in
            state.crashed[node.number] = true
            state.buried += state.ready.filter { $0.node.number == node.number }
            state.ready.removeAll { $0.node.number == node.number }
        }
        note("crash \(node.name)")
    }

    /// What the node would do waits; its sleepers wake together afterwards.
    func freeze(_ node: WorldNode, until end: MonotonicInstant) {
        let isNew = state.withLock { state -> Bool in
            guard state.frozen[node.number] == nil, end > state.now else { return false }
            let jobs = state.ready.filter { $0.node.number == node.number }
            state.ready.removeAll { $0.node.number == node.number }
            state.frozen[node.number] = (jobs, [])
            return true
        }
        guard isNew else { return }
        note("freeze \(node.name)")
        schedule(at: end) {
            self.state.withLock { state in
                guard let frozen = state.frozen.removeValue(forKey: node.number) else { return }
                if state.hasCrashed(node.number) { state.buried += frozen.jobs } else { state.ready += frozen.jobs }
                state.due += frozen.timers
            }
            self.note("thaw \(node.name)")
        }
    }

    nonisolated(nonsending) func sleep(until deadline: MonotonicInstant, node: Int) async throws {
        let id = state.withLock { state in
            state.sequence += 1
            return state.sequence
        }
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
                let outcome = state.withLock { state -> Result<Void, any Error>? in
                    if state.cancelled.remove(id) != nil { return .failure(CancellationError()) }
                    if deadline <= state.now { return .success(()) }
                    state.sleepers[id] = continuation
                    Self.add(.sleeper(id), at: deadline, node: node, &state)
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                let sleeper = state.sleepers.removeValue(forKey: id)
                if sleeper == nil { state.cancelled.insert(id) }
                return sleeper
            }
            sleeper?.resume(throwing: CancellationError())
        }
        state.withLock { if !$0.cancelled.isEmpty { $0.cancelled.remove(id) } }
    }

    func call(at deadline: MonotonicInstant, node: Int, _ action: @escaping @Sendable () -> Void) -> any ScheduledCall {
        let id = state.withLock { state in
            Self.add(.call(state.sequence + 1), at: deadline, node: node, &state)
            state.calls[state.sequence] = action
            return state.sequence
        }
        return WorldCall(world: self, id: id)
    }

    private struct WorldCall: ScheduledCall {
        let world: World
        let id: Int

        func cancel() { world.state.withLock { $0.calls[id] = nil } }
    }

    // MARK: Ending

    func noteSpawned(_ task: Task<Void, Never>, as number: Int) { state.withLock { $0.spawned[number] = task } }
    func noteEnded(_ number: Int) { state.withLock { $0.spawned[number] = nil } }

    func nextNumber() -> Int {
        state.withLock { state in
            state.sequence += 1
            return state.sequence
        }
    }

    /// How long what has crashed may take to unwind, and in how many jobs.
    private static let unwinding = (time: Duration.seconds(120), jobs: 500_000)

    /// Lets go of everything, when all has been looked at. What has crashed unwinds now: the language has no other end for
    /// a task, and one that never ends keeps this world and its database for ever.
    ///
    /// - Returns: whether everything that was spawned has ended.
    @discardableResult public func end() -> Bool {
        invariants.withLock { $0 = [] }
        hasInvariants.store(false, ordering: .relaxed)
        let (tasks, sleepers, calls, most) = state.withLock { state in
            defer { (state.sleepers, state.calls) = ([:], [:]) }
            state.crashed = state.crashed.map { _ in false }
            state.ready += state.buried
            for (_, frozen) in state.frozen.sorted(by: { $0.key < $1.key }) {
                state.ready += frozen.jobs
                state.due += frozen.timers
            }
            (state.buried, state.frozen) = ([], [:])
            let tasks = state.spawned.sorted { $0.key < $1.key }.map(\.value)
            let sleepers = state.sleepers.sorted { $0.key < $1.key }.map(\.value)
            let calls = state.calls.sorted { $0.key < $1.key }.map(\.value)
            return (tasks, sleepers, calls, state.jobs + Self.unwinding.jobs)
        }
        for task in tasks { task.cancel() }
        for sleeper in sleepers { sleeper.resume() }
        for call in calls { call() }
        do throws(WorldError) {
            try run(until: now + Self.unwinding.time) { state.withLock { $0.spawned.isEmpty || $0.jobs > most } }
        } catch {
            // What cannot even end has been judged before; the answer says so.
        }
        return state.withLock { state in
            (state.due, state.timers) = ([], Heap())
            return state.spawned.isEmpty
        }
    }

    // MARK: Running

    private enum Step {
        case run(Ready)
        case wake(UnsafeContinuation<Void, any Error>)
        case act(@Sendable () -> Void)
        case skip
        case ended
        case stopped(WorldError.Reason)
    }

    /// Lets so much time pass, or less when nothing is left to happen.
    public func run(for duration: Duration) throws(WorldError) {
        try run(until: now + duration)
    }

    /// Runs until `end`, or until nothing is left to happen; time is `end` afterwards.
    public func run(until end: MonotonicInstant) throws(WorldError) {
        try run(until: end) { false }
        state.withLock { $0.now = max($0.now, end) }
    }

    /// Runs until `isDone`.
    ///
    /// - Parameter limit: the latest instant. Defaults to one that never comes.
    /// - Returns: whether it was done by then.
    /// - Throws: what breaks an invariant, at the step that did it; also when nothing is left to happen before it is done: a deadlock.
    @discardableResult public func run(
        until limit: MonotonicInstant = MonotonicInstant(nanoseconds: .max), isDone: () -> Bool
    ) throws(WorldError) -> Bool {
        state.withLock { $0.runner = pthread_self() }
        defer { state.withLock { $0.runner = nil } }
        while !isDone() {
            switch step(until: limit) {
            case .run(let ready): ready.job.runSynchronously(on: ready.node.asUnownedTaskExecutor())
            case .wake(let continuation): continuation.resume()
            case .act(let action): action()
            case .skip: break
            case .ended: return false
            case .stopped(.deadlock) where limit.nanoseconds < .max: return false
            case .stopped(let reason): throw error(reason)
            }
            if let broken = brokenInvariant() { throw error(.violated(broken)) }
        }
        return true
    }

    private func step(until limit: MonotonicInstant) -> Step {
        state.withLock { state in
            if state.hasEscaped { return .stopped(.escaped) }
            if state.ready.isEmpty, state.due.isEmpty {
                guard let next = Self.next(&state) else { return .stopped(.deadlock) }
                guard next <= limit else { return .ended }
                Self.move(to: next, &state)
            }
            state.jobsNow += 1
            if state.jobsNow > Self.jobsPerInstant { return .stopped(.livelock(jobs: state.jobsNow)) }
            let index = state.schedule.choose(among: state.ready.count + state.due.count)
            state.digest.mix(UInt64(bitPattern: state.now.nanoseconds) ^ UInt64(index) << 48)
            if index < state.ready.count {
                state.jobs += 1
                return .run(state.ready.remove(at: index))
            }
            return Self.perform(state.due.remove(at: index - state.ready.count), &state)
        }
    }

    /// When something happens next. What was called off, or has crashed, moves no time.
    private static func next(_ state: inout State) -> MonotonicInstant? {
        while let timer = state.timers.min {
            let isCalledOff =
                switch timer.wake {
                case .sleeper(let id): state.sleepers[id] == nil
                case .call(let id): state.calls[id] == nil
                case .action: false
                }
            if !isCalledOff, !state.hasCrashed(timer.node) { return timer.at }
            state.timers.removeMin()
        }
        return nil
    }

    private static func perform(_ timer: Timer, _ state: inout State) -> Step {
        if state.hasCrashed(timer.node) { return .skip }
        if case .sleeper(let id) = timer.wake {
            // Also one that stands still: what it does then waits.
            return state.sleepers.removeValue(forKey: id).map { .wake($0) } ?? .skip
        }
        if !state.frozen.isEmpty, state.frozen[timer.node]?.timers.append(timer) != nil { return .skip }
        switch timer.wake {
        case .sleeper: return .skip
        case .call(let id): return state.calls.removeValue(forKey: id).map { .act($0) } ?? .skip
        case .action(let action): return .act(action)
        }
    }

    private static func move(to instant: MonotonicInstant, _ state: inout State) {
        if instant > state.now { state.jobsNow = 0 }
        state.now = instant
        while let timer = state.timers.min, timer.at <= instant { state.due.append(state.timers.removeMin()) }
    }

    func error(_ reason: WorldError.Reason) -> WorldError { WorldError(reason: reason, seed: seed, at: now) }
}
