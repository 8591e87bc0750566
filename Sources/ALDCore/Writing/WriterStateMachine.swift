/// Decides what the writer does next: which lane sends how much and when, what becomes of a refused batch, and when
/// to leave the database alone.
///
/// Whatever happens at the database comes in as an ``Event``; what to do comes out of ``next(_:now:chance:)`` as one
/// ``Action`` after the other. Each lane has at most one delivery under way. Acceptance is no concern of it: nothing
/// here can hold up an `append`.
struct WriterStateMachine: Sendable {
    struct Configuration: Sendable {
        var attemptTimeout: Duration = .seconds(10)
        var backoff = Backoff.Configuration()
        var breaker = CircuitBreaker.Configuration()
        var budget = RetryBudget.Configuration()
        var pace = DeliveryPace.Bounds()
        /// What is held is tried again after this time, up to twice as long by chance.
        var hold: Duration = .seconds(30)
        /// Fresh data that waits longer makes the backlog step back.
        var freshLag: Duration = .milliseconds(500)
        /// While a delivery of so many records is under way, what follows it is read. Of fewer, reading costs less than the
        /// trouble.
        var readsAheadFrom = PostgresSink.copiedRows
        /// Where not, a record that is refused holds those of its kind.
        var takesDeadLetters = true
    }

    /// How many batches of each kind wait in the spool, those on the benches included.
    struct Waiting: Hashable, Sendable {
        var fresh: [BatchKind: Int] = [:]
        var backlog: [BatchKind: Int] = [:]
        /// Behind it nothing is stored, whether it waits or not.
        var end = SpoolPosition(rawValue: .max)

        subscript(lane: Spool.Lane) -> [BatchKind: Int] { lane == .fresh ? fresh : backlog }

        var isNothing: Bool { fresh.isEmpty && backlog.isEmpty }

        /// Whether something waits in `lane` that is of none of these kinds.
        func hasOther(than kinds: Set<BatchKind>, in lane: Spool.Lane) -> Bool {
            self[lane].keys.contains { !kinds.contains($0) }
        }
    }

    enum Event: Sendable {
        /// The spool has brought these.
        case read(Spool.Lane, [WriterLane.Slot])
        /// The same, of what follows a delivery under way. Nothing, too, when it could not be read.
        case readAhead(Spool.Lane, [WriterLane.Slot])
        /// The database has answered for each batch of the attempt.
        case answered(Spool.Lane, [BatchLanding])
        /// The attempt failed as a whole.
        case failed(Spool.Lane, SinkFault)
        /// The first batch was cut and is not on the bench any more.
        case cut(Spool.Lane)
        /// The spool could not be read, or could not cut.
        case spoolFailed(Spool.Lane, SinkFault)
        /// What the database has forgotten waits again. `through`: how far that is known; `nil`: for everything.
        /// `asked`: whether the database was needed to know.
        case reconciled(through: SpoolPosition?, resurrected: Int, asked: Bool)
        case reconcileFailed(SinkFault)
        /// What was delivered went over another connection than what was delivered before.
        case reconnected
    }

    enum Action: Hashable, Sendable {
        /// What waits now becomes backlog.
        case moveBoundary
        /// Compare so many batches of what is stored behind this place with the ledger, as far as they are retained.
        case reconcile(after: SpoolPosition, batches: Int64, by: MonotonicInstant)
        /// Put what waits on the lane's bench, but not of these kinds.
        case read(Spool.Lane, Spool.Limits, excluding: Set<BatchKind>)
        /// Read what follows the bench, all of which is being delivered.
        case readAhead(Spool.Lane, Spool.Limits)
        /// Send so many batches from the head of the bench in one transaction.
        case deliver(Spool.Lane, batches: Int, by: MonotonicInstant)
        /// Close the name of the first batch on the bench.
        case void(Spool.Lane, by: MonotonicInstant)
        /// Cut the first batch on the bench.
        case cut(Spool.Lane, WriterLane.Cut)
        /// Nothing until something happens, at the latest until then.
        case wait(until: MonotonicInstant?)
        /// Cancel what is under way at the database: it had its time. The next start asks the ledger what became of it.
        case abandon
        case finish
    }

