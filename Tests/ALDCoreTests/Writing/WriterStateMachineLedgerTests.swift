import Testing

@testable import ALDCore

/// How what is retained is compared with the ledger.
extension WriterStateMachineTests {
    @Test("the ledger is asked in parts, beside deliveries, and not from the beginning after every failure of it")
    func pages() throws {
        var machine = try Self.machine()
        machine.reconnected()
        Self.deliver([1], &machine)
        let waiting = Waiting(fresh: 1)
        let (first, second) = (SpoolPosition(rawValue: 7), SpoolPosition(rawValue: 9))
        func begins(after position: SpoolPosition, now: MonotonicInstant = Self.start) -> Bool {
            if case .reconcile(position, _, _) = machine.next(waiting, now: now, chance: 0) { true } else { false }
        }
        #expect(begins(after: .start))
        machine.happened(.reconciled(through: first, resurrected: 0, asked: true), now: Self.start, chance: 0)
        #expect(begins(after: first))
        machine.happened(.reconcileFailed(Self.fault(.transient)), now: Self.start, chance: 0)
        guard case .wait(let until?) = machine.next(waiting, now: Self.start, chance: 0) else {
            Issue.record("no pause")
            return
        }
        #expect(begins(after: first, now: until))
        machine.happened(.reconciled(through: second, resurrected: 0, asked: true), now: until, chance: 0)
        #expect(begins(after: second, now: until))
        // Another connection meanwhile: what was found before it says nothing.
        machine.happened(.failed(.fresh, Self.fault(.unsent)), now: until, chance: 0)
        machine.happened(.reconciled(through: nil, resurrected: 0, asked: true), now: until, chance: 0)
        // It goes on from there, and comes round to what lies before.
        #expect(!machine.isReconciled && begins(after: second, now: until))
        machine.happened(.reconciled(through: nil, resurrected: 0, asked: true), now: until, chance: 0)
        #expect(!machine.isReconciled && begins(after: .start, now: until))
        machine.happened(.reconciled(through: first, resurrected: 0, asked: true), now: until, chance: 0)
        #expect(!machine.isReconciled && begins(after: first, now: until))
        machine.happened(.reconciled(through: second, resurrected: 0, asked: true), now: until, chance: 0)
        #expect(machine.isReconciled)
    }

    @Test("what is accepted while the ledger is asked need not be compared: a busy spool comes to an end of it, too")
    func growingSpool() throws {
        var machine = try Self.machine()
        machine.reconnected()
        Self.deliver([1], &machine)
        var waiting = Waiting(fresh: 1)
        waiting.end = SpoolPosition(rawValue: 3000)
        var asked: [Int64] = []
        while !machine.isReconciled, asked.count < 100 {
            guard case .reconcile(let position, let batches, _) = machine.next(waiting, now: Self.start, chance: 0)
            else { break }
            asked.append(position.rawValue)
            // Another connection in the middle of the first round: the next one ends where the spool ends by then.
            if asked.count == 2 { machine.reconnected() }
            waiting.end.rawValue += batches
            machine.happened(
                .reconciled(
                    through: SpoolPosition(rawValue: position.rawValue + batches), resurrected: 0, asked: true),
                now: Self.start, chance: 0)
        }
        // The page that was under way does not count; from its place to the end of then, and what lies before it.
        #expect(machine.isReconciled && asked == [0, 1000, 1000, 2000, 3000, 4000, 0])
    }

    @Test("a part of the ledger that is never answered in time is asked for in smaller parts, and keeps back no other")
    func slowPage() throws {
        var machine = try Self.machine()
        machine.reconnected()
        Self.deliver([1], &machine)
        var now = Self.start
        var asked: [Range<Int64>] = []
        // No answer comes in time about more than twenty batches of those from 3000 on.
        while !machine.isReconciled, asked.count < 1000 {
            switch machine.next(Waiting(fresh: 1), now: now, chance: 0) {
            case .reconcile(let position, let batches, _):
                let part = position.rawValue..<min(5000, position.rawValue + batches)
                asked.append(part)
                if part.upperBound > 3000, part.count > 20 {
                    now = now + .seconds(10)
                    machine.happened(.reconcileFailed(Self.fault(.inDoubt)), now: now, chance: 0)
                } else {
                    let end = part.upperBound < 5000 ? SpoolPosition(rawValue: part.upperBound) : nil
                    machine.happened(.reconciled(through: end, resurrected: 0, asked: true), now: now, chance: 0)
                }
            case .wait(let until?): now = until
            default: break
            }
        }
        #expect(asked.prefix(4) == [0..<1000, 1000..<2000, 2000..<3000, 3000..<4000])
        #expect(asked.dropFirst(4).first?.lowerBound == 3000, "it goes on where it failed")
        #expect(machine.isReconciled && asked.last?.upperBound == 3000, "it has come round to where it failed")
    }
}
