import Testing

@testable import ALDCore

/// While a large delivery is under way, the spool brings what follows it: the database need not wait for the disk.
@Suite("Writer, reading ahead") struct WriterReadAheadTests {
    typealias Tests = WriterStateMachineTests

    static let start = Tests.start

    /// A machine that delivers 2 batches of 10 of `lane` and has been asked to read what follows.
    private static func reading(
        in lane: Spool.Lane = .fresh, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> WriterStateMachine {
        var machine = try Tests.machine { $0.readsAheadFrom = 20 }
        let waiting = Self.waiting(5, in: lane)
        Tests.deliver([10, 10], in: lane, &machine, waiting: waiting)
        guard case .readAhead(lane, _) = machine.next(waiting, now: start, chance: 0) else {
            Issue.record("nothing is read ahead", sourceLocation: sourceLocation)
            return machine
        }
        return machine
    }

    private static let lanes = [Spool.Lane.fresh, .backlog]
    private static let next = Tests.slots([10, 10, 10], from: 3)

    private static func waiting(_ count: Int, in lane: Spool.Lane) -> WriterStateMachine.Waiting {
        lane == .fresh ? WriterStateMachine.Waiting(fresh: count) : WriterStateMachine.Waiting(backlog: count)
    }

    @Test("what was read meanwhile is delivered as soon as the delivery before has landed", arguments: lanes)
    func follows(lane: Spool.Lane) throws {
        var machine = try Self.reading(in: lane)
        let waiting = Self.waiting(5, in: lane)
        #expect(machine.next(waiting, now: Self.start, chance: 0) == .wait(until: nil), "one reading at a time")
        machine.happened(.readAhead(lane, Self.next), now: Self.start, chance: 0)
        #expect(machine.next(waiting, now: Self.start, chance: 0) == .wait(until: nil), "one delivery at a time")
        #expect(machine[lane].claimed.count == 5)
        machine.happened(.answered(lane, [.landed, .landed]), now: Self.start, chance: 0)
        let rest = Self.waiting(3, in: lane)
        #expect(Tests.isDelivery(machine.next(rest, now: Self.start, chance: 0), of: 3, in: lane))
        #expect(machine.next(rest, now: Self.start, chance: 0) == .wait(until: nil), "nothing is left to be read")
    }

    @Test("a delivery that lands first waits for the reading that is under way")
    func landsFirst() throws {
        var machine = try Self.reading()
        machine.happened(.answered(.fresh, [.landed, .landed]), now: Self.start, chance: 0)
        let rest = WriterStateMachine.Waiting(fresh: 3)
        #expect(machine.next(rest, now: Self.start, chance: 0) == .wait(until: nil))
        machine.happened(.readAhead(.fresh, Self.next), now: Self.start, chance: 0)
        #expect(Tests.isDelivery(machine.next(rest, now: Self.start, chance: 0), of: 3))
    }

    @Test("what cannot be read ahead is read when its turn has come, where the failure is told")
    func unreadable() throws {
        for landsFirst in [false, true] {
            var machine = try Self.reading()
            if landsFirst { machine.happened(.answered(.fresh, [.landed, .landed]), now: Self.start, chance: 0) }
            machine.happened(.readAhead(.fresh, []), now: Self.start, chance: 0)
            if !landsFirst {
                let action = machine.next(WriterStateMachine.Waiting(fresh: 5), now: Self.start, chance: 0)
                #expect(action == .wait(until: nil), "it is not tried again and again")
            }
            if !landsFirst { machine.happened(.answered(.fresh, [.landed, .landed]), now: Self.start, chance: 0) }
            let action = machine.next(WriterStateMachine.Waiting(fresh: 3), now: Self.start, chance: 0)
            guard case .read(.fresh, _, _) = action else {
                Issue.record("\(action)")
                continue
            }
        }
    }

    @Test("what follows a delivery that did not land goes back to the spool, whenever it is brought")
    func refused() throws {
        for isBroughtBefore in [true, false] {
            var machine = try Self.reading()
            if isBroughtBefore { machine.happened(.readAhead(.fresh, Self.next), now: Self.start, chance: 0) }
            machine.happened(.failed(.fresh, Tests.fault(.poison)), now: Self.start, chance: 0)
            if !isBroughtBefore { machine.happened(.readAhead(.fresh, Self.next), now: Self.start, chance: 0) }
            #expect(machine.fresh.claimed.count == 2)
            #expect(machine.fresh.ahead == .nothing)
        }
    }

    @Test("after a failure that passes it is not read again; of the fresh lane it is backlog then", arguments: lanes)
    func failedOnce(lane: Spool.Lane) throws {
        var machine = try Self.reading(in: lane)
        machine.happened(.readAhead(lane, Self.next), now: Self.start, chance: 0)
        machine.happened(.failed(lane, Tests.fault(.transient)), now: Self.start, chance: 0)
        let waiting = Self.waiting(5, in: lane)
        guard case .wait(let until?) = machine.next(waiting, now: Self.start, chance: 0) else {
            Issue.record("no pause")
            return
        }
        #expect(Tests.isDelivery(machine.next(waiting, now: until, chance: 0), of: 2, in: lane))
        #expect(machine.next(waiting, now: until, chance: 0) == .wait(until: nil))
        machine.happened(.answered(lane, [.landed, .landed]), now: until, chance: 0)
        let action = machine.next(Self.waiting(3, in: lane), now: until, chance: 0)
        if lane == .fresh {
            #expect(action == .moveBoundary && machine.fresh.claimed.isEmpty)
        } else {
            #expect(Tests.isDelivery(action, of: 3, in: lane))
        }
    }

    @Test("little, or all that there is, is delivered without reading ahead")
    func small() throws {
        var machine = try Tests.machine { $0.readsAheadFrom = 20 }
        Tests.deliver([10, 9], &machine, waiting: WriterStateMachine.Waiting(fresh: 5))
        #expect(machine.next(WriterStateMachine.Waiting(fresh: 5), now: Self.start, chance: 0) == .wait(until: nil))
        machine = try Tests.machine { $0.readsAheadFrom = 20 }
        Tests.deliver([10, 10], &machine, waiting: WriterStateMachine.Waiting(fresh: 2))
        #expect(machine.next(WriterStateMachine.Waiting(fresh: 2), now: Self.start, chance: 0) == .wait(until: nil))
    }
}
