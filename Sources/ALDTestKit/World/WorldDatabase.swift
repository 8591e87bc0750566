public import ALDCore
import Synchronization

/// A database in a ``World``: a ledger, the rows that it has let in, a speed, and faults.
///
/// It is a model and not PostgreSQL, and keeps what the writer relies on: a delivery is one transaction, a batch's name
/// lands once, a name that was closed never lands, and whatever was sent may happen although nobody hears of it.
public final class WorldDatabase: BatchSink {
    /// What may be wrong with it. Rates are probabilities per call.
    public struct Faults: Hashable, Sendable {
        public var isDown = false
        /// The server does it, and the answer is lost.
        public var lostAnswers = 0.0
        /// The call is lost on its way.
        public var lostCalls = 0.0
        /// The server does it some seconds after the caller has given up.
        public var lateCalls = 0.0
        /// The server says no, and would have said yes a moment later.
        public var refusals = 0.0
        /// What every call takes beside its work.
        public var delay = Duration.zero

        public init() {}
    }

    /// What is known of the rows of one instant.
    public struct Landed: Hashable, Sendable {
        public var rows = 0
        /// Of parameters and values, whatever their order.
        public var checksum: UInt64 = 0
    }

    private enum Entry { case applied([UInt8]), voided(BatchCut) }

    private struct State {
        var faults = Faults()
        var ledger: [BatchID: Entry] = [:]
        /// In order of the commits, with what each changed.
        var commits: [(at: MonotonicInstant, id: BatchID, batch: Batch?)] = []
        var landed: [Timestamp: Landed] = [:]
        var gaps: [CollectionGap] = []
        var records = 0
        var session = 0
        /// Calls of an earlier life of the server never happen.
        var life = 0
        var random: SeededGenerator
        var bites: [String: Int] = [:]
    }

    private let world: World
    private let time: any TimeSource
    private let state: Mutex<State>
    private static let roundTrip = Duration.milliseconds(2)
    private static let rowsPerSecond = 200_000

    public init(_ world: World) {
        self.world = world
        time = world.node("database").time
        state = Mutex(State(random: world.stream("database")))
    }

    // MARK: What a test sees and does

    public var faults: Faults {
        get { state.withLock(\.faults) }
        set { state.withLock { $0.faults = newValue } }
    }

    /// Records that are in, gaps included.
    public var records: Int { state.withLock(\.records) }
    public var landed: [Timestamp: Landed] { state.withLock(\.landed) }
    public var gaps: [CollectionGap] { state.withLock(\.gaps) }
    /// How often each fault had an effect.
    public var bites: [String: Int] { state.withLock(\.bites) }

    /// The server is replaced by a standby or a backup that lacks every commit since `instant`.
    ///
    /// - Returns: how many commits it has forgotten.
    @discardableResult public func restore(to instant: MonotonicInstant) -> Int {
        let forgotten = state.withLock { state in
            let kept = state.commits.prefix { $0.at <= instant }.count
            for commit in state.commits[kept...] {
                state.ledger[commit.id] = nil
                if let batch = commit.batch { Self.change(&state, batch, by: -1) }
            }
            defer { state.commits.removeSubrange(kept...) }
            state.session += 1
            state.life += 1
            if state.commits.count > kept { state.bites[WorldFault.Kind.databaseForgets.bite, default: 0] += 1 }
            return state.commits.count - kept
        }
        world.note("database forgets \(forgotten) commits")
        return forgotten
    }

    /// The server restarts: what is under way is lost, every connection is new.
    public func restart() {
        state.withLock { state in
            state.session += 1
            state.life += 1
            state.bites[WorldFault.Kind.databaseRestarts.bite, default: 0] += 1
        }
        world.note("database restarts")
    }

    // MARK: BatchSink

    public var session: Int { state.withLock(\.session) }

    public func deliver(
        _ batches: [Batch], deadline: MonotonicInstant
    ) async throws(SinkFault) -> [BatchLanding] {
        let rows = batches.reduce(0) { $0 + $1.records.count }
        return try await call(work: .seconds(rows) / Self.rowsPerSecond, deadline: deadline) { state, now in
            batches.map { Self.land($0, &state, now: now) }
        }
    }