    private enum Reconciling: Hashable {
        /// The connection may be another one than before: the database behind it, too. Nobody waits for the result: should
        /// something be delivered meanwhile that the database knows, the ledger says so.
        case due(ReconcilingRound, notBefore: MonotonicInstant?)
        /// - Parameter isStale: the connection has changed again meanwhile.
        case underWay(ReconcilingRound, CircuitBreaker.Permit, isStale: Bool)
        case done
    }

    let configuration: Configuration
    var fresh: WriterLane
    var backlog: WriterLane
    var breaker: CircuitBreaker
    var budget: RetryBudget
    var systemic = SystemicGuard()
    private var share = BacklogShare()
    private var backlogRestsUntil: MonotonicInstant?
    /// Turns that the fresh lane has had in a row while the backlog wanted one, too.
    private var freshTurns = 0
    /// Since when something fresh waits.
    private var freshSince: MonotonicInstant?
    private var reconciling = Reconciling.due(ReconcilingRound(), notBefore: nil)
    private var reconcilingPage = ReconcilingPage()
    private var reconcileBackoff: Backoff
    /// Turns that deliveries have had since the ledger was asked last.
    private var turnsBeforeReconcile = 0
    private var boundaryIsDue: Bool
    private var mustEndBy: MonotonicInstant?
    private var hasAbandoned = false
    private var isFinished = false

    /// After so many turns of the fresh lane the backlog has one, when only one of them can be served at a time; after so
    /// many deliveries the ledger is asked.
    static let freshTurnsInARow = 4
    /// After so many deliveries of which all batches wait for somebody, the others of their kind wait a while, too.
    static let passedInARow = 16
    private static let leaseGrace = Duration.seconds(5)
    static let spoolPause = Duration.seconds(5)

    /// - Parameter carriedOver: whether an earlier process has left something in the spool.
    init(_ configuration: Configuration, carriedOver: Bool) throws {
        self.configuration = configuration
        fresh = WriterLane(backoff: configuration.backoff, pace: configuration.pace)
        backlog = WriterLane(backoff: configuration.backoff, pace: configuration.pace)
        breaker = try CircuitBreaker(configuration.breaker)
        budget = try RetryBudget(configuration.budget)
        reconcileBackoff = Backoff(configuration.backoff)
        boundaryIsDue = carriedOver
    }

    subscript(lane: Spool.Lane) -> WriterLane {
        // In place, and mutating: whoever asks for one property would otherwise copy all of a lane, and of the machine.
        mutating _read { if lane == .fresh { yield fresh } else { yield backlog } }
        _modify { if lane == .fresh { yield &fresh } else { yield &backlog } }
    }

    /// Why something is held; `nil` while nothing is.
    var heldBecause: SinkFault? {
        if fresh.isFree, backlog.isFree { return nil }
        let holds = fresh.holds.merging(backlog.holds) { fresh, _ in fresh }.mapValues(\.fault)
        // Of what is passed by the first ones wait just as well.
        let walks = fresh.walks.merging(backlog.walks) { fresh, _ in fresh }.mapValues(\.fault)
        return holds.merging(walks) { held, _ in held }.min { $0.key < $1.key }?.value
    }

    /// From now on only what can still land by `deadline` is sent.
    mutating func shutDown(by deadline: MonotonicInstant) {
        if mustEndBy == nil { mustEndBy = deadline }
    }

    // MARK: Next

