import ALDCore
import Synchronization

/// What terminals at tables that somebody held have come to.
struct LockedTerminals: Sendable {
    /// A Terminal 1, with a machine of its own.
    struct Recorder: Sendable {
        /// Readings that it has accepted.
        var accepted: Int
        /// Those that the database has of its machine.
        var recorded: RecordedRows
        /// Instants that it missed for want of controller or disk.
        var missed: Int
        /// Waits for a connection that were given up.
        var connectionTimeouts = 0
        /// Instants at which it recorded while the tables were locked; `nil` when it had not begun by then.
        var cyclesBehindLock: Int?
        /// Whether it records again, or still, when all is over.
        var goesOn: Bool
        /// From the end of the lock until nothing of it waited any more.
        var recovery: Duration

        var hasStopped: Bool { !goesOn || cyclesBehindLock.map { $0 < 1 } ?? false }
    }

    /// Terminal 2: a recipe ran when the tables were locked, and others were asked for behind the lock.
    struct Recipes: Sendable {
        var asked: Int
        var succeeded: Int
        /// Steps that the machine did while the tables were locked.
        var stepsBehindLock: Int
    }

    /// So many recorders were begun.
    var expected: Int
    var recorders: [Recorder]
    /// `nil` without a Terminal 2.
    var recipes: Recipes?

    func note(_ run: ScenarioRun) {
        // Each recorder for itself: what one has lost is not made good by what another has twice.
        run.note("lost or doubled", count: recorders.reduce(0) { $0 + $1.recorded.lostOrDoubled(of: $1.accepted) })
        run.note("terminals that stopped", count: expected - recorders.count { !$0.hasStopped })
        run.note("collection missed", count: recorders.reduce(0) { $0 + $1.missed })
        run.note("connection timeouts", count: recorders.reduce(0) { $0 + $1.connectionTimeouts })
        if let recovery = recorders.map(\.recovery).max() { run.note("recovery", recovery) }
        guard let recipes else { return }
        run.note("recipes done", count: recipes.succeeded)
        run.note("recipes lost", count: recipes.asked - recipes.succeeded)
        run.note("recipe steps behind the lock", count: recipes.stepsBehindLock)
    }
}

/// Who is there, what is locked, and what was done meanwhile.
final class LockStage: Sendable {
    private struct State {
        var arrived = 0
        var isLocked = false
        var isOver = false
        var probes: [@Sendable () -> Int] = []
        var atBeginning: [Int] = []
        var atEnd: [Int] = []
    }

    private let state = Mutex(State())
    private let expected: Int

    init(expected: Int) {
        self.expected = expected
    }

    var isComplete: Bool { state.withLock(\.arrived) >= expected }
    var isLocked: Bool { state.withLock(\.isLocked) }
    var isOver: Bool { state.withLock(\.isOver) }

    func arrive() { state.withLock { $0.arrived += 1 } }

    /// - Parameter probe: counts something, and is asked at the beginning and at the end of the lock.
    /// - Returns: its number.
    func count(_ probe: @escaping @Sendable () -> Int) -> Int {
        state.withLock { state in
            state.probes.append(probe)
            return state.probes.count - 1
        }
    }

    /// The tables are held from now on.
    func lock() {
        let counts = state.withLock(\.probes).map { $0() }
        state.withLock { ($0.isLocked, $0.atBeginning) = (true, counts) }
    }

    /// The tables are about to be given back.
    func unlock() {
        let counts = state.withLock(\.probes).map { $0() }
        state.withLock { $0.atEnd = counts }
    }

    func end() { state.withLock { $0.isOver = true } }

    /// What a probe has counted behind the lock; `nil` when it came after its beginning.
    func counted(_ probe: Int) -> Int? {
        state.withLock { state in
            guard state.atBeginning.indices.contains(probe), state.atEnd.indices.contains(probe) else { return nil }
            return state.atEnd[probe] - state.atBeginning[probe]
        }
    }
}
