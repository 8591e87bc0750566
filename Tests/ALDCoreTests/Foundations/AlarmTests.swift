import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Alarm", .timeLimit(.minutes(1))) struct AlarmTests {
    private let time = ManualTime()

    private func withAlarm(_ clock: any TimeSource, _ body: (Alarm, Wakeup) async throws -> Void) async throws {
        let bell = Wakeup()
        let alarm = Alarm(ringing: bell)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await alarm.run(time: clock) }
            try await body(alarm, bell)
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    @Test("it rings at the instant that was set last, once, and not when that was taken back")
    func rings() async throws {
        try await withAlarm(time) { alarm, bell in
            let start = time.now
            alarm.set(start + .seconds(10))
            await time.waitForSleepers(1)
            alarm.set(start + .seconds(20))
            // What has passed needs no sleep.
            alarm.set(start - .seconds(1))
            await bell.wait()
            alarm.set(start + .seconds(5))
            await time.waitForSleepers(1)
            time.advance(by: .seconds(5))
            await bell.wait()
            // The same instant again is another order.
            alarm.set(start + .seconds(5))
            await bell.wait()
            alarm.set(start + .seconds(30))
            await time.waitForSleepers(1)
            alarm.set(nil)
            try await eventually("nobody sleeps") { time.sleeperCount == 0 }
            time.advance(by: .seconds(60))
            alarm.set(start + .seconds(70))
            await time.waitForSleepers(1)
            time.advance(by: .seconds(60))
            await bell.wait()
        }
    }

    @Test("a thousand orders for one instant are one sleep")
    func oneSleep() async throws {
        let clock = CountingTime(time)
        try await withAlarm(clock) { alarm, bell in
            let due = time.now + .seconds(10)
            alarm.set(due)
            await time.waitForSleepers(1)
            for _ in 0..<1000 { alarm.set(due) }
            time.advance(by: .seconds(10))
            await bell.wait()
            // The first order may ring when it has been seen already.
            #expect(clock.sleeps <= 2)
        }
    }
}
