import Testing

@testable import ALDCore

/// How the writer goes on after an answer or a fault: with what, when, and what it tells.
extension WriterStateMachineTests {
    private static func sizeFault(_ faultClass: SinkFault.Class) -> SinkFault {
        SinkFault(faultClass, "took too long", isAboutSize: true)
    }

    /// How long the lane pauses; `nil` when it does not.
    private static func pause(_ machine: WriterStateMachine, now: MonotonicInstant) -> Duration? {
        if case .pausing(let until) = machine.fresh.state { until - now } else { nil }
    }

    /// Goes on as soon as it may.
    private static func goOn(
        _ machine: inout WriterStateMachine, _ waiting: Waiting, now: inout MonotonicInstant
    ) -> WriterStateMachine.Action {
        for _ in 0..<100 {
            let action = machine.next(waiting, now: now, chance: 0)
            guard case .wait(let until?) = action else { return action }
            now = until
        }
        return .wait(until: nil)
    }

    private static func patient(_ configuration: inout WriterStateMachine.Configuration) {
        (configuration.breaker.consecutiveFailures, configuration.breaker.failureRate) = (nil, 1)
        configuration.breaker.minimumCalls = 20
    }

    @Test("a delivery that is in doubt again and again may be too large for a slow network: then it is halved")
    func inDoubtAgain() throws {
        var machine = try Self.machine(Self.patient)
        var now = Self.start
        let waiting = Waiting(fresh: 4)
        Self.deliver([100, 100, 100, 100], &machine)
        var sizes: [Int] = []
        for _ in 0..<6 {
            machine.happened(.failed(.fresh, Self.fault(.inDoubt)), now: now, chance: 0)
            var action = Self.goOn(&machine, waiting, now: &now)
            while case .reconcile = action {
                machine.happened(.reconciled(through: nil, resurrected: 0, asked: false), now: now, chance: 0)
                action = Self.goOn(&machine, waiting, now: &now)
            }
            guard case .deliver(.fresh, let size, _) = action else {
                Issue.record("\(action)")
                return
            }
            sizes.append(size)
        }
        #expect(sizes == [4, 2, 2, 1, 1, 1], "the same once more, before there are fewer")
    }

    @Test("what took the server too long comes in smaller parts, also when it was in doubt before")
    func tooLong() throws {
        for isInDoubtFirst in [false, true] {
            var machine = try Self.machine(Self.patient)
            var now = Self.start
            let waiting = Waiting(fresh: 4)
            Self.deliver([100, 100, 100, 100], &machine)
            if isInDoubtFirst {
                machine.happened(.failed(.fresh, Self.fault(.inDoubt)), now: now, chance: 0)
                _ = machine.next(waiting, now: now, chance: 0)
                machine.happened(.reconciled(through: nil, resurrected: 0, asked: false), now: now, chance: 0)
                let action = Self.goOn(&machine, waiting, now: &now)
                #expect(Self.isDelivery(action, of: 4))
            }
            machine.happened(.failed(.fresh, Self.sizeFault(.transient)), now: now, chance: 0)
            let action = Self.goOn(&machine, waiting, now: &now)
            #expect(Self.isDelivery(action, of: 2))
        }
    }

    @Test("readings that nobody has registered are set apart before they wait")
    func allStrangers() throws {
        var machine = try Self.machine()
        Self.deliver([1], &machine)
        machine.happened(.answered(.fresh, [.unregistered([7], isWhole: true)]), now: Self.start, chance: 0)
        #expect(machine.fresh.step == .void(.apart([7])) && machine.fresh.walks.isEmpty)
    }

