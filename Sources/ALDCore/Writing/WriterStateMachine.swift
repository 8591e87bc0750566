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
        /// A held lane is looked at again after this time, up to twice as long by chance.
        var hold: Duration = .seconds(30)
        /// Fresh data that waits longer makes the backlog step back.
        var freshLag: Duration = .milliseconds(500)
        /// Where not, a record that is refused holds its lane.
        var takesDeadLetters = true
    }

    /// What waits in the spool, both lanes.
    struct Waiting: Hashable, Sendable {
        var fresh = 0
        var backlog = 0

        subscript(lane: Spool.Lane) -> Int {
            get { lane == .fresh ? fresh : backlog }
            set { if lane == .fresh { fresh = newValue } else { backlog = newValue } }
        }
    }

    enum Event: Sendable {
        /// The spool has brought these.
        case read(Spool.Lane, [WriterLane.Slot])
        /// The database has answered for each batch of the attempt.
        case answered(Spool.Lane, [BatchLanding])
        /// The attempt failed as a whole.
        case failed(Spool.Lane, SinkFault)
        /// The first batch was cut and is not on the bench any more.
        case cut(Spool.Lane)
        /// The spool could not be read, or could not cut.
        case spoolFailed(Spool.Lane, SinkFault)
        /// What the database has forgotten waits again. `asked`: whether the database was needed to know.
        case reconciled(resurrected: Int, asked: Bool)
        case reconcileFailed(SinkFault)
    }

    enum Action: Hashable, Sendable {
        /// What waits now becomes backlog.
        case moveBoundary
        /// Compare what is retained with the ledger.
        case reconcile(by: MonotonicInstant)
        /// Put what waits on the lane's bench.
        case read(Spool.Lane, Spool.Limits)
        /// Send so many batches from the head of the bench in one transaction.
        case deliver(Spool.Lane, batches: Int, by: MonotonicInstant)
        /// Close the name of the first batch on the bench.
        case void(Spool.Lane, by: MonotonicInstant)
        /// Cut the first batch on the bench.
        case cut(Spool.Lane, WriterLane.Cut)
        /// Nothing until something happens, at the latest until then.
        case wait(until: MonotonicInstant?)
        case finish
    }

    private enum Reconciling: Hashable {
        /// The connection may be another one than before: the database behind it, too.
        case due(notBefore: MonotonicInstant?, holdsDeliveries: Bool)
        case underWay(CircuitBreaker.Permit)
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
    private var reconciling = Reconciling.due(notBefore: nil, holdsDeliveries: true)
    private var boundaryIsDue: Bool
    private var mustEndBy: MonotonicInstant?
    private var isFinished = false

    /// After so many turns of the fresh lane the backlog has one, when only one of them can be served at a time.
    static let freshTurnsInARow = 4
    private static let leaseGrace = Duration.seconds(5)
    static let spoolPause = Duration.seconds(5)

    /// - Parameter carriedOver: whether an earlier process has left something in the spool.
    init(_ configuration: Configuration, carriedOver: Bool) throws {
        self.configuration = configuration
        fresh = WriterLane(backoff: configuration.backoff, pace: configuration.pace)
        backlog = WriterLane(backoff: configuration.backoff, pace: configuration.pace)
        breaker = try CircuitBreaker(configuration.breaker)
        budget = try RetryBudget(configuration.budget)
        boundaryIsDue = carriedOver
    }

    subscript(lane: Spool.Lane) -> WriterLane {
        get { lane == .fresh ? fresh : backlog }
        set { if lane == .fresh { fresh = newValue } else { backlog = newValue } }
    }

    /// Why a lane is held; `nil` while none is.
    var heldBecause: SinkFault? {
        for lane in [fresh, backlog] {
            if case .holding = lane.state { return lane.fault }
        }
        return nil
    }

    /// From now on only what can still land by `deadline` is sent.
    mutating func shutDown(by deadline: MonotonicInstant) {
        if mustEndBy == nil { mustEndBy = deadline }
    }

    // MARK: Next

    mutating func next(_ waiting: Waiting, now: MonotonicInstant, chance: Double) -> Action {
        if isFinished { return .finish }
        breaker.advance(now: now, chance: chance)
        freshSince = waiting.fresh == 0 ? nil : freshSince ?? now
        if boundaryIsDue, fresh.bench.isEmpty, !fresh.isBusy {
            boundaryIsDue = false
            freshSince = nil
            return .moveBoundary
        }
        let mayStart = mustEndBy.map { now < $0 } ?? true
        if mayStart, let action = start(waiting, now: now, chance: chance) { return action }
        if mustEndBy != nil, !fresh.isBusy, !backlog.isBusy, !isReconciling {
            // Whoever shuts down does not wait for a sick database: the spool keeps what is left.
            isFinished = true
            return .finish
        }
        return .wait(until: mustEndBy == nil ? nextInstant(waiting, now: now) : nil)
    }

    private mutating func start(_ waiting: Waiting, now: MonotonicInstant, chance: Double) -> Action? {
        if case .due(let notBefore, let holdsDeliveries) = reconciling {
            if notBefore.map({ $0 <= now }) ?? true, let permit = permit(now: now, chance: chance) {
                reconciling = .underWay(permit)
                return .reconcile(by: deadline(now: now))
            }
            if holdsDeliveries { return nil }
        }
        if isReconciling { return nil }
        let backlogFirst = freshTurns >= Self.freshTurnsInARow
        for lane in backlogFirst ? [Spool.Lane.backlog, .fresh] : [.fresh, .backlog] {
            if let action = start(lane, waiting, now: now, chance: chance) {
                if case .read = action { return action }
                freshTurns = lane == .fresh && waiting.backlog > 0 ? freshTurns + 1 : 0
                return action
            }
        }
        return nil
    }

    private mutating func start(
        _ lane: Spool.Lane, _ waiting: Waiting, now: MonotonicInstant, chance: Double
    ) -> Action? {
        switch self[lane].state {
        case .reading, .working, .cutting: return nil
        case .pausing(let until), .holding(let until):
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
        if self[lane].bench.isEmpty {
            guard waiting[lane] > 0, breaker.rejection == nil else { return nil }
            self[lane].state = .reading
            return .read(lane, self[lane].pace.limits(allowance: breaker.allowance))
        }
        guard let permit = permit(now: now, chance: chance) else { return nil }
        let size = self[lane].attemptSize
        self[lane].attempt = size
        self[lane].state = .working(permit)
        return .deliver(lane, batches: size, by: deadline(now: now))
    }

    private mutating func permit(now: MonotonicInstant, chance: Double) -> CircuitBreaker.Permit? {
        // Asked first: an attempt that was never wanted is not a rejection to be counted.
        guard breaker.rejection == nil else { return nil }
        let lease = configuration.attemptTimeout + Self.leaseGrace
        guard case .permitted(let permit) = breaker.acquire(lease: lease, now: now, chance: chance) else { return nil }
        return permit
    }

    private func deadline(now: MonotonicInstant) -> MonotonicInstant {
        let deadline = now + configuration.attemptTimeout
        return mustEndBy.map { min($0, deadline) } ?? deadline
    }

    /// Whether everything that is confirmed is known to be in the database, as far as anybody can know.
    var isReconciled: Bool { reconciling == .done }

    private var isReconciling: Bool {
        if case .underWay = reconciling { true } else { false }
    }

    /// When something may be done that may not be done now.
    private func nextInstant(_ waiting: Waiting, now: MonotonicInstant) -> MonotonicInstant? {
        if isReconciled, waiting.fresh + waiting.backlog == 0 { return nil }
        var instants: [MonotonicInstant?] = [breaker.rejection?.retryAt]
        if breaker.rejection != nil { instants.append(breaker.nextDeadline) }
        if case .due(let notBefore, _) = reconciling { instants.append(notBefore) }
        for lane in [fresh, backlog] {
            switch lane.state {
            case .pausing(let until), .holding(let until): instants.append(until)
            case .resting, .reading, .working, .cutting: break
            }
        }
        if waiting.backlog > 0, case .resting = backlog.state { instants.append(backlogRestsUntil) }
        return instants.compactMap(\.self).filter { $0 > now }.min()
    }

    // MARK: Happened

    mutating func happened(_ event: Event, now: MonotonicInstant, chance: Double) {
        switch event {
        case .read(let lane, let slots):
            self[lane].bench = slots
            self[lane].state = slots.isEmpty ? .pausing(until: now + Self.spoolPause) : .resting
        case .answered(let lane, let landings):
            answered(lane, landings, now: now, chance: chance)
        case .failed(let lane, let fault):
            failed(lane, fault, now: now, chance: chance)
        case .cut(let lane):
            hasCut(lane, now: now)
        case .spoolFailed(let lane, let fault):
            self[lane].fault = fault
            self[lane].state = .pausing(until: now + Self.spoolPause)
        case .reconciled(let resurrected, let asked):
            complete(asked ? .success : .ignored, now: now, chance: chance)
            reconciling = .done
            if resurrected > 0 { boundaryIsDue = true }
        case .reconcileFailed(let fault):
            complete(fault.outcome, now: now, chance: chance)
            let isOutage = fault.faultClass.passes
            let pause = isOutage ? fresh.backoff.next(chance: chance) : configuration.hold * (1 + chance)
            // A database that refuses this question may still take data.
            reconciling = .due(notBefore: now + pause, holdsDeliveries: isOutage)
        }
    }

    private mutating func complete(_ outcome: CircuitBreaker.Outcome, now: MonotonicInstant, chance: Double) {
        guard case .underWay(let permit) = reconciling else { return }
        breaker.complete(permit, outcome, now: now, chance: chance)
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
        reconciling = .due(notBefore: nil, holdsDeliveries: true)
    }

    /// Fresh data is late when something has waited for long; then the backlog rests longer.
    mutating func backlogMoved(took: Duration, now: MonotonicInstant) {
        let isLate = freshSince.map { now - $0 > configuration.freshLag } ?? false
        backlogRestsUntil = now + share.rest(after: took, freshIsLate: isLate)
    }

    mutating func freshMoved(began: MonotonicInstant) { freshSince = began }

    mutating func boundaryShouldMove() { boundaryIsDue = true }
}
