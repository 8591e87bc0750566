/// What follows from an answer.
extension WriterStateMachine {
    mutating func hasRead(_ lane: Spool.Lane, _ slots: [WriterLane.Slot], now: MonotonicInstant, chance: Double) {
        self[lane].bench = slots
        self[lane].state = .resting
        guard slots.isEmpty else { return }
        if let kind = self[lane].walking, let walk = self[lane].walks.removeValue(forKey: kind) {
            // Where some have landed, those at the front may be able to by now.
            if !walk.hasLanded { hold(lane, kind, walk.fault, now: now, chance: chance) }
        } else if let doubt = self[lane].doubts.first {
            // Nothing else is there that could show whether this is an accident.
            hold(lane, doubt.slot.kind, doubt.fault, now: now, chance: chance)
        } else {
            self[lane].state = .pausing(until: now + Self.spoolPause)
        }
    }

    /// The database answered: the attempt was committed, and these are the fates of its batches.
    mutating func answered(
        _ lane: Spool.Lane, _ landings: [BatchLanding], now: MonotonicInstant, chance: Double
    ) {
        let took = returned(lane, .success, now: now, chance: chance)
        budget.succeeded(now: now)
        if case .void(let cut) = self[lane].step {
            return voided(lane, landings.first ?? .collision, cut, now: now, chance: chance)
        }
        self[lane].pace.landed(records: self[lane].records(in: landings.count), took: took)
        let kind = self[lane].bench.first?.kind
        let kept = landings.indices.filter { !landings[$0].isInDatabase }
        let landed = zip(self[lane].bench, landings).reduce(0) { $0 + ($1.1.isInDatabase ? $1.0.records : 0) }
        systemic.landed(landed, now: now)
        if landed > 0, let kind {
            self[lane].walks[kind]?.hasLanded = true
            self[lane].walks[kind]?.deliveries = 0
        }
        self[lane].settle(landings.count, except: Set(kept))
        if lane == .backlog { backlogMoved(took: took, now: now) } else { freshMoved(began: now - took) }
        recovered(lane, kept.isEmpty ? kind : nil)
        keep(lane, kept.map { landings[$0] }, now: now, chance: chance)
        if self[lane].bench.isEmpty, self[lane].isPlain, !mustMoveBoundary(of: lane) {
            self[lane].follow()
        } else {
            self[lane].forgetAhead()
        }
    }

    /// What becomes of the batches at the head of the bench that did not land because of what they are.
    private mutating func keep(_ lane: Spool.Lane, _ landings: [BatchLanding], now: MonotonicInstant, chance: Double) {
        guard !landings.isEmpty, let head = self[lane].bench.first else { return }
        func waits(_ landing: BatchLanding) -> Bool {
            if case .unregistered(_, isWhole: true) = landing { head.kind.isUnregistered } else { false }
        }
        guard let place = landings.firstIndex(where: { !waits($0) }) else {
            var parameters: Set<Int32> = []
            for case .unregistered(let strangers, _) in landings { parameters.formUnion(strangers) }
            let fault = SinkFault.unregistered(parameters, machine: head.kind.machine)
            return pass(landings.count, in: lane, head.kind, because: fault, now: now, chance: chance)
        }
        // One that can go on does not wait for those before it that cannot.
        self[lane].bench.swapAt(0, place)
        if case .unregistered(let parameters, _) = landings[place] {
            self[lane].step = .void(.apart(parameters))
        } else {
            // Either another batch has this name, or it was closed before this process began: closing it again tells.
            self[lane].step = .void(self[lane].bench[0].records > 1 ? .halves : .again)
        }
    }