    mutating func next(_ waiting: Waiting, now: MonotonicInstant, chance: Double) -> Action {
        if isFinished { return .finish }
        breaker.advance(now: now, chance: chance)
        let hasFresh = waiting.hasOther(than: fresh.held(now: now), in: .fresh)
        freshSince = hasFresh ? freshSince ?? now : nil
        if boundaryIsDue, fresh.bench.isEmpty, !fresh.isBusy {
            boundaryIsDue = false
            freshSince = nil
            // From here on that is for the backlog.
            (fresh.doubts, fresh.walks) = ([], [:])
            return .moveBoundary
        }
        if !boundaryIsDue { forgetHolds(waiting) }
        let mayStart = mustEndBy.map { now < $0 } ?? true
        if mayStart, let action = start(waiting, now: now, chance: chance) { return action }
        guard let mustEndBy else { return .wait(until: nextInstant(waiting, now: now)) }
        // Whoever shuts down does not wait for a sick database: the spool keeps what is left.
        if !fresh.isBusy, !backlog.isBusy, !isReconciling {
            isFinished = true
            return .finish
        }
        if now < mustEndBy { return .wait(until: mustEndBy) }
        if hasAbandoned { return .wait(until: nil) }
        hasAbandoned = true
        return .abandon
    }

    /// What is held or passed by and does not wait any more has been settled in another way.
    private mutating func forgetHolds(_ waiting: Waiting) {
        if fresh.isFree, backlog.isFree { return }
        fresh.holds = fresh.holds.filter { waiting.fresh[$0.key] != nil }
        backlog.holds = backlog.holds.filter { waiting.backlog[$0.key] != nil }
        fresh.walks = fresh.walks.filter { waiting.fresh[$0.key] != nil }
        backlog.walks = backlog.walks.filter { waiting.backlog[$0.key] != nil }
    }

    private mutating func start(_ waiting: Waiting, now: MonotonicInstant, chance: Double) -> Action? {
        if turnsBeforeReconcile >= Self.freshTurnsInARow, let action = reconcile(waiting, now: now, chance: chance) {
            return action
        }
        let backlogFirst = freshTurns >= Self.freshTurnsInARow
        for lane in backlogFirst ? [Spool.Lane.backlog, .fresh] : [.fresh, .backlog] {
            if let action = start(lane, waiting, now: now, chance: chance) {
                if case .read = action { return action }
                if case .readAhead = action { return action }
                freshTurns = lane == .fresh && !waiting.backlog.isEmpty ? freshTurns + 1 : 0
                turnsBeforeReconcile += 1
                return action
            }
        }
        return reconcile(waiting, now: now, chance: chance)
    }

    private mutating func reconcile(_ waiting: Waiting, now: MonotonicInstant, chance: Double) -> Action? {
        // Whoever shuts down leaves it to the next start.
        guard mustEndBy == nil, case .due(let round, let notBefore) = reconciling,
            notBefore.map({ $0 <= now }) ?? true,
            let permit = permit(now: now, chance: chance)
        else { return nil }
        reconciling = .underWay(round.asked(storedUpTo: waiting.end), permit, isStale: false)
        turnsBeforeReconcile = 0
        return .reconcile(after: round.after, batches: reconcilingPage.size, by: deadline(now: now))
    }

    private mutating func start(
        _ lane: Spool.Lane, _ waiting: Waiting, now: MonotonicInstant, chance: Double
    ) -> Action? {
        switch self[lane].state {
        case .reading, .cutting: return nil
        case .working: return readAhead(lane, waiting)
        case .pausing(let until):
            guard now >= until else { return nil }
            self[lane].state = .resting
        case .resting: break
        }
        switch self[lane].step {
        case .cut(let cut):
            self[lane].state = .cutting
            return .cut(lane, cut)
        case .void:
            guard let permit = permit(now: now, chance: chance) else { return nil }
            self[lane].state = .working(permit)
            return .void(lane, by: deadline(now: now))
        case .deliver:
            return deliver(lane, waiting, now: now, chance: chance)
        }
    }

    private mutating func deliver(
        _ lane: Spool.Lane, _ waiting: Waiting, now: MonotonicInstant, chance: Double
    ) -> Action? {
        if lane == .backlog, mustEndBy == nil, let until = backlogRestsUntil, now < until { return nil }
        if self[lane].bench.isEmpty, !takeUpDoubts(lane, now: now) {
            guard breaker.rejection == nil, let excluded = excluded(from: lane, waiting, now: now) else { return nil }
            self[lane].state = .reading
            return .read(lane, self[lane].pace.limits(allowance: breaker.allowance), excluding: excluded)
        }
        guard let permit = permit(now: now, chance: chance) else { return nil }
        let size = self[lane].attemptSize
        self[lane].attempt = size
        self[lane].state = .working(permit)
        return .deliver(lane, batches: size, by: deadline(now: now))
    }

