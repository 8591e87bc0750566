import ALDCore
import Synchronization

/// The server of a ``World``'s database and the way to it: what a call takes, what becomes of it, and whose restart
/// forgets it. The tables are models that hang their work in here, so that all of them have the same faults.
final class WorldServer: Sendable {
    /// Why a call has no answer.
    struct Failure: Error, Hashable {
        enum Kind: Hashable {
            /// Nothing reached the server.
            case unsent
            /// The server said no, and has changed nothing.
            case refused
            /// It may happen, have happened, or never happen.
            case inDoubt
        }

        var kind: Kind
        var reason: String
    }

    private struct State {
        var faults = WorldDatabase.Faults()
        var session = 0
        var random: SeededGenerator
        var bites: [String: Int] = [:]
        /// Told when every session has ended.
        var listeners: [@Sendable () -> Void] = []
    }

    let world: World
    private let time: any TimeSource
    private let state: Mutex<State>
    private static let roundTrip = Duration.milliseconds(2)

    init(_ world: World) {
        self.world = world
        time = world.node("database").time
        state = Mutex(State(random: world.stream("database")))
    }

    var now: MonotonicInstant { time.now }
    /// Civil time as the server has it; nobody sets this clock.
    var clock: Timestamp { time.wallClock }
    /// One number for each life of the server: every connection of an earlier one has ended.
    var session: Int { state.withLock(\.session) }
    var bites: [String: Int] { state.withLock(\.bites) }

    var faults: WorldDatabase.Faults {
        get { state.withLock(\.faults) }
        set { state.withLock { $0.faults = newValue } }
    }

    /// A fault of this kind has had an effect.
    func bite(_ kind: WorldFault.Kind) { state.withLock { $0.bites[kind.bite, default: 0] += 1 } }

    /// What is under way is lost, and every connection is new.
    ///
    /// - Parameter kind: counts as a bite; `nil` when it had no effect.
    func restart(_ kind: WorldFault.Kind?) {
        let listeners = state.withLock { state in
            state.session += 1
            if let kind { state.bites[kind.bite, default: 0] += 1 }
            defer { state.listeners = [] }
            return state.listeners
        }
        for listener in listeners { listener() }
    }

    /// - Parameter told: once, when every session of now has ended.
    func onRestart(_ told: @escaping @Sendable () -> Void) { state.withLock { $0.listeners.append(told) } }

    // MARK: Calls

    private enum Fate { case answer, loseAnswer, lose, late(Duration), refuse, down }

    /// - Parameter body: what the server does, at one instant; it is not done when the call is lost.
    func call<Answer: Sendable>(
        work: Duration = .zero, deadline: MonotonicInstant, _ body: @escaping @Sendable () -> Answer
    ) async throws(Failure) -> Answer {
        let (fate, delay, life) = state.withLock { state in
            (Self.fate(&state), Self.roundTrip + work + state.faults.delay, state.session)
        }
        switch fate {
        case .down:
            try await wait(until: min(time.now + .milliseconds(1), deadline))
            throw Failure(kind: .unsent, reason: "the database cannot be reached")
        case .refuse:
            try await wait(until: min(time.now + delay, deadline))
            throw Failure(kind: .refused, reason: "the database said no for now")
        case .lose:
            try await wait(until: deadline)
            throw Failure(kind: .inDoubt, reason: "no answer by the deadline")
        case .answer, .loseAnswer, .late:
            break
        }
        let answer = Mutex<Answer?>(nil)
        let told = Wakeup()
        let isHeard = if case .answer = fate { true } else { false }
        let start = if case .late(let later) = fate { max(deadline, time.now) + later } else { time.now + delay }
        // Whatever becomes of the caller: it is the server that does it.
        world.schedule(at: start) {
            // Calls of an earlier life of the server never happen.
            if self.session == life {
                let given = body()
                answer.withLock { $0 = given }
            }
            told.signal()
        }
        if isHeard, start <= deadline {
            await told.wait(until: deadline, time: time)
            if let answer = answer.withLock({ $0 }) { return answer }
        } else {
            try await wait(until: deadline)
        }
        throw Failure(kind: .inDoubt, reason: "no answer by the deadline")
    }

    private func wait(until instant: MonotonicInstant) async throws(Failure) {
        do {
            try await time.sleep(until: instant)
        } catch {
            throw Failure(kind: .inDoubt, reason: "the caller was cancelled")
        }
    }

    /// Whether a word of the server to a client is lost on its way.
    func losesWord() -> Bool {
        state.withLock { state in
            let rate = max(state.faults.lostCalls, state.faults.lostAnswers)
            return rate > 0 && Double.random(in: 0..<1, using: &state.random) < rate
        }
    }

    private static func fate(_ state: inout State) -> Fate {
        let faults = state.faults
        func bites(_ kind: WorldFault.Kind, _ rate: Double) -> Bool {
            guard rate > 0, Double.random(in: 0..<1, using: &state.random) < rate else { return false }
            state.bites[kind.bite, default: 0] += 1
            return true
        }
        if faults.delay > .zero { state.bites[WorldFault.Kind.databaseSlow.bite, default: 0] += 1 }
        if faults.isDown {
            state.bites[WorldFault.Kind.databaseDown.bite, default: 0] += 1
            return .down
        }
        if bites(.databaseRefuses, faults.refusals) { return .refuse }
        if bites(.callsLost, faults.lostCalls) { return .lose }
        if bites(.answersLost, faults.lostAnswers) { return .loseAnswer }
        if bites(.callsLate, faults.lateCalls) {
            return .late(.milliseconds(Int64.random(in: 1...10_000, using: &state.random)))
        }
        return .answer
    }
}

/// What another part of the world has answered, as far as anybody hears it.
final class WorldOutcome<Answer: Sendable>: Sendable {
    private let answer = Mutex<Answer?>(nil)

    var value: Answer? { answer.withLock(\.self) }
    func set(_ answer: Answer) { self.answer.withLock { $0 = answer } }
}

extension PostgresError {
    /// How a table says that its server did not answer.
    init(_ failure: WorldServer.Failure) {
        switch failure.kind {
        case .unsent: self.init(.connectionFailed, failure.reason, effect: .notSent)
        case .refused: self.init(.queryFailed, failure.reason, effect: .notApplied)
        case .inDoubt: self.init(.timedOut, failure.reason, effect: .unknown)
        }
    }
}