    /// The first `count` batches of the bench wait for somebody; behind them there may be some that need not. That is
    /// looked after in steps: each look at thousands that wait costs the database and this machine something.
    private mutating func pass(
        _ count: Int, in lane: Spool.Lane, _ kind: BatchKind, because fault: SinkFault, now: MonotonicInstant,
        chance: Double
    ) {
        var walk = self[lane].walks[kind] ?? WriterLane.Walk(fault: fault)
        walk.after = self[lane].bench.prefix(count).map(\.position).reduce(walk.after, max)
        walk.fault = fault
        walk.deliveries += 1
        self[lane].bench.removeFirst(count)
        self[lane].walks[kind] = walk
        guard walk.deliveries >= Self.passedInARow else { return }
        self[lane].walks[kind]?.deliveries = 0
        hold(lane, kind, fault, now: now, chance: chance)
    }

    private mutating func recovered(_ lane: Spool.Lane, _ kind: BatchKind?) {
        // While a bad record is looked for, what lands beside it says nothing of it.
        let wasHeld = self[lane].suspects == 0 && kind.flatMap { self[lane].holds.removeValue(forKey: $0) } != nil
        guard wasHeld || self[lane].fault != nil else { return }
        self[lane].fault = nil
        self[lane].backoff.reset()
        // What has gathered meanwhile must not stand before what is accepted from now on.
        if lane == .fresh { boundaryShouldMove() }
    }

    /// The name of the first batch is closed, or was it too late for that?
    private mutating func voided(
        _ lane: Spool.Lane, _ landing: BatchLanding, _ cut: WriterLane.Cut, now: MonotonicInstant, chance: Double
    ) {
        switch landing {
        case .voided:
            self[lane].step = .cut(cut)
        case .known, .landed, .forgotten:
            // An attempt that was in doubt has landed after all.
            self[lane].settle(1)
            self[lane].step = .deliver
        case .collision, .unregistered:
            self[lane].step = .deliver
            let fault = SinkFault(
                .ownBug, "the ledger knows this batch with other contents: the spool was cloned or restored",
                cause: "a batch's name is taken by other contents")
            hold(lane, fault, now: now, chance: chance)
        }
    }

    mutating func hasCut(_ lane: Spool.Lane, now: MonotonicInstant) {
        if case .cut(let cut) = self[lane].step, let fault = self[lane].fault {
            switch cut {
            case .deadLetter, .around: systemic.hasBuried(fault.fingerprint, now: now)
            case .halves, .again, .apart: break
            }
        }
        self[lane].settle(1)
        self[lane].step = .deliver
        self[lane].state = .resting
    }

    // MARK: Failures

    mutating func failed(_ lane: Spool.Lane, _ fault: SinkFault, now: MonotonicInstant, chance: Double) {
        _ = returned(lane, fault.outcome, now: now, chance: chance)
        self[lane].fault = fault
        if fault.meansReconnect { reconnected() }
        // In doubt once more, they may be too many for a network that has become slow: they would be for ever.
        let isDoubtful = fault.faultClass == .inDoubt && self[lane].step == .deliver
        let isTooMuch = fault.isAboutSize || isDoubtful && self[lane].repeats != nil
        if isTooMuch { shrink(lane) }
        switch fault.faultClass {
        case .inDoubt:
            // The same batches, and no others: the ledger then says of each whether it had landed.
            if isDoubtful, !isTooMuch { self[lane].repeats = self[lane].attempt }
            pause(lane, now: now, chance: chance)
        case .unsent, .transient, .notPrimary, .resource:
            pause(lane, now: now, chance: chance)
        case .misconfigured, .systemic, .serverSick:
            hold(lane, fault, now: now, chance: chance)
        case .poison, .tooBig, .ownBug:
            self[lane].forgetAhead()
            refused(lane, fault, now: now, chance: chance)
        }
    }

    private mutating func shrink(_ lane: Spool.Lane) {
        self[lane].pace.wasTooBig(records: self[lane].records(in: self[lane].attempt))
        // The answer was a definite no, or there was none: either way each batch has its own entry in the ledger.
        if self[lane].attempt > 1 { self[lane].repeats = nil }
    }

    private mutating func pause(_ lane: Spool.Lane, now: MonotonicInstant, chance: Double) {
        let wait = self[lane].backoff.next(chance: chance)
        // Whoever has used up the budget goes on at the slowest pace: nothing is ever given up.
        let isGranted = budget.take(now: now) != .denied
        self[lane].state = .pausing(until: now + (isGranted ? wait : max(wait, configuration.backoff.cap)))
    }