    private mutating func readAhead(_ lane: Spool.Lane, _ waiting: Waiting) -> Action? {
        guard self[lane].ahead == .nothing, self[lane].isPlain, self[lane].attempt == self[lane].bench.count,
            self[lane].records(in: self[lane].attempt) >= configuration.readsAheadFrom,
            waiting[lane].values.reduce(0, +) > self[lane].bench.count, !mustMoveBoundary(of: lane)
        else { return nil }
        self[lane].ahead = .underWay
        return .readAhead(lane, self[lane].pace.limits(allowance: breaker.allowance))
    }

    /// What is fresh now is for the backlog soon.
    func mustMoveBoundary(of lane: Spool.Lane) -> Bool { lane == .fresh && boundaryIsDue }

    /// Begins a walk when nothing else is to be read; `nil` when nothing is.
    private mutating func excluded(
        from lane: Spool.Lane, _ waiting: Waiting, now: MonotonicInstant
    ) -> Set<BatchKind>? {
        let held = self[lane].held(now: now)
        let passed = held.union(self[lane].walks.keys)
        self[lane].walking = nil
        if waiting.hasOther(than: passed, in: lane) { return passed }
        let walk = waiting[lane].keys.filter { self[lane].walks[$0] != nil && !held.contains($0) }.min()
        guard let walk else { return nil }
        self[lane].walking = walk
        return Set(waiting[lane].keys).subtracting([walk])
    }

    /// - Returns: whether there are some that may become dead letters now.
    private mutating func takeUpDoubts(_ lane: Spool.Lane, now: MonotonicInstant) -> Bool {
        let doubts = self[lane].doubts
        let doubt = doubts.first { systemic.mayBury($0.fault.fingerprint, now: now) }
        guard let doubt else { return false }
        self[lane].takeUp(doubt.slot.kind)
        return true
    }

    private mutating func permit(now: MonotonicInstant, chance: Double) -> CircuitBreaker.Permit? {
        // Asked first: an attempt that was never wanted is not a rejection to be counted.
        guard breaker.rejection == nil else { return nil }
        let lease = configuration.attemptTimeout + Self.leaseGrace
        guard case .permitted(let permit) = breaker.acquire(lease: lease, now: now, chance: chance) else { return nil }
        return permit
    }

    private mutating func deadline(now: MonotonicInstant) -> MonotonicInstant {
        let deadline = now + configuration.attemptTimeout
        return mustEndBy.map { min($0, deadline) } ?? deadline
    }

    /// Whether everything that is confirmed is known to be in the database, as far as anybody can know.
    var isReconciled: Bool { reconciling == .done }

    private var isReconciling: Bool {
        if case .underWay = reconciling { true } else { false }
    }

    /// When something may be done that may not be done now.
    private mutating func nextInstant(_ waiting: Waiting, now: MonotonicInstant) -> MonotonicInstant? {
        if isReconciled, waiting.isNothing { return nil }
        var next: MonotonicInstant?
        func consider(_ instant: MonotonicInstant?) {
            guard let instant, instant > now else { return }
            next = min(instant, next ?? instant)
        }
        if let rejection = breaker.rejection {
            consider(rejection.retryAt)
            consider(breaker.nextDeadline)
        }
        if case .due(_, let notBefore) = reconciling { consider(notBefore) }
        for lane in [Spool.Lane.fresh, .backlog] {
            for hold in self[lane].holds.values { consider(hold.until) }
            if case .pausing(let until) = self[lane].state { consider(until) }
        }
        if !waiting.backlog.isEmpty, case .resting = backlog.state { consider(backlogRestsUntil) }
        return next
    }

    // MARK: Happened

