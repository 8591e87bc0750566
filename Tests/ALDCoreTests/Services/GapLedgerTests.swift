import ALDTestKit
import Testing

@testable import ALDCore

@Suite("Gap ledger", .background) struct GapLedgerTests {
    var ledger = GapLedger()

    static func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: seconds * 1_000_000_000) }

    static func miss(_ second: Int64, _ cause: CollectionGap.Cause = .plc) -> CollectionGap {
        let time = Timestamp(microseconds: second * 1_000_000)
        return CollectionGap(firstMissedAt: time, lastMissedAt: time, instants: 1, cause: cause, detail: "")
    }

    @Test("the first miss is recorded at once, the rest once a minute and when it ends")
    mutating func outage() {
        var recorded: [CollectionGap] = []
        for second in Int64(0)..<150 {
            ledger.missed(Self.miss(second))
            recorded += ledger.take(now: Self.at(second))
        }
        #expect(recorded.map(\.instants) == [1, 60, 60])
        ledger.resumed()
        recorded += ledger.take(now: Self.at(150))
        #expect(recorded.map(\.instants) == [1, 60, 60, 29])
        #expect(recorded.last?.firstMissedAt == Timestamp(microseconds: 121_000_000))
        #expect(recorded.last?.lastMissedAt == Timestamp(microseconds: 149_000_000))
        #expect(ledger.take(now: Self.at(151)).isEmpty)
    }

    @Test(
        "between two processes every instant is missed that is not the new one's first",
        arguments: [
            (500_000, 0), (1_000_000, 0), (1_249_999, 0), (1_250_000, 1), (2_000_000, 1), (10_000_000, 9),
            (10_300_000, 10), (0, 0), (-5_000_000, 0), (3_000_000_000_000_000, Int32.max),
        ] as [(Int64, Int32)])
    mutating func betweenProcesses(away: Int64, instants: Int32) {
        let last = Timestamp(microseconds: 1_000_000)
        let gap = ledger.wasStopped(
            since: last, until: Timestamp(microseconds: 1_000_000 + away), period: .seconds(1))
        #expect((gap?.instants ?? 0) == instants)
        #expect(ledger.take(now: Self.at(0)) == (gap.map { [$0] } ?? []))
        guard let gap else { return }
        #expect(gap.cause == .stopped && gap.firstMissedAt == last.advanced(by: .seconds(1)))
        #expect(gap.lastMissedAt.microseconds < 1_000_000 + away)
        #expect(gap.lastMissedAt.microseconds >= away - 250_000)
    }

    @Test("a clock that was as far ahead as a number reaches does no harm")
    mutating func clockFarAhead() {
        for (last, start) in [(Int64.min, Int64.max), (.max, .min)] {
            let gap = ledger.wasStopped(
                since: Timestamp(microseconds: last), until: Timestamp(microseconds: start), period: .seconds(1))
            #expect(gap == nil)
        }
    }

    @Test("another cause ends a gap and begins one")
    mutating func causes() {
        ledger.missed(Self.miss(0, .plc))
        #expect(ledger.take(now: Self.at(0)).map(\.cause) == [.plc])
        ledger.missed(Self.miss(1, .plc))
        ledger.missed(Self.miss(2, .spool))
        #expect(ledger.take(now: Self.at(2)).map(\.cause) == [.plc, .spool])
    }

    @Test("whoever asks what is pending neither closes a gap nor takes it")
    mutating func pending() {
        ledger.missed(Self.miss(0, .plc))
        #expect(ledger.pending.map(\.instants) == [1])
        for second in Int64(1)...3 {
            ledger.missed(Self.miss(second, .spool))
            #expect(ledger.pending.map(\.instants) == [1, Int32(second)])
        }
        #expect(ledger.take(now: Self.at(4)).map(\.cause) == [.plc, .spool])
        ledger.missed(Self.miss(5, .spool))
        ledger.settled()
        #expect(ledger.pending == [] && ledger.take(now: Self.at(6), final: true) == [])
        // What comes next is another one, and due at once.
        ledger.missed(Self.miss(7, .spool))
        #expect(ledger.take(now: Self.at(7)).map(\.instants) == [1])
    }

    @Test("what could not be recorded is kept, in order, until it can")
    mutating func fullDisk() {
        ledger.missed(Self.miss(0, .spool))
        let due = ledger.take(now: Self.at(0))
        ledger.giveBack(due)
        ledger.missed(Self.miss(1, .spool))
        ledger.resumed()
        #expect(ledger.take(now: Self.at(2)).map(\.instants) == [1, 1])
    }

    @Test("a disk that stays full while the causes alternate costs no more than the bound, and no instant")
    mutating func bounded() {
        let misses = Int64(GapLedger.maximumKept * 3)
        for second in 0..<misses {
            ledger.missed(Self.miss(second, second.isMultiple(of: 2) ? .plc : .spool))
            ledger.giveBack(ledger.take(now: Self.at(second)))
        }
        let kept = ledger.take(now: Self.at(misses), final: true)
        #expect(kept.count <= GapLedger.maximumKept + 1)
        #expect(kept.reduce(0) { $0 + Int64($1.instants) } == misses)
    }

    @Test("more instants than a number holds end nothing")
    mutating func overflow() {
        var long = Self.miss(0)
        long.instants = .max
        ledger.missed(long)
        ledger.missed(Self.miss(1))
        #expect(ledger.take(now: Self.at(1)).map(\.instants) == [.max])
    }

    @Test("the end takes what is still open")
    mutating func end() {
        ledger.missed(Self.miss(0))
        _ = ledger.take(now: Self.at(0))
        ledger.missed(Self.miss(1))
        #expect(ledger.take(now: Self.at(1)).isEmpty)
        #expect(ledger.take(now: Self.at(1), final: true).map(\.instants) == [1])
    }

    @Test("no missed instant is ever forgotten or counted twice, and memory stays bounded", .background)
    func conservation() async {
        let seed = TestSeed.draw()
        var random = SeededGenerator(seed: seed)
        for round in 0..<200 {
            await TestSeed.letOthersRun(round: round)
            var (ledger, missed, recorded) = (GapLedger(), Int32(0), Int32(0))
            for second in Int64(0)..<300 {
                if Int.random(in: 0..<3, using: &random) > 0 {
                    ledger.missed(Self.miss(second, CollectionGap.Cause.allCases.randomElement(using: &random) ?? .plc))
                    missed += 1
                } else if Bool.random(using: &random) {
                    ledger.resumed()
                } else {
                    recorded += ledger.pending.reduce(0) { $0 + $1.instants }
                    ledger.settled()
                }
                let due = ledger.take(now: Self.at(second))
                if Bool.random(using: &random) {
                    ledger.giveBack(due)
                } else {
                    recorded += due.reduce(0) { $0 + $1.instants }
                }
            }
            recorded += ledger.take(now: Self.at(300), final: true).reduce(0) { $0 + $1.instants }
            #expect(recorded == missed, "seed \(seed)")
        }
    }
}
