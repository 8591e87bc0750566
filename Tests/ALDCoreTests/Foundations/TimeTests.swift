import ALDTestKit
import Synchronization
import Testing

@testable import ALDCore

@Suite("Instants, time stamps and the doorbell", .timeLimit(.minutes(2))) struct TimeTests {
    @Test("arithmetic on instants is exact and stops at the ends instead of trapping")
    func instants() {
        let instant = MonotonicInstant(nanoseconds: 5)
        #expect(instant + .nanoseconds(3) - instant == .nanoseconds(3))
        #expect(instant - .seconds(1) < instant)
        #expect(MonotonicInstant(nanoseconds: .max) + .seconds(1) == MonotonicInstant(nanoseconds: .max))
        #expect(MonotonicInstant(nanoseconds: .min) - .seconds(1) == MonotonicInstant(nanoseconds: .min))
        let span = MonotonicInstant(nanoseconds: .min).duration(to: MonotonicInstant(nanoseconds: .max))
        #expect(span == .nanoseconds(Int64.max))
    }

    @Test("durations convert to what displays need, and absurd ones are clamped")
    func durations() {
        #expect(Duration.milliseconds(-1500).wholeNanoseconds == -1_500_000_000)
        #expect(Duration.seconds(Int64.max).wholeNanoseconds == .max)
        #expect(Duration.seconds(Int64.min).wholeNanoseconds == .min)
        #expect(Duration.microseconds(1500).inMilliseconds == 1.5)
    }

    @Test(
        "time stamps are written as people and databases read them",
        arguments: [
            (0, "1970-01-01T00:00:00.000000Z"), (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_795_305_600_123_456, "2026-11-22T00:00:00.123456Z"),
            (4_107_542_399_000_000, "2100-02-28T23:59:59.000000Z"),
        ])
    func timestamps(microseconds: Int64, text: String) {
        let timestamp = Timestamp(microseconds: microseconds)
        #expect("\(timestamp)" == text)
        #expect("\(timestamp.startOfDay)" == text.prefix(11) + "00:00:00.000000Z")
    }

    @Test("the system's clock moves forward and sleeps at least as long as it was told")
    func systemTime() async throws {
        let time = SystemTime()
        let start = time.now
        try await time.sleep(until: start + .milliseconds(20))
        #expect(time.now - start >= .milliseconds(20))
        #expect(time.wallClock > Timestamp(microseconds: 1_700_000_000_000_000))
    }

    @Test("the system's clock calls when it was told to, at once when that has passed, and not when called off")
    func systemCalls() async {
        let (time, bell) = (SystemTime(), Wakeup())
        let start = time.now
        for delay in [-5, 20] as [Int64] {
            let call = time.call(at: start + .milliseconds(delay)) { bell.signal() }
            await bell.wait()
            #expect(time.now - start >= .milliseconds(delay))
            call.cancel()
        }
        let calledOff = Mutex(0)
        let due = time.now + .milliseconds(500)
        let first = time.call(at: due) { calledOff.withLock { $0 += 1 } }
        let last = time.call(at: MonotonicInstant(nanoseconds: .max)) { calledOff.withLock { $0 += 1 } }
        for call in [first, last] { call.cancel() }
        let after = time.call(at: due + .milliseconds(20)) { bell.signal() }
        await bell.wait()
        after.cancel()
        // A timer that is let go is called off, too: these are still held.
        withExtendedLifetime((first, last)) { #expect(calledOff.withLock(\.self) == 0) }
    }

    @Test("a ring that comes while nobody waits answers the next wait")
    func keptRing() async {
        let wakeup = Wakeup()
        wakeup.signal()
        wakeup.signal()
        await wakeup.wait()
    }

    @Test("a wait ends with the ring, with its deadline, or with the task")
    func ends() async {
        let (wakeup, time) = (Wakeup(), ManualTime())
        async let rung: Void = wakeup.wait(until: time.now + .seconds(60), time: time)
        await time.waitForSleepers(1)
        wakeup.signal()
        await rung
        #expect(time.sleeperCount == 0)

        async let late: Void = wakeup.wait(until: time.now + .seconds(60), time: time)
        await time.waitForSleepers(1)
        time.advance(by: .seconds(60))
        await late

        await withTaskGroup(of: Void.self) { group in
            group.addTask { await wakeup.wait() }
            group.cancelAll()
        }
    }

    @Test("the same seed draws the same numbers, a fork does not disturb its origin")
    func seeds() {
        var (first, second) = (SeededGenerator(seed: 9), SeededGenerator(seed: 9))
        #expect((0..<5).map { _ in first.next() } == (0..<5).map { _ in second.next() })
        var fork = first.fork()
        _ = second.next()
        _ = fork.next()
        #expect(first.next() == second.next())
        // The published first output of SplitMix64 for seed 0.
        var zero = SeededGenerator(seed: 0)
        #expect(zero.next() == 0xE220_A839_7B1D_CDAF)
    }
}