    /// The answer was no, for something that the attempt contains.
    private mutating func refused(_ lane: Spool.Lane, _ fault: SinkFault, now: MonotonicInstant, chance: Double) {
        guard self[lane].step == .deliver, let head = self[lane].bench.first else {
            return hold(lane, fault, now: now, chance: chance)
        }
        let attempt = self[lane].attempt
        if attempt > 1 {
            return self[lane].suspect(attempt, first: place(of: fault, in: lane)?.batch)
        }
        switch fault.faultClass {
        case .poison where configuration.takesDeadLetters && systemic.mayBury(fault.fingerprint, now: now):
            if head.records == 1 {
                self[lane].step = .void(.deadLetter)
            } else {
                self[lane].step = .void(place(of: fault, in: lane).map { .around($0.record) } ?? .halves)
            }
        case .poison where configuration.takesDeadLetters && self[lane].doubts.count < SystemicGuard.maximumDoubts:
            self[lane].setAside(because: fault)
        case .tooBig where head.records > 1:
            self[lane].step = .void(.halves)
        default:
            hold(lane, fault, now: now, chance: chance)
        }
    }

    /// The batch and the record in it that the server named, if it did.
    private mutating func place(of fault: SinkFault, in lane: Spool.Lane) -> (batch: Int, record: Int)? {
        guard fault.faultClass == .poison, let line = fault.evidence?.copyLine, line > 0 else { return nil }
        var offset = line - 1
        for (index, slot) in self[lane].bench.prefix(self[lane].attempt).enumerated() {
            if offset < slot.records { return (index, offset) }
            offset -= slot.records
        }
        return nil
    }

    /// Nothing but a change by somebody helps. What is of this kind is tried again slowly, in this lane; all else goes on.
    ///
    /// Fresh data does not wait behind what is held: that becomes backlog. Should the next fresh delivery of this kind
    /// meet a fault of this sort, it is held in both lanes.
    mutating func hold(_ lane: Spool.Lane, _ fault: SinkFault, now: MonotonicInstant, chance: Double) {
        guard let kind = self[lane].bench.first?.kind else {
            self[lane].state = .pausing(until: now + configuration.hold * (1 + chance))
            return
        }
        hold(lane, kind, fault, now: now, chance: chance)
    }

    private mutating func hold(
        _ lane: Spool.Lane, _ kind: BatchKind, _ fault: SinkFault, now: MonotonicInstant, chance: Double
    ) {
        let hold = WriterLane.Hold(until: now + configuration.hold * (1 + chance), fault: fault)
        self[lane].clear()
        self[lane].fault = nil
        if lane == .fresh, backlog.holds[kind] == nil {
            backlog.holds[kind] = hold
            boundaryShouldMove()
        } else {
            self[lane].holds[kind] = hold
        }
    }
}

extension SinkFault.Class {
    /// Whether waiting helps.
    var passes: Bool {
        switch self {
        case .unsent, .inDoubt, .transient, .notPrimary, .resource: true
        case .misconfigured, .systemic, .poison, .tooBig, .serverSick, .ownBug: false
        }
    }
}

extension SinkFault {
    /// What it says about the database to the breaker.
    var outcome: CircuitBreaker.Outcome {
        switch faultClass {
        case .unsent, .inDoubt, .transient: .failure
        case .notPrimary, .resource, .serverSick: .immediateFailure()
        // It lives: it has read what it was sent and has an opinion.
        case .misconfigured, .systemic, .poison, .tooBig, .ownBug: .ignored
        }
    }

    /// Whether the next connection may lead to another server, or to one that has lost what it had confirmed.
    var meansReconnect: Bool {
        switch faultClass {
        case .unsent, .inDoubt, .notPrimary, .serverSick: true
        case .transient, .resource, .misconfigured, .systemic, .poison, .tooBig, .ownBug: false
        }
    }
}