    public func void(
        _ batch: Batch, as cut: BatchCut, deadline: MonotonicInstant
    ) async throws(SinkFault) -> BatchClosing {
        try await call(work: .zero, deadline: deadline) { state, now in
            switch state.ledger[batch.id] {
            case .applied(let digest): return digest == batch.digest ? .landed : .collision
            case .voided(let decided): return .closed(decided)
            case nil: break
            }
            state.ledger[batch.id] = .voided(cut)
            state.commits.append((now, batch.id, nil))
            return .closed(cut)
        }
    }

    public func missing(
        of batches: [BatchHeader], deadline: MonotonicInstant
    ) async throws(SinkFault) -> [BatchHeader]? {
        try await call(work: .zero, deadline: deadline) { state, _ in
            batches.filter { state.ledger[$0.id] == nil }
        }
    }

    // MARK: Calls

    private enum Fate { case answer, loseAnswer, lose, late(Duration), refuse, down }

    private func call<Answer: Sendable>(
        work: Duration, deadline: MonotonicInstant,
        _ body: @escaping @Sendable (inout State, MonotonicInstant) -> Answer
    ) async throws(SinkFault) -> Answer {
        let (fate, delay, life) = state.withLock { state in
            (Self.fate(&state), Self.roundTrip + work + state.faults.delay, state.life)
        }
        switch fate {
        case .down:
            try await wait(until: min(time.now + .milliseconds(1), deadline))
            throw SinkFault(.unsent, "the database cannot be reached")
        case .refuse:
            try await wait(until: min(time.now + delay, deadline))
            throw SinkFault(.transient, "the database said no for now")
        case .lose:
            try await wait(until: deadline)
            throw SinkFault(.inDoubt, "no answer by the deadline")
        case .answer, .loseAnswer, .late:
            break
        }
        let outcome = Outcome<Answer>()
        let isHeard = if case .answer = fate { true } else { false }
        let start = if case .late(let later) = fate { max(deadline, time.now) + later } else { time.now + delay }
        // Whatever becomes of the caller: it is the server that does it.
        world.schedule(at: start) {
            self.state.withLock { state in
                guard state.life == life else { return }
                outcome.set(body(&state, self.world.now))
            }
        }
        if isHeard, start <= deadline {
            try await wait(until: start)
            // Its turn comes at the same instant, maybe after ours.
            if outcome.value == nil { try await wait(until: min(start + .milliseconds(1), deadline)) }
            if let answer = outcome.value { return answer }
        } else {
            try await wait(until: deadline)
        }
        throw SinkFault(.inDoubt, "no answer by the deadline")
    }

    private func wait(until instant: MonotonicInstant) async throws(SinkFault) {
        do {
            try await time.sleep(until: instant)
        } catch {
            throw SinkFault(.inDoubt, "the caller was cancelled")
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

    private static func land(_ batch: Batch, _ state: inout State, now: MonotonicInstant) -> BatchLanding {
        if let landing = past(of: batch, state) { return landing }
        state.ledger[batch.id] = .applied(batch.digest)
        state.commits.append((now, batch.id, batch))
        change(&state, batch, by: 1)
        return .landed
    }

    /// What the ledger says of a name; `nil` when it does not know it.
    private static func past(of batch: Batch, _ state: State) -> BatchLanding? {
        switch state.ledger[batch.id] {
        case .applied(let digest): digest == batch.digest ? .known : .collision
        case .voided: .collision
        case nil: nil
        }
    }

    private static func change(_ state: inout State, _ batch: Batch, by sign: Int) {
        state.records += sign * batch.records.count
        switch batch.records {
        case .history(let rows):
            for row in rows {
                var landed = state.landed[row.time] ?? Landed()
                landed.rows += sign
                let digest = WorldPLC.digest(row.parameter, row.value)
                landed.checksum = sign > 0 ? landed.checksum &+ digest : landed.checksum &- digest
                state.landed[row.time] = landed.rows == 0 ? nil : landed
            }
        case .gaps(let gaps):
            if sign > 0 { state.gaps += gaps } else { state.gaps.removeAll { gaps.contains($0) } }
        default: break
        }
    }
}

/// What the server has answered, as far as anybody hears it.
private final class Outcome<Answer: Sendable>: Sendable {
    private let answer = Mutex<Answer?>(nil)

    var value: Answer? { answer.withLock(\.self) }
    func set(_ answer: Answer) { self.answer.withLock { $0 = answer } }
}