    mutating func happened(_ event: Event, now: MonotonicInstant, chance: Double) {
        switch event {
        case .read(let lane, let slots):
            hasRead(lane, slots, now: now, chance: chance)
        case .readAhead(let lane, let slots): self[lane].hasReadAhead(slots)
        case .answered(let lane, let landings):
            answered(lane, landings, now: now, chance: chance)
        case .failed(let lane, let fault):
            failed(lane, fault, now: now, chance: chance)
        case .cut(let lane):
            hasCut(lane, now: now)
        case .spoolFailed(let lane, let fault):
            // What was to be cut may have been replaced or lost meanwhile: the spool says anew what waits. That its name was
            // closed shows at the next delivery.
            if case .cutting = self[lane].state { self[lane].clear() }
            self[lane].fault = fault
            self[lane].state = .pausing(until: now + Self.spoolPause)
        case .reconciled(let position, let resurrected, let asked):
            reconciled(position, asked ? .success : .ignored, now: now, chance: chance)
            if resurrected > 0 { boundaryIsDue = true }
        case .reconcileFailed(let fault):
            reconcileFailed(fault, now: now, chance: chance)
        case .reconnected: reconnected()
        }
    }

    private mutating func reconciled(
        _ position: SpoolPosition?, _ outcome: CircuitBreaker.Outcome, now: MonotonicInstant, chance: Double
    ) {
        guard case .underWay(let round, let permit, let isStale) = reconciling else { return }
        breaker.complete(permit, outcome, now: now, chance: chance)
        reconcileBackoff.reset()
        reconcilingPage.answered()
        // Whether this page was asked before the change or after it is not known.
        let rest = isStale ? round.again : round.compared(through: position)
        reconciling = rest.map { .due($0, notBefore: nil) } ?? .done
        if rest == nil { reconcilingPage = ReconcilingPage() }
    }

    private mutating func reconcileFailed(_ fault: SinkFault, now: MonotonicInstant, chance: Double) {
        guard case .underWay(let round, let permit, let isStale) = reconciling else { return }
        breaker.complete(permit, fault.outcome, now: now, chance: chance)
        let pause =
            fault.faultClass.passes ? reconcileBackoff.next(chance: chance) : configuration.hold * (1 + chance)
        if fault.faultClass == .inDoubt || fault.isAboutSize {
            let isLate = now - permit.start >= configuration.attemptTimeout * 0.9
            reconcilingPage.failed(isTooMuch: fault.isAboutSize, isLate: isLate)
        }
        reconciling = .due(isStale || fault.meansReconnect ? round.again : round, notBefore: now + pause)
    }

    /// A lane's call has come back.
    ///
    /// - Returns: how long it took.
    mutating func returned(
        _ lane: Spool.Lane, _ outcome: CircuitBreaker.Outcome, now: MonotonicInstant, chance: Double
    ) -> Duration {
        guard case .working(let permit) = self[lane].state else { return .zero }
        breaker.complete(permit, outcome, now: now, chance: chance)
        self[lane].state = .resting
        budget.probeEnded()
        return now - permit.start
    }

    mutating func reconnected() {
        switch reconciling {
        case .underWay(let round, let permit, _): reconciling = .underWay(round, permit, isStale: true)
        // One that has just failed is not repeated at once because deliveries fail, too.
        case .due(let round, let notBefore): reconciling = .due(round.again, notBefore: notBefore)
        case .done: reconciling = .due(ReconcilingRound(), notBefore: nil)
        }
    }

    /// Fresh data is late when something has waited for long; then the backlog rests longer.
    mutating func backlogMoved(took: Duration, now: MonotonicInstant) {
        let isLate = freshSince.map { now - $0 > configuration.freshLag } ?? false
        // What took longer was not the database: this process, or its machine, was stopped meanwhile.
        let busy = min(took, configuration.attemptTimeout)
        backlogRestsUntil = now + share.rest(after: busy, freshIsLate: isLate)
    }

    mutating func freshMoved(began: MonotonicInstant) { freshSince = began }

    mutating func boundaryShouldMove() { boundaryIsDue = true }
}