    @Test("while a bad record is looked for, what lands beside it does not mean that the fault is gone")
    func heldDuringSearch() throws {
        var machine = try Self.machine(carriedOver: true)
        for position in 1...7 { _ = Self.refuse(Int64(position), &machine) }
        let waiting = Waiting(backlog: 4)
        _ = machine.next(waiting, now: Self.start, chance: 0)
        machine.happened(.read(.backlog, []), now: Self.start, chance: 0)
        guard case .wait(let until?) = machine.next(waiting, now: Self.start, chance: 0) else {
            Issue.record("not held")
            return
        }
        Self.deliver([1, 1, 1, 1], in: .backlog, &machine, now: until)
        machine.happened(.failed(.backlog, Self.fault(.poison)), now: until, chance: 0)
        for isHeld in [true, false] {
            let action = machine.next(waiting, now: until, chance: 0)
            #expect(Self.isDelivery(action, of: 2, in: .backlog))
            machine.happened(.answered(.backlog, [.landed, .landed]), now: until, chance: 0)
            #expect((machine.heldBecause != nil) == isHeld)
        }
    }

    @Test("pauses grow from failure to failure, and begin anew after a success")
    func pauses() throws {
        var machine = try Self.machine(Self.patient)
        var now = Self.start
        Self.deliver([1], &machine)
        var pauses: [Duration?] = []
        for isOver in [false, true, false] {
            machine.happened(.failed(.fresh, Self.fault(.transient)), now: now, chance: 1)
            pauses.append(Self.pause(machine, now: now))
            var action = Self.goOn(&machine, Waiting(fresh: 1), now: &now)
            #expect(Self.isDelivery(action, of: 1))
            guard isOver else { continue }
            machine.happened(.answered(.fresh, [.landed]), now: now, chance: 0)
            action = machine.next(Waiting(fresh: 1), now: now, chance: 0)
            #expect(action == .moveBoundary)
            Self.deliver([1], &machine, now: now)
        }
        #expect(pauses == [.milliseconds(300), .milliseconds(900), .milliseconds(300)])
    }

    @Test("who has used up the budget goes on at the slowest pace; a success brings a part of it back")
    func budget() throws {
        var machine = try Self.machine {
            Self.patient(&$0)
            $0.budget.capacity = 2
        }
        var now = Self.start
        Self.deliver([1], &machine)
        var pauses: [Duration?] = []
        for _ in 0..<3 {
            machine.happened(.failed(.fresh, Self.fault(.transient)), now: now, chance: 0)
            pauses.append(Self.pause(machine, now: now))
            let action = Self.goOn(&machine, Waiting(fresh: 1), now: &now)
            #expect(Self.isDelivery(action, of: 1))
        }
        #expect(pauses == [.milliseconds(100), .milliseconds(100), machine.configuration.backoff.cap])
        let before = machine.budget.tokens
        machine.happened(.answered(.fresh, [.landed]), now: now, chance: 0)
        #expect(machine.budget.tokens == before + 0.1)
    }

    @Test("a repetition that has ended makes way for the next one, where only one at a time may be")
    func probes() throws {
        var machine = try Self.machine(Self.patient)
        var now = Self.start
        Self.deliver([1], &machine)
        // Six bring the budget under its half; then there are four, one at a time.
        for failure in 1...10 {
            machine.happened(.failed(.fresh, Self.fault(.transient)), now: now, chance: 0)
            #expect(Self.pause(machine, now: now) == .milliseconds(100), "failure \(failure)")
            let action = Self.goOn(&machine, Waiting(fresh: 1), now: &now)
            #expect(Self.isDelivery(action, of: 1))
        }
        machine.happened(.failed(.fresh, Self.fault(.transient)), now: now, chance: 0)
        #expect(Self.pause(machine, now: now) == machine.configuration.backoff.cap)
    }

    @Test("the ledger is asked although there is always something to deliver")
    func ledgerInTurn() throws {
        var machine = try Self.machine { $0.breaker.maximumConcurrentCalls = 1 }
        machine.reconnected()
        for turn in 0...WriterStateMachine.freshTurnsInARow {
            var action = machine.next(Waiting(fresh: 9), now: Self.start, chance: 0)
            if case .reconcile = action {
                #expect(turn > 0)
                return
            }
            machine.happened(.read(.fresh, Self.slots([1])), now: Self.start, chance: 0)
            action = machine.next(Waiting(fresh: 9), now: Self.start, chance: 0)
            guard Self.isDelivery(action, of: 1) else {
                if case .reconcile = action { return }
                Issue.record("\(action)")
                return
            }
            machine.happened(.answered(.fresh, [.landed]), now: Self.start, chance: 0)
        }
        Issue.record("it is never asked")
    }

