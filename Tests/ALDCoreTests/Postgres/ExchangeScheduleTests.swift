import ALDTestKit
import Testing

@testable import ALDCore

/// The exchange machine against a simulated server and network, driven by chance.
@Suite(.background) struct ExchangeScheduleTests {
    /// What the other side is doing. It answers when it likes, hears requests late or never, breaks, floods.
    private struct World {
        var random: SeededGenerator
        var now = MonotonicInstant(nanoseconds: 0)
        /// Things libpq will hand out, each not before its time.
        var inbox: [(at: MonotonicInstant, what: ExchangeMachine.Collected)] = []
        var requests = 0
        var deliveredRequests = 0
        var isEndHandedOut = false
        var isAlive = true
        var steps = 0
        var hasSeenCancellation = false

        mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

        mutating func pass(upTo milliseconds: Int64) {
            now = now + .microseconds(Int64.random(in: 0...(milliseconds * 1000), using: &random))
        }

        mutating func answer(_ things: [ExchangeMachine.Collected], within milliseconds: Int64) {
            var at = now
            for thing in things {
                at = at + .microseconds(Int64.random(in: 0...(milliseconds * 1000), using: &random))
                inbox.append((at, thing))
            }
            inbox.sort { $0.at < $1.at }
        }

        mutating func collect() -> ExchangeMachine.Collected {
            guard let first = inbox.first, first.at <= now else { return .pending }
            inbox.removeFirst()
            if case .result(isCancellation: true) = first.what { hasSeenCancellation = true }
            if case .end = first.what { isEndHandedOut = true }
            return first.what
        }

        mutating func wait(until limit: MonotonicInstant, heedsCancellation: Bool) -> ExchangeMachine.Outcome {
            if heedsCancellation, chance(3) { return chance(50) ? .cancelled : .closed }
            if chance(10) { return .ready }  // for nothing
            if let next = inbox.first?.at, next <= limit {
                now = max(now, next)
                return .ready
            }
            // Threads wake up late.
            now = max(now, limit)
            if chance(20) { pass(upTo: 5) }
            return .timedOut
        }
    }

    private static let goals: [ExchangeMachine.Goal] = [.answer, .copyIn, .room, .copyOut, .rows]

    private func start(_ world: inout World, _ goal: ExchangeMachine.Goal) {
        let speed: Int64 = world.chance(50) ? 10 : 200
        let end = ExchangeMachine.Collected.end(isAlive: !world.chance(10))
        switch Int.random(in: 0..<6, using: &world.random) {
        case 0: break  // silence
        case 1: world.answer([.result(isCancellation: false), end], within: speed)
        case 2:
            world.answer(
                [.result(isCancellation: world.chance(20)), .result(isCancellation: false), end], within: speed)
        case 3: world.answer([goal == .copyOut ? .copyOut : .copyIn], within: speed)
        case 4: world.answer(Array(repeating: .rows(isBatchFull: false), count: 30) + [end], within: speed)
        default: world.answer([end], within: speed)
        }
    }

    /// - Returns: the verdict and when it came.
    private func play(_ world: inout World, _ goal: ExchangeMachine.Goal) -> ExchangeMachine.Verdict? {
        let deadline = MonotonicInstant(nanoseconds: 100_000_000)
        var machine = ExchangeMachine(
            goal: goal, deadline: deadline, grace: .milliseconds(50), interval: .milliseconds(20))
        start(&world, goal)
        var event: ExchangeMachine.Event = world.chance(10) ? .stopped(.stop) : .began
        while world.steps < 20_000 {
            world.steps += 1
            switch machine.handle(event, now: world.now) {
            case .flush: event = .flushed(isComplete: world.chance(70))
            case .collect: event = .collected(world.collect())
            case .wait(_, let until, let heeds):
                event = .waited(world.wait(until: until, heedsCancellation: heeds))
                if world.chance(30) { world.pass(upTo: 1) }
            case .consume: event = goal == .room && world.chance(10) ? .objected : .consumed
            case .failCopy:
                if world.chance(70) {
                    world.answer([.result(isCancellation: true), .end(isAlive: true)], within: 30)
                }
                event = .copyFailed
            case .requestCancel(let limit):
                world.requests += 1
                let isDelivered = world.chance(80)
                world.now = isDelivered ? min(limit, world.now + .milliseconds(2)) : limit
                if isDelivered { world.deliveredRequests += 1 }
                if isDelivered, world.chance(60), !world.isEndHandedOut {
                    world.inbox = []
                    world.answer([.result(isCancellation: true), .end(isAlive: world.chance(95))], within: 10)
                }
                event = .cancelRequested(isDelivered: isDelivered)
            case .finish(let verdict): return verdict
            }
        }
        return nil
    }

    @Test func everyScheduleEndsInTimeAndNoUnprovenSessionIsKept() throws {
        let seed = TestSeed.draw()
        var counts: [String: Int] = [:]
        for round in 0..<20_000 {
            var world = World(random: SeededGenerator(seed: seed &+ UInt64(round)))
            let goal = try #require(Self.goals.randomElement(using: &world.random))
            let verdict = try #require(play(&world, goal), "seed \(seed) round \(round): no end")
            // Deadline, grace, one late awakening on each side of both.
            #expect(world.now <= MonotonicInstant(nanoseconds: 170_000_000), "seed \(seed) round \(round)")
            switch verdict {
            case .abandoned(_, let isConfirmed, isClean: true):
                counts["clean", default: 0] += 1
                #expect(isConfirmed && world.isEndHandedOut, "seed \(seed) round \(round)")
                let isProven = world.requests == 0 || world.deliveredRequests > 0 && world.hasSeenCancellation
                #expect(isProven, "seed \(seed) round \(round)")
            case .abandoned: counts["abandoned", default: 0] += 1
            case .answered: counts["answered", default: 0] += 1
            case .reached: counts["reached", default: 0] += 1
            case .stuck: counts["stuck", default: 0] += 1
            }
        }
        // All of it has happened, or the test tests nothing.
        #expect(counts.values.allSatisfy { $0 > 100 } && counts.count == 5, "\(counts)")
    }
}
