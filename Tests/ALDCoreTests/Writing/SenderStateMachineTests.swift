import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Sender", .background) struct SenderStateMachineTests {
    static let start = MonotonicInstant(nanoseconds: 0)
    var machine = SenderStateMachine(
        backoff: .init(base: .milliseconds(100), cap: .seconds(5)), rejectedPause: .seconds(15))
    var random = SeededGenerator(seed: 1)

    static func at(_ seconds: Double) -> MonotonicInstant { start + .seconds(seconds) }

    @Test("sends while there is work and sleeps while there is none")
    mutating func work() {
        #expect(machine.next(waitingBatches: 0, now: Self.at(0)) == .waitForWork)
        #expect(machine.next(waitingBatches: 2, now: Self.at(1)) == .sendOldest)
        machine.landed()
        #expect(machine.next(waitingBatches: 1, now: Self.at(1)) == .sendOldest)
        machine.landed()
        #expect(machine.next(waitingBatches: 0, now: Self.at(1)) == .waitForWork)
    }

    @Test("pauses after a failure and then sends the same batch again")
    mutating func failure() {
        _ = machine.next(waitingBatches: 1, now: Self.at(0))
        machine.failed(.transient, now: Self.at(0), random: &random)
        guard case .wait(let until) = machine.next(waitingBatches: 1, now: Self.at(0)) else {
            Issue.record("did not pause")
            return
        }
        #expect(until > Self.at(0) && until <= Self.at(0.3))
        #expect(machine.next(waitingBatches: 1, now: until) == .sendOldest)
    }

    @Test("waits long after a refusal: somebody has to change something first")
    mutating func refusal() {
        _ = machine.next(waitingBatches: 1, now: Self.at(0))
        machine.failed(.misconfigured, now: Self.at(0), random: &random)
        #expect(machine.next(waitingBatches: 1, now: Self.at(14.9)) == .wait(until: Self.at(15)))
        #expect(machine.next(waitingBatches: 1, now: Self.at(15)) == .sendOldest)
    }

    @Test("at shutdown it empties the spool while the database is well")
    mutating func flush() {
        machine.shutDown(by: Self.at(2))
        #expect(machine.next(waitingBatches: 1, now: Self.at(0)) == .sendOldest)
        machine.landed()
        #expect(machine.next(waitingBatches: 0, now: Self.at(0.1)) == .finish)
    }

    @Test("at shutdown it does not wait for a sick database, nor beyond its time")
    mutating func noEndlessFlush() {
        _ = machine.next(waitingBatches: 5, now: Self.at(0))
        machine.shutDown(by: Self.at(2))
        machine.failed(.transient, now: Self.at(0.1), random: &random)
        #expect(machine.next(waitingBatches: 5, now: Self.at(0.1)) == .finish)

        var slow = SenderStateMachine(backoff: .init(), rejectedPause: .seconds(15))
        slow.shutDown(by: Self.at(2))
        #expect(slow.next(waitingBatches: 5, now: Self.at(1.9)) == .sendOldest)
        slow.landed()
        #expect(slow.next(waitingBatches: 4, now: Self.at(2)) == .finish)
    }

    @Test("an attempt ends with its time-out or with the shutdown, whichever is first")
    mutating func deadlines() {
        #expect(machine.attemptDeadline(now: Self.at(1), timeout: .seconds(10)) == Self.at(11))
        machine.shutDown(by: Self.at(3))
        #expect(machine.attemptDeadline(now: Self.at(1), timeout: .seconds(10)) == Self.at(3))
    }

    @Test("random faults: it never gives up a batch, never sends during a pause and always ends", .background)
    func randomSchedules() async {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        for round in 0..<5000 {
            await TestSeed.letOthersRun(round: round)
            var machine = SenderStateMachine(backoff: .init(), rejectedPause: .seconds(15))
            var (waiting, now, pausedUntil) = (Int.random(in: 0...5, using: &random), Self.at(0), Self.at(0))
            let shutdownAt = Int.random(in: 0...40, using: &random)
            var finished = false
            for step in 0..<200 {
                if step == shutdownAt { machine.shutDown(by: now + .seconds(2)) }
                switch machine.next(waitingBatches: waiting, now: now) {
                case .sendOldest:
                    #expect(waiting > 0 && now >= pausedUntil, "seed \(seed)")
                    now = now + .milliseconds(10)
                    if Bool.random(using: &random) {
                        waiting -= 1
                        machine.landed()
                    } else {
                        let fault = SinkFault.Class.allCases.randomElement(using: &random) ?? .transient
                        machine.failed(fault, now: now, random: &random)
                        if case .wait(let until) = machine.next(waitingBatches: waiting, now: now) {
                            pausedUntil = until
                        }
                    }
                case .waitForWork:
                    #expect(waiting == 0, "seed \(seed)")
                    waiting += 1
                case .wait(let until):
                    #expect(until > now && waiting > 0, "seed \(seed)")
                    now = until
                case .finish:
                    #expect(step >= shutdownAt, "seed \(seed)")
                    finished = true
                }
                if finished { break }
            }
            #expect(finished, "seed \(seed)")
        }
    }
}