    @Test("a name that cannot be closed is no bad record: its kind is held")
    func closingRefused() throws {
        for fate in [Self.fault(.poison), nil] {
            var machine = try Self.machine()
            Self.deliver([1], &machine)
            machine.happened(.failed(.fresh, Self.fault(.poison)), now: Self.start, chance: 0)
            guard case .void = machine.next(Waiting(fresh: 1), now: Self.start, chance: 0) else {
                Issue.record("not voided")
                return
            }
            if let fate {
                machine.happened(.failed(.fresh, fate), now: Self.start, chance: 0)
            } else {
                machine.happened(.answered(.fresh, [.collision]), now: Self.start, chance: 0)
            }
            #expect(machine.heldBecause != nil && machine.fresh.bench.isEmpty && machine.fresh.step == .deliver)
        }
    }

    @Test("where no dead letters land, a bad record holds its kind")
    func noLetters() throws {
        var machine = try Self.machine { $0.takesDeadLetters = false }
        Self.deliver([1], &machine)
        machine.happened(.failed(.fresh, Self.fault(.poison)), now: Self.start, chance: 0)
        #expect(machine.heldBecause?.faultClass == .poison && machine.fresh.doubts.isEmpty)
    }

    @Test("fresh data that is served all the time is not late, and the backlog need not rest for it")
    func servedIsNotLate() throws {
        var machine = try Self.machine(carriedOver: true)
        let waiting = Waiting(fresh: 9, backlog: 9)
        var now = Self.start
        Self.deliver([1], &machine, waiting: waiting)
        Self.deliver([1], in: .backlog, &machine, waiting: waiting)
        now = now + .milliseconds(400)
        machine.happened(.answered(.fresh, [.landed]), now: now, chance: 0)
        Self.deliver([1], &machine, waiting: waiting, now: now)
        now = now + .milliseconds(400)
        machine.happened(.answered(.fresh, [.landed]), now: now, chance: 0)
        machine.happened(.answered(.backlog, [.landed]), now: now, chance: 0)
        Self.deliver([1], &machine, waiting: waiting, now: now)
        guard case .read(.backlog, _, _) = machine.next(waiting, now: now, chance: 0) else {
            Issue.record("the backlog rests")
            return
        }
    }

    @Test("a database that has just come back is sent a part of the usual at first")
    func ramp() throws {
        var machine = try Self.machine()
        var now = Self.start
        Self.deliver([1], &machine)
        machine.happened(.failed(.fresh, Self.fault(.resource)), now: now, chance: 0)
        // Nobody asks for what is known to be refused: it would be counted.
        now = now + .milliseconds(200)
        for _ in 0..<5 { _ = machine.next(Waiting(fresh: 1), now: now, chance: 0) }
        #expect(machine.breaker.state.name == .open && machine.breaker.statistics.rejected == 0)
        var action = Self.goOn(&machine, Waiting(fresh: 1), now: &now)
        #expect(Self.isDelivery(action, of: 1))
        machine.happened(.answered(.fresh, [.landed]), now: now, chance: 0)
        #expect(machine.breaker.state.name == .recovering)
        _ = machine.next(Waiting(backlog: 1), now: now, chance: 0)
        action = machine.next(Waiting(backlog: 1), now: now, chance: 0)
        guard case .read(.backlog, let limits, _) = action else {
            Issue.record("\(action)")
            return
        }
        #expect(limits.records == machine.backlog.pace.records / 10)
    }

    @Test(
        "connections that end now and then while the ledger is asked make no question smaller; only those that always do",
        arguments: [(2, [1000]), (8, [1000]), (Int.max, [1000, 250, 62, 15, 3])] as [(Int, [Int64])])
    func cutQuestions(answeredEvery: Int, sizes: [Int64]) throws {
        var machine = try Self.machine()
        machine.reconnected()
        var (now, asked, place) = (Self.start, [Int64](), Int64(0))
        while asked.count < 40 {
            switch machine.next(Waiting(), now: now, chance: 0) {
            case .reconcile(_, let batches, _):
                asked.append(batches)
                place += batches
                machine.happened(
                    asked.count % answeredEvery == 0
                        ? .reconciled(through: SpoolPosition(rawValue: place), resurrected: 0, asked: true)
                        : .reconcileFailed(Self.fault(.inDoubt)), now: now, chance: 0)
            case .wait(let until?): now = until
            default: break
            }
        }
        #expect(Set(asked) == Set(sizes))
    }

