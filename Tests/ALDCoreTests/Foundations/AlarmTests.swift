import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Alarm", .timeLimit(.minutes(1))) struct AlarmTests {
    private let time = ManualTime()
    private let bell = Wakeup()

    @Test("it rings at the instant that was set last, once, and not when that was taken back")
    func rings() async {
        let alarm = Alarm(ringing: bell, time: time)
        let start = time.now
        alarm.set(start + .seconds(10))
        #expect(time.sleeperCount == 1)
        alarm.set(start + .seconds(20))
        // What has passed needs no wait.
        alarm.set(start - .seconds(1))
        #expect(time.sleeperCount == 0)
        await bell.wait()
        alarm.set(start + .seconds(5))
        time.advance(by: .seconds(5))
        await bell.wait()
        // The same instant again is another order.
        alarm.set(start + .seconds(5))
        await bell.wait()
        alarm.set(start + .seconds(30))
        alarm.set(nil)
        #expect(time.sleeperCount == 0)
        alarm.set(start + .seconds(70))
        time.advance(by: .seconds(60))
        #expect(time.sleeperCount == 1)
        time.advance(by: .seconds(60))
        await bell.wait()
        #expect(time.sleeperCount == 0)
    }

    @Test("a thousand orders for one instant are one call")
    func oneCall() async {
        let clock = CountingTime(time)
        let alarm = Alarm(ringing: bell, time: clock)
        let due = time.now + .seconds(10)
        for _ in 0..<1000 { alarm.set(due) }
        time.advance(by: .seconds(10))
        await bell.wait()
        #expect(clock.sleeps == 1)
    }

    @Test("when it has rung, or was taken back, nobody keeps it")
    func released() async throws {
        for instant in [MonotonicInstant(nanoseconds: 0), SystemTime().now + .seconds(3600)] {
            weak var kept: Alarm?
            do {
                let alarm = Alarm(ringing: bell, time: SystemTime())
                kept = alarm
                alarm.set(instant)
                if instant.nanoseconds == 0 { await bell.wait() }
                alarm.set(nil)
            }
            try await eventually("the timer lets go") { kept == nil }
        }
    }
}
