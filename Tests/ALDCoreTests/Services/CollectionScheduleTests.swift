import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Collection schedule", .background) struct CollectionScheduleTests {
    static let origin = MonotonicInstant(nanoseconds: 5_000_000_000)

    static func at(_ milliseconds: Int64) -> MonotonicInstant { origin + .milliseconds(milliseconds) }

    var schedule = CollectionSchedule(origin: origin, period: .seconds(1))

    @Test("collects at the origin and then waits for the next instant")
    mutating func regular() {
        #expect(schedule.next(now: Self.at(-10)) == .wait(until: Self.at(0)))
        #expect(schedule.next(now: Self.at(0)) == .collect(instant: 0, lateness: .zero, missed: 0..<0))
        #expect(schedule.next(now: Self.at(40)) == .wait(until: Self.at(1000)))
        #expect(schedule.next(now: Self.at(1002)) == .collect(instant: 1, lateness: .milliseconds(2), missed: 1..<1))
        #expect(schedule.next(now: Self.at(1040)) == .wait(until: Self.at(2000)))
    }

    @Test("a slow cycle makes the next instants missed and never shifts them")
    mutating func slowCycle() {
        _ = schedule.next(now: Self.at(0))
        // The cycle took 3.7 s: 1, 2 and 3 are gone, and 4 is collected on time.
        #expect(schedule.next(now: Self.at(3700)) == .wait(until: Self.at(4000)))
        #expect(schedule.next(now: Self.at(4000)) == .collect(instant: 4, lateness: .zero, missed: 1..<4))
    }

    @Test("an instant that is only a little late is still collected")
    mutating func slightlyLate() {
        _ = schedule.next(now: Self.at(0))
        #expect(
            schedule.next(now: Self.at(2200)) == .collect(instant: 2, lateness: .milliseconds(200), missed: 1..<2))
        #expect(schedule.next(now: Self.at(2210)) == .wait(until: Self.at(3000)))
    }

    @Test("what was due and never had its turn can be asked for at the end")
    mutating func outstanding() {
        #expect(schedule.outstanding(now: Self.at(-1)).isEmpty)
        _ = schedule.next(now: Self.at(0))
        #expect(schedule.outstanding(now: Self.at(999)).isEmpty)
        #expect(schedule.outstanding(now: Self.at(2999)) == 1..<3)
    }

    @Test("however slow the cycles are, every instant is collected once or missed once", .background)
    func conservation() async {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        for round in 0..<2000 {
            await TestSeed.letOthersRun(round: round)
            let period = Duration.milliseconds(Int64.random(in: 1...2000, using: &random))
            var schedule = CollectionSchedule(origin: Self.origin, period: period)
            var now = Self.origin
            var next: Int64 = 0
            for _ in 0..<50 {
                switch schedule.next(now: now) {
                case .wait(let until):
                    #expect(until > now, "seed \(seed)")
                    now = until
                case .collect(let instant, let lateness, let missed):
                    #expect(missed.lowerBound == next && missed.upperBound == instant, "seed \(seed)")
                    #expect(
                        now == schedule.time(of: instant) + lateness && lateness <= schedule.tolerance, "seed \(seed)")
                    next = instant + 1
                    now = now + period * Double.random(in: 0...5, using: &random)
                }
            }
            let outstanding = schedule.outstanding(now: now)
            #expect(outstanding.isEmpty || outstanding.lowerBound == next, "seed \(seed)")
        }
    }
}
