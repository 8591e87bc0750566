import Testing

@testable import ALDCore

@Suite("Writer, decisions") struct WriterStateMachineTests {
    typealias Waiting = WriterStateMachine.Waiting

    static let start = MonotonicInstant(nanoseconds: 0)

    /// A machine that has compared its ledger already.
    static func machine(
        carriedOver: Bool = false, _ change: (inout WriterStateMachine.Configuration) -> Void = { _ in }
    ) throws -> WriterStateMachine {
        var configuration = WriterStateMachine.Configuration()
        change(&configuration)
        var machine = try WriterStateMachine(configuration, carriedOver: carriedOver)
        if carriedOver { #expect(machine.next(Waiting(fresh: 1), now: start, chance: 0) == .moveBoundary) }
        guard case .reconcile = machine.next(Waiting(), now: start, chance: 0) else {
            Issue.record("did not begin with the ledger")
            return machine
        }
        machine.happened(.reconciled(through: nil, resurrected: 0, asked: false), now: start, chance: 0)
        return machine
    }

    static func slots(_ records: [Int], from first: Int64 = 1, kind: BatchKind = .readings) -> [WriterLane.Slot] {
        records.enumerated().map {
            WriterLane.Slot(
                position: SpoolPosition(rawValue: first + Int64($0.offset)), records: $0.element, kind: kind)
        }
    }

    static func fault(_ faultClass: SinkFault.Class, line: Int? = nil) -> SinkFault {
        var evidence = FaultEvidence(message: "scripted", sqlState: "23514")
        evidence.context = line.map { "COPY rows, line \($0)" }
        return SinkFault(faultClass, "scripted", evidence: evidence)
    }

    /// Puts these batches on the lane's bench and begins to deliver them.
    static func deliver(
        _ records: [Int], in lane: Spool.Lane = .fresh, _ machine: inout WriterStateMachine,
        waiting: Waiting? = nil, now: MonotonicInstant = start
    ) {
        let waiting =
            waiting ?? (lane == .fresh ? Waiting(fresh: records.count) : Waiting(backlog: records.count))
        guard case .read(lane, _, _) = machine.next(waiting, now: now, chance: 0) else {
            Issue.record("no read")
            return
        }
        machine.happened(.read(lane, slots(records)), now: now, chance: 0)
        #expect(isDelivery(machine.next(waiting, now: now, chance: 0), of: records.count, in: lane))
    }

    static func isDelivery(
        _ action: WriterStateMachine.Action, of count: Int, in lane: Spool.Lane = .fresh
    ) -> Bool {
        if case .deliver(lane, count, _) = action { true } else { false }
    }

    @Test("all that waits goes in one delivery, and nothing is read while it is under way")
    func oneDelivery() throws {
        var machine = try Self.machine()
        #expect(machine.next(Waiting(), now: Self.start, chance: 0) == .wait(until: nil))
        Self.deliver([1, 1, 1], &machine)
        #expect(machine.next(Waiting(fresh: 9), now: Self.start, chance: 0) == .wait(until: nil))
        machine.happened(.answered(.fresh, [.landed, .known, .landed]), now: Self.start, chance: 0)
        #expect(machine.fresh.bench.isEmpty)
        #expect(machine.next(Waiting(), now: Self.start, chance: 0) == .wait(until: nil))
    }

    @Test("what is in doubt is sent again, the same batches and no others")
    func inDoubt() throws {
        var machine = try Self.machine()
        Self.deliver([1, 1], &machine)
        machine.happened(.failed(.fresh, Self.fault(.inDoubt)), now: Self.start, chance: 0)
        // The connection was lost, so the ledger is asked first what else was.
        let waiting = Waiting(fresh: 7)
        guard case .reconcile = machine.next(waiting, now: Self.start, chance: 0) else {
            Issue.record("no look at the ledger")
            return
        }
        machine.happened(.reconciled(through: nil, resurrected: 0, asked: true), now: Self.start, chance: 0)
        guard case .wait(let until?) = machine.next(waiting, now: Self.start, chance: 0) else {
            Issue.record("no pause")
            return
        }
        #expect(Self.isDelivery(machine.next(waiting, now: until, chance: 0), of: 2))
    }

    @Test("what the database has forgotten is sent before what is accepted from now on, as backlog")
    func resurrected() throws {
        var machine = try Self.machine()
        machine.reconnected()
        _ = machine.next(Waiting(), now: Self.start, chance: 0)
        machine.happened(.reconciled(through: nil, resurrected: 3, asked: true), now: Self.start, chance: 0)
        #expect(machine.next(Waiting(fresh: 3), now: Self.start, chance: 0) == .moveBoundary)
        guard case .read(.backlog, _, _) = machine.next(Waiting(backlog: 3), now: Self.start, chance: 0) else {
            Issue.record("not read")
            return
        }
    }

    @Test("a held batch moves to the backlog; fresh data goes on beside it, until it meets the same fault")
    func hold() throws {
        var machine = try Self.machine()
        Self.deliver([1], &machine)
        machine.happened(.failed(.fresh, Self.fault(.misconfigured)), now: Self.start, chance: 0.5)
        #expect(machine.heldBecause?.faultClass == .misconfigured)
        #expect(machine.next(Waiting(fresh: 1), now: Self.start, chance: 0) == .moveBoundary)
        let both = Waiting(fresh: 1, backlog: 1)
        #expect(machine.heldBecause?.faultClass == .misconfigured)
        guard case .read(.fresh, _, _) = machine.next(both, now: Self.start, chance: 0) else {
            Issue.record("fresh data waits")
            return
        }
        machine.happened(.read(.fresh, Self.slots([1], from: 2)), now: Self.start, chance: 0)
        #expect(Self.isDelivery(machine.next(both, now: Self.start, chance: 0), of: 1))
        machine.happened(.failed(.fresh, Self.fault(.misconfigured)), now: Self.start, chance: 0)
        let (early, late) = (Self.start + .seconds(30), Self.start + .seconds(45))
        #expect(machine.next(both, now: Self.start, chance: 0) == .wait(until: early))
        Self.deliver([1], &machine, waiting: both, now: early)
        #expect(machine.heldBecause != nil)
        machine.happened(.answered(.fresh, [.landed]), now: early, chance: 0)
        // It has landed again after a failure: what has gathered becomes backlog.
        #expect(machine.next(Waiting(backlog: 1), now: early, chance: 0) == .moveBoundary)
        #expect(machine.next(Waiting(backlog: 1), now: early, chance: 0) == .wait(until: late))
        Self.deliver([1], in: .backlog, &machine, now: late)
        machine.happened(.answered(.backlog, [.landed]), now: late, chance: 0)
        #expect(machine.heldBecause == nil)
    }

    @Test("batches of another kind go on beside one that is held, in both lanes, and are not asked for it")
    func otherKinds() throws {
        var machine = try Self.machine()
        for earlier in 0..<2 {
            Self.deliver([1], &machine, waiting: Waiting(fresh: 1, backlog: earlier))
            machine.happened(.failed(.fresh, Self.fault(.systemic)), now: Self.start, chance: 0)
            if earlier == 0 { #expect(machine.next(Waiting(fresh: 1), now: Self.start, chance: 0) == .moveBoundary) }
        }
        var waiting = Waiting(fresh: 3, backlog: 5)
        #expect(machine.next(waiting, now: Self.start, chance: 0) == .wait(until: Self.start + .seconds(30)))
        waiting.fresh[.gaps] = 1
        waiting.backlog[.gaps] = 2
        for lane in [Spool.Lane.fresh, .backlog] {
            guard case .read(lane, _, excluding: [.readings]) = machine.next(waiting, now: Self.start, chance: 0) else {
                Issue.record("nothing else is read")
                return
            }
            machine.happened(.read(lane, Self.slots([1], from: 50, kind: .gaps)), now: Self.start, chance: 0)
            #expect(Self.isDelivery(machine.next(waiting, now: Self.start, chance: 0), of: 1, in: lane))
            machine.happened(.answered(lane, [.landed]), now: Self.start, chance: 0)
            if lane == .fresh { waiting.fresh[.gaps] = nil } else { waiting.backlog[.gaps] = nil }
        }
        #expect(machine.heldBecause?.faultClass == .systemic)
        // Held in vain: somebody has taken the batches away.
        _ = machine.next(Waiting(), now: Self.start, chance: 0)
        #expect(machine.heldBecause == nil)
    }

    @Test("a batch that the spool cannot cut is read anew: it may have been replaced, or lost")
    func failedCut() throws {
        var machine = try Self.machine()
        let waiting = Waiting(fresh: 1)
        Self.deliver([1], &machine)
        machine.happened(.failed(.fresh, Self.fault(.poison)), now: Self.start, chance: 0)
        guard case .void(.fresh, _) = machine.next(waiting, now: Self.start, chance: 0) else {
            Issue.record("its name is not closed")
            return
        }
        machine.happened(.answered(.fresh, [.voided]), now: Self.start, chance: 0)
        #expect(machine.next(waiting, now: Self.start, chance: 0) == .cut(.fresh, .deadLetter))
        machine.happened(.spoolFailed(.fresh, Self.fault(.serverSick)), now: Self.start, chance: 0)
        guard case .read(.fresh, _, _) = machine.next(waiting, now: Self.start + .seconds(10), chance: 0) else {
            Issue.record("it is not read anew")
            return
        }
    }

    @Test("a bad record is looked for by halves: batches first, then within one, whose name is closed before")
    func isolation() throws {
        var machine = try Self.machine()
        let waiting = Waiting(fresh: 4)
        Self.deliver([1, 1, 2, 1], &machine)
        machine.happened(.failed(.fresh, Self.fault(.poison)), now: Self.start, chance: 0)
        #expect(Self.isDelivery(machine.next(waiting, now: Self.start, chance: 0), of: 2))
        machine.happened(.answered(.fresh, [.landed, .landed]), now: Self.start, chance: 0)
        // A failure is over, but not the search: the rest stays on the bench and the boundary where it is.
        #expect(Self.isDelivery(machine.next(waiting, now: Self.start, chance: 0), of: 2))
        machine.happened(.failed(.fresh, Self.fault(.poison)), now: Self.start, chance: 0)
        #expect(Self.isDelivery(machine.next(waiting, now: Self.start, chance: 0), of: 1))
        machine.happened(.failed(.fresh, Self.fault(.poison)), now: Self.start, chance: 0)
        guard case .void(.fresh, _) = machine.next(waiting, now: Self.start, chance: 0) else {
            Issue.record("cut without closing the name")
            return
        }
        machine.happened(.answered(.fresh, [.voided]), now: Self.start, chance: 0)
        #expect(machine.next(waiting, now: Self.start, chance: 0) == .cut(.fresh, .halves))
        machine.happened(.cut(.fresh), now: Self.start, chance: 0)
        #expect(machine.fresh.bench == Self.slots([1, 1, 2, 1]).suffix(1))
    }

    @Test("the line that COPY names leads to the batch and to the record in it", arguments: [1, 2, 3, 4])
    func line(_ line: Int) throws {
        var machine = try Self.machine()
        let waiting = Waiting(fresh: 3)
        Self.deliver([1, 2, 1], &machine)
        machine.happened(.failed(.fresh, Self.fault(.poison, line: line)), now: Self.start, chance: 0)
        let before = [0, 1, 1, 2][line - 1]
        #expect(Self.isDelivery(machine.next(waiting, now: Self.start, chance: 0), of: max(1, before)))
        if before > 0 {
            machine.happened(.answered(.fresh, Array(repeating: .landed, count: before)), now: Self.start, chance: 0)
            machine.happened(.read(.fresh, Array(Self.slots([1, 2, 1]).dropFirst(before))), now: Self.start, chance: 0)
            #expect(Self.isDelivery(machine.next(waiting, now: Self.start, chance: 0), of: 1))
        }
        let inside = line == 3 ? 2 : 1
        machine.happened(.failed(.fresh, Self.fault(.poison, line: inside)), now: Self.start, chance: 0)
        _ = machine.next(waiting, now: Self.start, chance: 0)
        machine.happened(.answered(.fresh, [.voided]), now: Self.start, chance: 0)
        let expected: WriterLane.Cut = before == 1 ? .around(inside - 1) : .deadLetter
        #expect(machine.next(waiting, now: Self.start, chance: 0) == .cut(.fresh, expected))
    }

    @Test("a batch that had landed in doubt is not cut")
    func landedAfterAll() throws {
        var machine = try Self.machine()
        Self.deliver([1], &machine)
        machine.happened(.failed(.fresh, Self.fault(.poison)), now: Self.start, chance: 0)
        guard case .void = machine.next(Waiting(fresh: 1), now: Self.start, chance: 0) else {
            Issue.record("not voided")
            return
        }
        machine.happened(.answered(.fresh, [.known]), now: Self.start, chance: 0)
        #expect(machine.fresh.bench.isEmpty && machine.fresh.step == .deliver)
    }

    @Test("too much at once is halved, down to the batch, which is then cut")
    func tooBig() throws {
        var machine = try Self.machine()
        Self.deliver([2, 2, 2, 2], &machine)
        for size in [2, 1] {
            machine.happened(.failed(.fresh, Self.fault(.tooBig)), now: Self.start, chance: 0)
            #expect(Self.isDelivery(machine.next(Waiting(fresh: 4), now: Self.start, chance: 0), of: size))
        }
        machine.happened(.failed(.fresh, Self.fault(.tooBig)), now: Self.start, chance: 0)
        guard case .void = machine.next(Waiting(fresh: 4), now: Self.start, chance: 0) else {
            Issue.record("not voided")
            return
        }
        machine.happened(.answered(.fresh, [.voided]), now: Self.start, chance: 0)
        #expect(machine.next(Waiting(fresh: 4), now: Self.start, chance: 0) == .cut(.fresh, .halves))
    }

    /// What an idle start finds: a batch of one record is read and refused. Where it may become a dead letter, it does.
    ///
    /// - Returns: whether it did.
    static func refuse(_ position: Int64, _ machine: inout WriterStateMachine) -> Bool {
        let waiting = Waiting(backlog: 50)
        guard case .read(.backlog, _, _) = machine.next(waiting, now: start, chance: 0) else { return false }
        machine.happened(.read(.backlog, slots([1], from: position)), now: start, chance: 0)
        #expect(isDelivery(machine.next(waiting, now: start, chance: 0), of: 1, in: .backlog))
        return bury(&machine, now: start)
    }

    private static func bury(_ machine: inout WriterStateMachine, now: MonotonicInstant) -> Bool {
        let waiting = Waiting(backlog: 50)
        machine.happened(.failed(.backlog, fault(.poison)), now: now, chance: 0)
        guard machine.backlog.step == .void(.deadLetter) else { return false }
        _ = machine.next(waiting, now: now, chance: 0)
        machine.happened(.answered(.backlog, [.voided]), now: now, chance: 0)
        #expect(machine.next(waiting, now: now, chance: 0) == .cut(.backlog, .deadLetter))
        machine.happened(.cut(.backlog), now: now, chance: 0)
        return true
    }

    @Test("many records with the same fault are a fault of the database: some are put aside, then all are held")
    func systemic() throws {
        var machine = try Self.machine(carriedOver: true)
        let buried = (1...100).map { Self.refuse($0, &machine) }.filter { $0 }.count
        #expect(buried == SystemicGuard.benefitOfDoubt && machine.heldBecause != nil)
        #expect(machine.backlog.doubts.isEmpty, "they wait in the spool with the others")
        guard case .wait(until: .some) = machine.next(Waiting(backlog: 50), now: Self.start, chance: 0) else {
            Issue.record("goes on")
            return
        }
    }

    @Test(
        "more bad records than an accident at the front hold up none of the good ones, and become dead letters after them"
    )
    func doubts() throws {
        var machine = try Self.machine(carriedOver: true)
        let buried = (1...12).map { Self.refuse($0, &machine) }.filter { $0 }.count
        #expect(buried == SystemicGuard.benefitOfDoubt && machine.backlog.doubts.count == 12 - buried)
        #expect(machine.heldBecause == nil)
        #expect(machine.backlog.claimed.count == 12 - buried, "the spool brings others")
        Self.deliver([200, 200], in: .backlog, &machine, waiting: Waiting(backlog: 50))
        machine.happened(.answered(.backlog, [.landed, .landed]), now: Self.start, chance: 0)
        let later = Self.start + .seconds(60)
        for _ in 0..<12 - buried {
            #expect(
                Self.isDelivery(machine.next(Waiting(backlog: 9), now: later, chance: 0), of: 1, in: .backlog),
                "one by one: among so many that have landed they are accidents")
            let isBuried = Self.bury(&machine, now: later)
            #expect(isBuried)
        }
        #expect(machine.backlog.doubts.isEmpty && machine.heldBecause == nil)
    }

    @Test("where nothing but doubtful ones is left they are held, and tried again")
    func onlyDoubts() throws {
        var machine = try Self.machine(carriedOver: true)
        for position in 1...7 { _ = Self.refuse(Int64(position), &machine) }
        let waiting = Waiting(backlog: 2)
        guard case .read = machine.next(waiting, now: Self.start, chance: 0) else {
            Issue.record("does not look for others")
            return
        }
        machine.happened(.read(.backlog, []), now: Self.start, chance: 0)
        guard case .wait(let until?) = machine.next(waiting, now: Self.start, chance: 0) else {
            Issue.record("not held")
            return
        }
        #expect(machine.heldBecause != nil && machine.backlog.claimed.isEmpty)
        guard case .read = machine.next(waiting, now: until, chance: 0) else {
            Issue.record("held for ever")
            return
        }
    }

    @Test("of several that wait for a registration the one is set apart that has others in it")
    func apart() throws {
        var machine = try Self.machine(carriedOver: true)
        let waiting = Waiting(backlog: [.unregistered: 3])
        _ = machine.next(waiting, now: Self.start, chance: 0)
        let slots = Self.slots([2, 2, 2], kind: .unregistered)
        machine.happened(.read(.backlog, slots), now: Self.start, chance: 0)
        #expect(Self.isDelivery(machine.next(waiting, now: Self.start, chance: 0), of: 3, in: .backlog))
        let landings = [true, true, false].map { BatchLanding.unregistered([7], isWhole: $0) }
        machine.happened(.answered(.backlog, landings), now: Self.start, chance: 0)
        guard case .void(.backlog, _) = machine.next(waiting, now: Self.start, chance: 0) else {
            Issue.record("not voided")
            return
        }
        #expect(machine.backlog.bench.first == slots[2] && machine.backlog.cut == .apart([7]))
        machine.happened(.answered(.backlog, [.voided]), now: Self.start, chance: 0)
        #expect(machine.next(waiting, now: Self.start, chance: 0) == .cut(.backlog, .apart([7])))
        machine.happened(.cut(.backlog), now: Self.start, chance: 0)
        #expect(Set(machine.backlog.bench) == Set(slots[..<2]))
    }

    @Test("batches that wait for a registration hold up none behind them that need it no more")
    func walk() throws {
        var machine = try Self.machine(carriedOver: true)
        var now = Self.start
        let waiting = Waiting(backlog: [.unregistered: 40])
        /// What is read behind `after`, nothing when `nil`, and what the database says of it.
        func page(after: Int64, _ positions: ClosedRange<Int64>?, _ landings: [BatchLanding] = []) {
            now = now + .seconds(1)
            guard case .read(.backlog, _, _) = machine.next(waiting, now: now, chance: 0) else {
                Issue.record("no read after \(after)")
                return
            }
            #expect(machine.backlog.readsAfter.rawValue == after)
            let records = Array(repeating: 1, count: positions?.count ?? 0)
            let slots = Self.slots(records, from: positions?.lowerBound ?? 1, kind: .unregistered)
            machine.happened(.read(.backlog, slots), now: now, chance: 0)
            guard !slots.isEmpty else { return }
            #expect(Self.isDelivery(machine.next(waiting, now: now, chance: 0), of: slots.count, in: .backlog))
            machine.happened(.answered(.backlog, landings), now: now, chance: 0)
        }
        let waits = BatchLanding.unregistered([7], isWhole: true)
        page(after: 0, 1...2, [waits, waits])
        #expect(machine.heldBecause != nil, "and it says so at once")
        page(after: 2, 3...4, [.landed, waits])
        page(after: 4, nil)
        // Some have landed: those at the front may be able to.
        page(after: 0, 1...2, [waits, waits])
        page(after: 2, nil)
        guard case .wait(let until?) = machine.next(waiting, now: now, chance: 0) else {
            Issue.record("looks all the time")
            return
        }
        now = until
        for index in 0..<Int64(WriterStateMachine.passedInARow) {
            page(after: 2 * index, 2 * index + 1...2 * index + 2, [waits, waits])
        }
        guard case .wait(let until?) = machine.next(waiting, now: now, chance: 0) else {
            Issue.record("looks at thousands at once")
            return
        }
        now = until
        page(after: 2 * Int64(WriterStateMachine.passedInARow), 90...90, [.landed])
    }

    @Test("beside many that land, twenty of a kind may be bad, within ten minutes")
    func guardWindow() {
        var guarding = SystemicGuard()
        guarding.landed(1_000_000, now: Self.start)
        for _ in 0..<SystemicGuard.maximum {
            let may = guarding.mayBury("a", now: Self.start)
            #expect(may)
            guarding.hasBuried("a", now: Self.start)
        }
        let after = [
            guarding.mayBury("a", now: Self.start), guarding.mayBury("b", now: Self.start),
            guarding.mayBury("a", now: Self.start + SystemicGuard.window),
            guarding.mayBury("a", now: Self.start + SystemicGuard.window + .nanoseconds(1)),
        ]
        #expect(after == [false, true, false, true])
    }

    @Test("three failures in a row open the breaker; one delivery at a time finds out whether it is over")
    func breaker() throws {
        var machine = try Self.machine()
        var now = Self.start
        Self.deliver([1], &machine)
        for _ in 0..<3 {
            machine.happened(.failed(.fresh, Self.fault(.transient)), now: now, chance: 0)
            var action = machine.next(Waiting(fresh: 1), now: now, chance: 0)
            while case .wait(let until?) = action {
                now = until
                action = machine.next(Waiting(fresh: 1), now: now, chance: 0)
            }
            #expect(Self.isDelivery(action, of: 1))
        }
        #expect(machine.breaker.state.name == .halfOpen && now - Self.start >= .milliseconds(500))
        #expect(machine.next(Waiting(fresh: 1, backlog: 5), now: now, chance: 0) != .finish)
        machine.happened(.answered(.fresh, [.landed]), now: now, chance: 0)
        #expect(machine.breaker.state.name == .recovering)
    }

    @Test("when only one can be served, fresh data goes first, but not for ever")
    func starvation() throws {
        var machine = try Self.machine { $0.breaker.maximumConcurrentCalls = 1 }
        let waiting = Waiting(fresh: 100, backlog: 100)
        var turns: [Spool.Lane] = []
        var underWay: Spool.Lane?
        for step in 0..<400 where turns.count < 30 {
            switch machine.next(waiting, now: Self.start, chance: 0) {
            case .read(let lane, _, _):
                machine.happened(.read(lane, Self.slots([1], from: Int64(step))), now: Self.start, chance: 0)
            case .deliver(let lane, _, _):
                turns.append(lane)
                underWay = lane
            case .wait:
                if let lane = underWay { machine.happened(.answered(lane, [.landed]), now: Self.start, chance: 0) }
            default: break
            }
        }
        #expect(turns.prefix(5) == [.fresh, .fresh, .fresh, .fresh, .backlog])
        #expect(turns.filter { $0 == .backlog }.count == 6)
    }

    @Test("the backlog steps back while fresh data is late, and never stops")
    func share() {
        var share = BacklogShare()
        #expect(share.rest(after: .seconds(1), freshIsLate: false) == .zero)
        var rest = Duration.zero
        for _ in 0..<20 { rest = share.rest(after: .seconds(1), freshIsLate: true) }
        #expect(share.share == BacklogShare.least && rest > .seconds(18.9) && rest < .seconds(19.1))
        for _ in 0..<20 { rest = share.rest(after: .seconds(1), freshIsLate: false) }
        #expect(share.share == 1 && rest == .zero)
    }

    @Test("a process that was stopped for an hour does not let the backlog rest for another one")
    func stopped() throws {
        var machine = try Self.machine(carriedOver: true)
        let waiting = Waiting(fresh: 1, backlog: 1)
        let later = Self.start + .seconds(3600)
        Self.deliver([1], &machine, waiting: waiting)
        Self.deliver([1], in: .backlog, &machine, waiting: waiting)
        machine.happened(.answered(.backlog, [.landed]), now: later, chance: 0)
        let rest = machine.configuration.attemptTimeout
        guard case .wait(let until?) = machine.next(waiting, now: later, chance: 0) else {
            Issue.record("it does not rest, though fresh data is late")
            return
        }
        #expect(until > later && until <= later + rest)
    }

    @Test("deliveries grow while they are quick and full, and shrink when they are slow or too much")
    func pace() {
        var pace = DeliveryPace(.init())
        pace.landed(records: 10, took: .milliseconds(1))
        #expect(pace.records == 500)
        for _ in 0..<100 { pace.landed(records: pace.records, took: .milliseconds(1)) }
        #expect(pace.records == 50_000)
        pace.landed(records: 50_000, took: .seconds(2))
        #expect(pace.records == 37_500)
        pace.wasTooBig(records: 1000)
        #expect(pace.records == 500)
        pace.landed(records: 500, took: .milliseconds(500))
        #expect(pace.records == 500, "neither quick nor slow")
        for _ in 0..<20 { pace.wasTooBig(records: 1) }
        #expect(pace.records == 1 && pace.limits(allowance: 0.1).records == 1)
    }

    @Test("a shutdown empties the spool while the database is well, and does not wait for a sick one")
    func shutdown() throws {
        var well = try Self.machine()
        well.shutDown(by: Self.start + .seconds(2))
        Self.deliver([1], &well)
        well.happened(.answered(.fresh, [.landed]), now: Self.start, chance: 0)
        #expect(well.next(Waiting(), now: Self.start, chance: 0) == .finish)

        for faultClass in SinkFault.Class.allCases where faultClass != .poison {
            var sick = try Self.machine()
            Self.deliver([1], &sick)
            let end = Self.start + .seconds(2)
            sick.shutDown(by: end)
            #expect(sick.next(Waiting(fresh: 1), now: Self.start, chance: 0) == .wait(until: end))
            // It began before the shutdown with a deadline of its own, which is later.
            #expect(sick.next(Waiting(fresh: 1), now: end, chance: 0) == .abandon)
            #expect(sick.next(Waiting(fresh: 1), now: end, chance: 0) == .wait(until: nil))
            sick.happened(.failed(.fresh, Self.fault(faultClass)), now: end, chance: 0)
            var action = sick.next(Waiting(fresh: 1), now: end, chance: 0)
            if action == .moveBoundary { action = sick.next(Waiting(fresh: 1), now: end, chance: 0) }
            #expect(action == .finish, "\(faultClass)")
        }
    }
}