    @Test("an attempt that takes all its time keeps its permit until then")
    func slowAttempt() throws {
        var machine = try Self.machine()
        Self.deliver([1], &machine)
        let late = Self.start + machine.configuration.attemptTimeout
        _ = machine.next(Waiting(fresh: 1), now: late, chance: 0)
        machine.happened(.answered(.fresh, [.landed]), now: late, chance: 0)
        #expect(machine.breaker.statistics.expired == 0 && machine.breaker.statistics.late == 0)
        #expect(machine.breaker.callsUnderWay == 0)
    }

    @Test("what somebody has taken away is waited for no more")
    func walkEnds() throws {
        var machine = try Self.machine(carriedOver: true)
        let waiting = Waiting(backlog: [.unregistered: 1])
        _ = machine.next(waiting, now: Self.start, chance: 0)
        machine.happened(.read(.backlog, Self.slots([1], kind: .unregistered)), now: Self.start, chance: 0)
        _ = machine.next(waiting, now: Self.start, chance: 0)
        machine.happened(.answered(.backlog, [.unregistered([7], isWhole: true)]), now: Self.start, chance: 0)
        #expect(machine.heldBecause != nil)
        _ = machine.next(Waiting(), now: Self.start, chance: 0)
        #expect(machine.heldBecause == nil)
    }

    @Test("who shuts down begins nothing that goes beyond its time, and leaves the ledger to the next start")
    func shutdownInTime() throws {
        var machine = try Self.machine()
        let end = Self.start + .seconds(2)
        machine.reconnected()
        machine.shutDown(by: end)
        _ = machine.next(Waiting(fresh: 1), now: Self.start, chance: 0)
        machine.happened(.read(.fresh, Self.slots([1])), now: Self.start, chance: 0)
        #expect(machine.next(Waiting(fresh: 1), now: Self.start, chance: 0) == .deliver(.fresh, batches: 1, by: end))
        machine.happened(.answered(.fresh, [.landed]), now: Self.start, chance: 0)
        #expect(machine.next(Waiting(), now: Self.start, chance: 0) == .finish)
    }

    @Test("those of one kind that were put aside are tried again without those of another")
    func takeUp() throws {
        var lane = try Self.machine().backlog
        let slots = [Self.slots([1], from: 1), Self.slots([1], from: 2, kind: .gaps)].flatMap(\.self)
        lane.doubts = slots.map { WriterLane.Doubt(slot: $0, fault: Self.fault(.poison)) }
        lane.takeUp(.gaps)
        #expect(lane.bench == [slots[1]] && lane.doubts.map(\.slot) == [slots[0]])
    }

    @Test("what landed long ago says nothing of the records that are bad now, and is not kept")
    func guardForgets() {
        let later = Self.start + SystemicGuard.window + .nanoseconds(1)
        var (guarding, other) = (SystemicGuard(), SystemicGuard())
        guarding.landed(1_000_000, now: Self.start)
        for _ in 0..<SystemicGuard.benefitOfDoubt { guarding.hasBuried("a", now: later) }
        let mayBury = guarding.mayBury("a", now: later)
        #expect(!mayBury)
        for _ in 0..<SystemicGuard.benefitOfDoubt { other.hasBuried("a", now: later) }
        guarding.landed(1, now: later)
        other.landed(1, now: later)
        #expect(guarding == other)
    }

    @Test("so many rules are not broken by accident at the same time")
    func guardFingerprints() {
        var guarding = SystemicGuard()
        for rule in 0..<SystemicGuard.maximumFingerprints { guarding.hasBuried("\(rule)", now: Self.start) }
        let mayBury = ["0", "another"].map { guarding.mayBury($0, now: Self.start) }
        #expect(mayBury == [true, false])
    }
}
