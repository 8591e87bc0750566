import ALDTestKit
import Testing

@testable import ALDCore

/// What ten minutes without a database cost afterwards, in virtual time: the machine that decides, before a database of
/// which only the speed is modelled.
@Suite("Writer, what an outage costs", .background) struct WriterOutageTests {
    /// A collector appends once a second. The database is away, comes back, and takes what it is given at its speed.
    private struct World {
        static let rowsPerSecond = 84
        static let kind = BatchKind(machine: 1, format: BatchCoding.Format.history.rawValue)

        struct Stored {
            var acceptedAt: MonotonicInstant
            var landedAt: MonotonicInstant?
        }

        var machine: WriterStateMachine
        var now = MonotonicInstant(nanoseconds: 0)
        var random: SeededGenerator
        var stored: [Stored] = []
        var boundary = 0
        var calls: [(at: MonotonicInstant, event: WriterStateMachine.Event, landing: [Int])] = []
        var nextAppend = MonotonicInstant(nanoseconds: 0)
        var attempts = 0
        /// One statement at a time: the others wait.
        var busyUntil = MonotonicInstant(nanoseconds: 0)
        var backAt: MonotonicInstant
        /// Rows per second, and what any statement takes.
        var speed: Int
        let roundTrip = Duration.milliseconds(3)

        init(seed: UInt64, outage: Duration, speed: Int) throws {
            random = SeededGenerator(seed: seed)
            var configuration = BatchWriter.Configuration().machine(takesDeadLetters: true)
            configuration.hold = .seconds(30)
            machine = try WriterStateMachine(configuration, carriedOver: false)
            backAt = now + outage
            self.speed = speed
        }

        var isBack: Bool { now >= backAt }

        private func waits(_ index: Int) -> Bool { stored[index].landedAt == nil }

        private func lane(_ index: Int) -> Spool.Lane { index < boundary ? .backlog : .fresh }

        private var waiting: WriterStateMachine.Waiting {
            var counts: [Spool.Lane: Int] = [:]
            for index in stored.indices where waits(index) { counts[lane(index), default: 0] += 1 }
            return WriterStateMachine.Waiting(
                fresh: counts[.fresh].map { [Self.kind: $0] } ?? [:],
                backlog: counts[.backlog].map { [Self.kind: $0] } ?? [:])
        }

        mutating func chance() -> Double { Double.random(in: 0..<1, using: &random) }

        /// Goes on until `end`.
        mutating func run(until end: MonotonicInstant) {
            while now < end {
                let action = machine.next(waiting, now: now, chance: chance())
                guard case .wait(let until) = action else {
                    begin(action)
                    continue
                }
                let next = ([nextAppend, end] + calls.map(\.at) + [until].compactMap(\.self)).min() ?? end
                now = max(now, next)
                if now >= nextAppend {
                    stored.append(Stored(acceptedAt: now))
                    nextAppend = nextAppend + .seconds(1)
                }
                for call in calls where call.at <= now {
                    for index in call.landing { stored[index].landedAt = call.at }
                    machine.happened(call.event, now: now, chance: chance())
                }
                calls.removeAll { $0.at <= now }
            }
        }

        private mutating func begin(_ action: WriterStateMachine.Action) {
            switch action {
            case .moveBoundary: boundary = stored.count
            case .reconcile:
                let event: WriterStateMachine.Event =
                    isBack
                    ? .reconciled(through: nil, resurrected: 0, asked: true)
                    : .reconcileFailed(SinkFault(.unsent, "away"))
                calls.append((now + roundTrip, event, []))
            case .read(let lane, let limits, _):
                calls.append((now + .milliseconds(1), .read(lane, slots(in: lane, limits)), []))
            case .readAhead(let lane, let limits):
                calls.append((now + .milliseconds(1), .readAhead(lane, slots(in: lane, limits)), []))
            case .deliver(let lane, let count, _): deliver(lane, count)
            case .void, .cut, .wait, .abandon, .finish: break
            }
        }

        private func slots(in lane: Spool.Lane, _ limits: Spool.Limits) -> [WriterLane.Slot] {
            let claimed = Set(machine.fresh.claimed + machine.backlog.claimed)
            var found: [WriterLane.Slot] = []
            for index in stored.indices where waits(index) && self.lane(index) == lane {
                let position = SpoolPosition(segment: 1, row: Int64(index) + 1)
                if claimed.contains(position) { continue }
                let rows = (found.count + 1) * Self.rowsPerSecond
                if !found.isEmpty, found.count >= limits.batches || rows > limits.records { break }
                found.append(WriterLane.Slot(position: position, records: Self.rowsPerSecond, kind: Self.kind))
            }
            return found
        }

        private mutating func deliver(_ lane: Spool.Lane, _ count: Int) {
            attempts += 1
            let sent = machine[lane].bench.prefix(count).map { Int($0.position.row) - 1 }
            guard isBack else {
                calls.append((now + roundTrip, .failed(lane, SinkFault(.unsent, "away")), []))
                return
            }
            busyUntil = max(now, busyUntil) + roundTrip + .seconds(1) * (sent.count * Self.rowsPerSecond) / speed
            calls.append((busyUntil, .answered(lane, sent.map { _ in .landed }), sent))
        }
    }

    @Test(
        "fresh data is at most a second behind while the backlog drains, and the database was not besieged",
        arguments: [2000, 20_000, 200_000])
    func freshFirst(speed: Int) throws {
        let seed = TestSeed.draw()
        for round in 0..<UInt64(Gate.rounds(10, nominal: 200)) {
            let outage = Duration.seconds(600)
            var world = try World(seed: seed &+ round, outage: outage, speed: speed)
            world.run(until: world.backAt)
            #expect(world.stored.count >= 600 && world.stored.allSatisfy { $0.landedAt == nil })
            // The breaker tries it every few seconds.
            #expect(world.attempts <= 400, "\(world.attempts) attempts, seed \(seed &+ round)")
            world.run(until: world.backAt + .seconds(300))
            let backlogDone = world.stored.prefix(600).compactMap(\.landedAt).max()
            // Half of the speed at least is for what has gathered.
            let longest = Duration.seconds(10) + .seconds(1) * (600 * World.rowsPerSecond * 3) / speed
            #expect(world.stored.prefix(600).allSatisfy { $0.landedAt != nil })
            #expect(backlogDone.map { $0 - world.backAt <= longest } ?? false, "\(String(describing: backlogDone))")
            // It takes a moment until somebody notices that the database is back.
            let noticed = world.stored.compactMap(\.landedAt).min() ?? world.now
            #expect(noticed - world.backAt <= .seconds(6), "seed \(seed &+ round)")
            let late = world.stored.filter { stored in
                guard stored.acceptedAt > noticed, stored.acceptedAt < world.now - .seconds(1) else { return false }
                return stored.landedAt.map { $0 - stored.acceptedAt > .seconds(1) } ?? true
            }
            #expect(late.isEmpty, "\(late.count) late, seed \(seed &+ round)")
        }
    }
}
