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
        /// Of all readings, how many break a rule of their table: the same ones at every attempt.
        public var refusedReadings = 0.0
        /// What every call takes beside its work.
        public var delay = Duration.zero

        public init() {}
    }

    /// What is known of the rows of one instant.
    public struct Landed: Hashable, Sendable {
        public var rows = 0
        /// Of parameters and values, whatever their order.
        public var checksum: UInt64 = 0

        mutating func add(_ row: HistoryRow) {
            rows += 1
            checksum &+= WorldPLC.digest(row.parameter, row.value)
        }
    }

    private enum Entry { case applied([UInt8]), voided(BatchCut) }

    private struct State {
        var ledger: [BatchID: Entry] = [:]
        /// In order of the commits, with what each changed.
        /// What it had confirmed and has no more.
        var forgotten: [BatchID: Batch] = [:]
        var commits: [(at: MonotonicInstant, id: BatchID, batch: Batch?)] = []
        var landed: [Timestamp: Landed] = [:]
        var gaps: [CollectionGap] = []
        var letters: [DeadLetter: Int] = [:]
        var records = 0
        /// How often a batch came again that was in.
        var resolved = 0
        /// How often each event of a process is in.
        var events: [ProcessEvent: Int] = [:]
        /// Told of events of processes as they land.
        var followers: [@Sendable ([ProcessEvent]) -> Void] = []
    }

    /// Other tables of this database are reached through it, too.
    let server: WorldServer
    private let state = Mutex(State())
    private static let rowsPerSecond = 200_000

    /// - Parameter instants: for so many there is room from the start. More are no trouble.
    public init(_ world: World, instants: Int = 0) {
        server = WorldServer(world)
        state.withLock { state in
            state.ledger.reserveCapacity(instants)
            state.landed.reserveCapacity(instants)
            state.commits.reserveCapacity(instants)
        }
    }

    // MARK: What a test sees and does

    public var faults: Faults {
        get { server.faults }
        set { server.faults = newValue }
    }

    /// Records that are in, gaps included.
    public var records: Int { state.withLock(\.records) }
    /// How often a batch was delivered once more that had landed although nobody heard of it.
    public var resolved: Int { state.withLock(\.resolved) }
    public var landed: [Timestamp: Landed] { state.withLock(\.landed) }
    /// Events of processes, and how often each is in.
    public var processEvents: [ProcessEvent: Int] { state.withLock(\.events) }
    public var gaps: [CollectionGap] { state.withLock(\.gaps) }
    /// Dead letters, and how often each is in.
    public var deadLetters: [DeadLetter: Int] { state.withLock(\.letters) }
    /// How often each fault had an effect.
    public var bites: [String: Int] { server.bites }

    /// The server is replaced by a standby or a backup that lacks every commit since `instant`.
    ///
    /// - Returns: how many commits it has forgotten.
    @discardableResult public func restore(to instant: MonotonicInstant) -> Int {
        let forgotten = state.withLock { state in
            let kept = state.commits.prefix { $0.at <= instant }.count
            for commit in state.commits[kept...] {
                state.ledger[commit.id] = nil
                guard let batch = commit.batch else { continue }
                Self.change(&state, batch, by: -1)
                state.forgotten[batch.id] = batch
            }
            defer { state.commits.removeSubrange(kept...) }
            return state.commits.count - kept
        }
        server.restart(forgotten > 0 ? .databaseForgets : nil)
        server.world.note("database forgets \(forgotten) commits")
        return forgotten
    }

    /// The batch with this name, if it has landed, was forgotten, and has not landed again.
    func forgotten(_ name: BatchID) -> Batch? { state.withLock { $0.forgotten[name] } }

    /// The server restarts: what is under way is lost, every connection is new.
    public func restart() {
        server.restart(.databaseRestarts)
        server.world.note("database restarts")
    }

    // MARK: BatchSink

    public var session: Int { server.session }

    public func deliver(
        _ batches: [Batch], deadline: MonotonicInstant
    ) async throws(SinkFault) -> [BatchLanding] {
        let rows = batches.reduce(0) { $0 + $1.records.count }
        let outcome = try await call(work: .seconds(rows) / Self.rowsPerSecond, deadline: deadline) {
            [server] state, now -> Result<[BatchLanding], SinkFault> in
            let rule = WorldRule(share: server.faults.refusedReadings)
            if let refusal = rule.refusal(of: batches, isKnown: { state.ledger[$0] != nil }) {
                server.bite(.readingsRefused)
                return .failure(refusal)
            }
            return .success(batches.map { Self.land($0, &state, now: now) })
        }
        return try outcome.get()
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

    private func call<Answer: Sendable>(
        work: Duration, deadline: MonotonicInstant,
        _ body: @escaping @Sendable (inout State, MonotonicInstant) -> Answer
    ) async throws(SinkFault) -> Answer {
        do throws(WorldServer.Failure) {
            return try await server.call(work: work, deadline: deadline) {
                self.state.withLock { body(&$0, self.server.now) }
            }
        } catch {
            throw SinkFault(error)
        }
    }

    private static func land(_ batch: Batch, _ state: inout State, now: MonotonicInstant) -> BatchLanding {
        if let landing = past(of: batch, state.ledger[batch.id]) {
            if landing == .known { state.resolved += 1 }
            return landing
        }
        state.ledger[batch.id] = .applied(batch.digest)
        state.forgotten[batch.id] = nil
        state.commits.append((now, batch.id, batch))
        change(&state, batch, by: 1)
        return .landed
    }

    /// What the ledger says of a name; `nil` when it does not know it.
    private static func past(of batch: Batch, _ entry: Entry?) -> BatchLanding? {
        switch entry {
        case .applied(let digest): digest == batch.digest ? .known : .collision
        case .voided: .voided
        case nil: nil
        }
    }

    private static func change(_ state: inout State, _ batch: Batch, by sign: Int) {
        state.records += sign * batch.records.count
        switch batch.records {
        case .history(let rows):
            // The rows of one scan follow each other.
            var rest = rows[...]
            while let time = rest.first?.time {
                let scan = rest.prefix { $0.time == time }
                rest = rest.dropFirst(scan.count)
                var landed = state.landed[time] ?? Landed()
                landed.rows += sign * scan.count
                let digest = scan.reduce(0 as UInt64) { $0 &+ WorldPLC.digest($1.parameter, $1.value) }
                landed.checksum = sign > 0 ? landed.checksum &+ digest : landed.checksum &- digest
                state.landed[time] = landed.rows == 0 ? nil : landed
            }
        case .gaps(let gaps):
            if sign > 0 { state.gaps += gaps } else { state.gaps.removeAll { gaps.contains($0) } }
        case .processEvents(let events):
            count(events, in: &state.events, by: sign)
            if sign > 0 { for follower in state.followers { follower(events) } }
        case .deadLetters(let letters): count(letters, in: &state.letters, by: sign)
        case .unregistered: break
        }
    }

    private static func count<Record: Hashable>(_ records: [Record], in all: inout [Record: Int], by sign: Int) {
        for record in records {
            let count = all[record, default: 0] + sign
            all[record] = count == 0 ? nil : count
        }
    }

    /// - Parameter follow: told of events of processes as they land; must not ask the database anything.
    func onProcessEvents(_ follow: @escaping @Sendable ([ProcessEvent]) -> Void) {
        state.withLock { $0.followers.append(follow) }
    }
}

extension SinkFault {
    fileprivate init(_ failure: WorldServer.Failure) {
        switch failure.kind {
        case .unsent: self.init(.unsent, failure.reason)
        case .refused: self.init(.transient, failure.reason)
        case .inDoubt: self.init(.inDoubt, failure.reason)
        }
    }
}
