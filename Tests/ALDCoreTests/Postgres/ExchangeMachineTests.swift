import ALDTestKit
import Testing

@testable import ALDCore

@Suite(.background) struct ExchangeMachineTests {
    typealias Machine = ExchangeMachine

    private func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: milliseconds * 1_000_000)
    }

    /// The deadline is at 100 ms, the grace 50 ms, a cancel request every 20 ms.
    private func machine(_ goal: Machine.Goal, isCopyingIn: Bool = false) -> Machine {
        Machine(
            goal: goal, deadline: at(100), grace: .milliseconds(50), interval: .milliseconds(20),
            isCopyingIn: isCopyingIn)
    }

    /// Feeds events, each with its time in milliseconds, and returns what was decided.
    private func run(_ machine: inout Machine, _ events: [(Int64, Machine.Event)]) -> [Machine.Action] {
        events.map { machine.handle($0.1, now: at($0.0)) }
    }

    @Test func aStatementIsSentReadAndAnswered() {
        var machine = machine(.answer)
        let actions = run(
            &machine,
            [
                (0, .began), (0, .flushed(isComplete: false)), (0, .collected(.pending)), (1, .waited(.ready)),
                (1, .consumed), (1, .flushed(isComplete: true)), (1, .collected(.pending)), (2, .waited(.ready)),
                (2, .consumed), (2, .flushed(isComplete: true)), (2, .collected(.result(isCancellation: false))),
                (2, .collected(.end(isAlive: true))),
            ])
        #expect(
            actions == [
                .flush, .collect, .wait(.both, until: at(100), heedsCancellation: true), .consume, .flush, .collect,
                .wait(.readable, until: at(100), heedsCancellation: true), .consume, .flush, .collect, .collect,
                .finish(.answered(isAlive: true)),
            ])
    }

    @Test(arguments: [
        (Machine.Outcome.timedOut, Machine.Reason.deadline), (.cancelled, .cancellation), (.closed, .close),
    ])
    func anAbandonedStatementIsCancelledAndItsEndAwaited(outcome: Machine.Outcome, reason: Machine.Reason) {
        var machine = machine(.answer)
        let actions = run(
            &machine,
            [
                (0, .began), (0, .flushed(isComplete: true)), (0, .collected(.pending)), (100, .waited(outcome)),
                (101, .cancelRequested(isDelivered: true)), (101, .flushed(isComplete: true)),
                (101, .collected(.pending)), (102, .waited(.ready)), (102, .consumed),
                (102, .flushed(isComplete: true)), (102, .collected(.result(isCancellation: true))),
                (102, .collected(.end(isAlive: true))),
            ])
        #expect(
            actions.suffix(9) == [
                .requestCancel(until: at(150)), .flush, .collect,
                .wait(.readable, until: at(121), heedsCancellation: false), .consume, .flush, .collect, .collect,
                .finish(.abandoned(reason, isConfirmed: true, isClean: true)),
            ])
    }

    @Test func requestsAreRepeatedUntilTheGraceIsOver() {
        var machine = machine(.answer)
        #expect(machine.handle(.stopped(.deadline), now: at(0)) == .requestCancel(until: at(50)))
        _ = machine.handle(.cancelRequested(isDelivered: true), now: at(0))
        #expect(machine.handle(.waited(.timedOut), now: at(20)) == .requestCancel(until: at(50)))
        _ = machine.handle(.cancelRequested(isDelivered: true), now: at(40))
        _ = machine.handle(.flushed(isComplete: true), now: at(40))
        #expect(
            machine.handle(.collected(.pending), now: at(40))
                == .wait(.readable, until: at(50), heedsCancellation: false))
        let last = machine.handle(.waited(.timedOut), now: at(50))
        #expect(last == .finish(.abandoned(.deadline, isConfirmed: false, isClean: false)))
    }

    /// The statement ended by itself: our request may still be under way, and nobody knows what it will hit.
    @Test func withoutProofTheSessionIsNotClean() {
        for (isDelivered, isCancellation) in [(true, false), (false, true), (false, false)] {
            var machine = machine(.answer)
            _ = machine.handle(.stopped(.deadline), now: at(0))
            _ = machine.handle(.cancelRequested(isDelivered: isDelivered), now: at(0))
            _ = machine.handle(.collected(.result(isCancellation: isCancellation)), now: at(1))
            let end = machine.handle(.collected(.end(isAlive: true)), now: at(1))
            #expect(end == .finish(.abandoned(.deadline, isConfirmed: true, isClean: false)))
        }
    }

    @Test func withoutGraceNobodyWaits() {
        var machine = Machine(goal: .answer, deadline: at(1), grace: .zero, interval: .milliseconds(20))
        let end = machine.handle(.waited(.timedOut), now: at(1))
        #expect(end == .finish(.abandoned(.deadline, isConfirmed: false, isClean: false)))
    }

    /// A server that never stops talking is not waited for either.
    @Test func anAnswerWithoutEndIsAbandonedAtTheDeadline() {
        var machine = machine(.answer)
        #expect(machine.handle(.waited(.ready), now: at(100)) == .consume)
        #expect(machine.handle(.collected(.result(isCancellation: false)), now: at(100)) == .collect)
        #expect(machine.handle(.collected(.pending), now: at(100)) == .requestCancel(until: at(150)))
    }

    // MARK: COPY

    @Test func dataThatNobodyWantsAreEndedWithoutACancelRequest() {
        var machine = machine(.answer, isCopyingIn: true)
        let actions = run(
            &machine,
            [
                (0, .stopped(.stop)), (0, .copyFailed), (0, .flushed(isComplete: true)), (0, .collected(.pending)),
                (1, .waited(.ready)), (1, .consumed), (1, .flushed(isComplete: true)),
                (1, .collected(.result(isCancellation: false))), (1, .collected(.end(isAlive: true))),
            ])
        #expect(
            actions == [
                .failCopy, .flush, .collect, .wait(.readable, until: at(20), heedsCancellation: false), .consume,
                .flush, .collect, .collect,
                // The server's own refusal: no request was made, so none can be under way.
                .finish(.abandoned(.stop, isConfirmed: true, isClean: true)),
            ])
    }

    @Test func aServerThatDoesNotTakeTheEndOfTheDataIsSentARequest() {
        var machine = machine(.room)
        _ = run(&machine, [(0, .began), (0, .flushed(isComplete: false))])
        #expect(machine.handle(.waited(.timedOut), now: at(100)) == .failCopy)
        _ = run(&machine, [(100, .copyFailed), (100, .flushed(isComplete: false))])
        #expect(
            machine.handle(.collected(.pending), now: at(100))
                == .wait(.both, until: at(120), heedsCancellation: false))
        #expect(machine.handle(.waited(.timedOut), now: at(120)) == .requestCancel(until: at(150)))
    }

    @Test func roomIsThereWhenEverythingIsSent() {
        var machine = machine(.room)
        let actions = run(
            &machine,
            [
                (0, .began), (0, .flushed(isComplete: false)), (1, .waited(.ready)), (1, .consumed),
                (1, .flushed(isComplete: true)),
            ])
        #expect(
            actions == [
                .flush, .wait(.both, until: at(100), heedsCancellation: true), .consume, .flush, .finish(.reached),
            ])
    }

    @Test func anObjectionEndsTheWaitForRoom() {
        var machine = machine(.room)
        _ = run(&machine, [(0, .began), (0, .flushed(isComplete: false)), (1, .waited(.ready))])
        #expect(machine.handle(.objected, now: at(1)) == .finish(.reached))
    }

    @Test func aCopyThatNobodyAskedForIsStuck() {
        for (goal, collected) in [
            (Machine.Goal.answer, Machine.Collected.copyIn), (.copyIn, .copyOut), (.copyOut, .copyIn),
        ] {
            var machine = machine(goal)
            #expect(machine.handle(.collected(collected), now: at(0)) == .finish(.stuck))
        }
    }

    /// 1. The deadline passes while the COPY begins. 2. The server asks for the data before it hears the request.
    @Test func aCopyThatBeginsTooLateIsEnded() {
        var machine = machine(.copyIn)
        _ = machine.handle(.waited(.timedOut), now: at(100))
        _ = machine.handle(.cancelRequested(isDelivered: true), now: at(100))
        #expect(machine.handle(.collected(.copyIn), now: at(101)) == .failCopy)
    }

    @Test func rowsAreHandedOverInBatches() {
        var machine = machine(.rows)
        #expect(machine.handle(.collected(.rows(isBatchFull: false)), now: at(0)) == .collect)
        #expect(machine.handle(.collected(.pending), now: at(0)) == .finish(.reached))
        machine = self.machine(.rows)
        #expect(machine.handle(.collected(.rows(isBatchFull: true)), now: at(0)) == .finish(.reached))
    }

    /// Few are read, for many the server is asked to stop.
    @Test func rowsThatNobodyWantsAreDrained() {
        var machine = machine(.answer)
        #expect(machine.handle(.stopped(.stop), now: at(0)) == .flush)
        for _ in 0..<100 {
            #expect(machine.handle(.collected(.rows(isBatchFull: true)), now: at(1)) == .collect)
        }
        var other = machine
        let end = other.handle(.collected(.end(isAlive: true)), now: at(1))
        #expect(end == .finish(.abandoned(.stop, isConfirmed: true, isClean: true)))
        #expect(machine.handle(.waited(.ready), now: at(19)) == .consume)
        #expect(machine.handle(.waited(.ready), now: at(20)) == .requestCancel(until: at(50)))
    }
}
