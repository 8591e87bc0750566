import Testing

@testable import ALDCore

/// Every way in which a parameter command can go, exhaustively: whatever happens, the value is written at most once when
/// nobody knows what became of a write, and never after the deadline.
@Suite struct ParameterCommandMachineTests {
    typealias Machine = ParameterCommandMachine
    static let target = SetPoint(ParameterID(rawValue: 8), 120)

    func instant(_ milliseconds: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: milliseconds * 1_000_000) }

    func machine(notAfter: Int64 = 30_000) -> Machine {
        Machine(Self.target, notAfter: instant(notAfter), now: instant(0))
    }

    static let forever = MonotonicInstant(nanoseconds: .max)

    /// Answers one call after the other, each after 1 ms, and returns what was done.
    func run(
        _ machine: Machine, _ answers: [Machine.Event], from start: Int64 = 0, heldUntil: MonotonicInstant = forever
    ) -> (actions: [Machine.Action], at: Int64) {
        var machine = machine
        var (now, actions, answers) = (start, [Machine.Action](), answers[...])
        while actions.count < 200 {
            let action = machine.next(now: instant(now), heldUntil: heldUntil)
            if case .wait(let until) = action {
                now = until.nanoseconds / 1_000_000
                continue
            }
            actions.append(action)
            if case .finish = action { break }
            now += 1
            // The last answer is given for ever.
            machine.happened(answers.count > 1 ? answers.removeFirst() : answers[answers.startIndex], now: instant(now))
        }
        return (actions, now)
    }

    @Test("Written, read back, done")
    func success() {
        let (actions, _) = run(machine(), [.written, .readBack(120.00001)])
        #expect(
            actions == [
                .write(Self.target, by: instant(500)), .readBack(Self.target.parameter, by: instant(501)),
                .finish(.succeeded(actual: 120.00001)),
            ])
    }

    @Test("What comes too late is never written")
    func tooLate() {
        let (actions, _) = run(machine(notAfter: 0), [.written])
        #expect(actions == [.finish(.failed("the controller was not reached in time", actual: nil))])
    }

    @Test("A shutdown ends what was not written, and sees through what was")
    func shutdown() {
        var machine = machine()
        machine.happened(.stop, now: instant(1))
        let reason = "the terminal was shut down before the controller was reached"
        #expect(machine.next(now: instant(1), heldUntil: Self.forever) == .finish(.failed(reason, actual: nil)))
        let doubt = Machine.Event.writeFailed(.unknownOutcome("no answer"))
        let (actions, _) = run(self.machine(), [doubt, .stop, .readBack(120)])
        #expect(actions.last == .finish(.succeeded(actual: 120)))
    }

    @Test("A controller that cannot be reached is tried until the deadline, and not after it")
    func unreachable() {
        let (actions, at) = run(machine(notAfter: 300), [.writeFailed(.unreachable("no route"))])
        #expect(actions.last == .finish(.failed("not written in time: no route", actual: nil)))
        #expect(at <= 351)
        for case .write(_, let by) in actions { #expect(by <= instant(300)) }
    }

    @Test("What stands still for longer than its lease writes nothing, and neither does a call that is just being made")
    func lease() {
        let notHeld = Machine.Action.finish(.failed(Machine.notHeld, actual: nil))
        #expect(run(machine(), [.written], heldUntil: instant(0)).actions == [notHeld])
        #expect(run(machine(), [.written], from: 20_000, heldUntil: instant(9000)).actions == [notHeld])
        // Whoever gets the call holds it back until then.
        #expect(
            run(machine(), [.written], heldUntil: instant(200)).actions.first == .write(Self.target, by: instant(200)))
        // Tried again and again until the lease ends, and longer when it is prolonged.
        let away = Machine.Event.writeFailed(.unreachable("no route"))
        let (actions, at) = run(machine(), [away], heldUntil: instant(300))
        #expect(actions.last == notHeld && actions.count > 4 && at <= 351)
        for case .write(_, let by) in actions { #expect(by <= instant(300)) }
        var prolonged = machine()
        #expect(prolonged.next(now: instant(0), heldUntil: instant(300)) == .write(Self.target, by: instant(300)))
        prolonged.happened(away, now: instant(299))
        #expect(prolonged.next(now: instant(349), heldUntil: instant(2000)) == .write(Self.target, by: instant(849)))
    }

    @Test("What was written, or may have been, is read back whoever has the command now")
    func leaseEndsLater() {
        for (event, ending) in [
            (Machine.Event.written, Machine.Ending.succeeded(actual: 120)),
            (.writeFailed(.unknownOutcome("no answer")), .succeeded(actual: 120)),
        ] {
            var machine = machine()
            _ = machine.next(now: instant(0), heldUntil: instant(10))
            machine.happened(event, now: instant(20_000))
            #expect(
                machine.next(now: instant(20_000), heldUntil: instant(10))
                    == .readBack(Self.target.parameter, by: instant(20_500)))
            machine.happened(.readBack(120), now: instant(20_001))
            #expect(machine.next(now: instant(20_001), heldUntil: instant(10)) == .finish(ending))
        }
    }

    @Test("A refusal is an answer")
    func refused() {
        let (actions, _) = run(machine(), [.writeFailed(.refused("illegal value"))])
        #expect(actions.last == .finish(.failed("illegal value", actual: nil)))
    }

    @Test("Nobody knows whether it was written: it is read back and never written again")
    func unknownOutcome() {
        let doubt = Machine.Event.writeFailed(.unknownOutcome("no answer"))
        func ending(_ answers: Machine.Event...) -> Machine.Action? {
            let actions = run(machine(), [doubt] + answers).actions
            #expect(actions.count { if case .write = $0 { true } else { false } } == 1)
            return actions.last
        }
        #expect(ending(.readBack(120)) == .finish(.succeeded(actual: 120)))
        #expect(ending(.readBack(7), .readBack(120)) == .finish(.succeeded(actual: 120)))
        #expect(ending(.readBack(7)) == .finish(.unknown("no answer; it reads back as 7.0", actual: 7)))
        #expect(
            ending(.readBackFailed("no route"))
                == .finish(.unknown("no answer; it could not be read back either", actual: nil)))
    }

    @Test("Written and confirmed, but it does not read back as written")
    func differs() {
        func ending(_ answers: Machine.Event...) -> Machine.Action? {
            run(machine(), [.written] + answers).actions.last
        }
        #expect(ending(.readBack(119)) == .finish(.failed("written, and reads back as 119.0", actual: 119)))
        #expect(
            ending(.readBackFailed("no route"))
                == .finish(.unknown("written, and could not be read back: no route", actual: nil)))
    }

    @Test("A command that another terminal left is looked at, never written")
    func adopted() {
        func actions(_ answer: Machine.Event) -> [Machine.Action] {
            run(Machine(adopting: Self.target, now: instant(0)), [answer]).actions
        }
        #expect(actions(.readBack(120)).last == .finish(.succeeded(actual: 120)))
        let reason = "the terminal that executed it ended without a word; it reads back as 7.0"
        #expect(actions(.readBack(7)).last == .finish(.unknown(reason, actual: 7)))
        for action in actions(.readBackFailed("no route")) {
            if case .write = action { Issue.record("it was written again") }
        }
    }

    @Test("All sequences of six answers keep the rules") func exhaustive() {
        let events: [Machine.Event] = [
            .written, .writeFailed(.unreachable("a")),
            .writeFailed(.refused("b")), .writeFailed(.unknownOutcome("c")), .readBack(120), .readBack(7),
            .readBackFailed("d"),
        ]
        var broken: [String] = []
        for code in 0..<117_649 {
            var (rest, answers) = (code, [Machine.Event]())
            for _ in 0..<6 {
                answers.append(events[rest % 7])
                rest /= 7
            }
            if let problem = problem(in: answers) { broken.append("\(code): \(problem)") }
            if broken.count > 3 { break }
        }
        #expect(broken == [])
    }

    private func problem(in answers: [Machine.Event]) -> String? {
        var machine = machine()
        var (now, doubtful) = (Int64(0), false)
        for answer in answers {
            var action = machine.next(now: instant(now), heldUntil: Self.forever)
            if case .wait(let until) = action {
                now = until.nanoseconds / 1_000_000
                action = machine.next(now: instant(now), heldUntil: Self.forever)
            }
            switch (action, answer) {
            case (.write, _) where doubtful: return "written again although nobody knows what became of the first"
            case (.write, .writeFailed(.unknownOutcome)), (.write, .written): doubtful = true
            case (.finish, _): return nil
            default: break
            }
            now += 1
            machine.happened(answer, now: instant(now))
        }
        return nil
    }
}
