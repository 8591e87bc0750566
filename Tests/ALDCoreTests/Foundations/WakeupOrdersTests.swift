import ALDCore
import ALDTestKit
import Synchronization
import Testing

/// A wait with a deadline under every order in which ring and deadline can come.
@Suite("Wakeup under every order") struct WakeupOrdersTests {
    private struct Wrong: Error { var description: String }

    private final class Rings: Sendable {
        private let count = Mutex(0)
        var value: Int { count.withLock(\.self) }
        func add() { count.withLock { $0 += 1 } }
    }

    /// One ring comes while a deadline passes, and one a second later.
    private static func ringAtTheDeadline(_ world: World) throws {
        let (node, bell, rings) = (world.node("a"), Wakeup(), Rings())
        let (time, due) = (node.time, world.now)
        @Sendable func ring() {
            rings.add()
            bell.signal()
        }
        let waiting = node.spawn {
            await bell.wait(until: due, time: time)
            while rings.value < 1 { await bell.wait() }
            while rings.value < 2 { await bell.wait(until: due + .seconds(60), time: time) }
        }
        node.spawn {
            // As long as the deadline takes to be told.
            await Task.yield()
            ring()
        }
        world.schedule(at: due + .seconds(1), ring)
        try world.run { waiting.isDone }
        guard world.now == due + .seconds(1) else { throw Wrong(description: "a ring was lost until \(world.now)") }
        guard world.end() else { throw Wrong(description: "something waits for ever") }
    }

    @Test("a ring at the deadline is heard, and none is made up or left behind")
    func ringAtTheDeadline() throws {
        let bounded = InterleavingSearch.bounded(seed: 1, deviations: 3, atMost: 5000, Self.ringAtTheDeadline)
        #expect(bounded.failing == nil, "\(bounded.failure ?? "")")
        #expect(bounded.isExhausted && bounded.runs > 10)
        let random = InterleavingSearch.random(from: TestSeed.draw(), runs: 500, Self.ringAtTheDeadline)
        #expect(random.failing == nil, "seed \(random.seed ?? 0): \(random.failure ?? "")")
    }

    @Test("one whose task is cancelled ends at once, whatever else comes")
    func cancelled() {
        let outcome = InterleavingSearch.random(from: TestSeed.draw(), runs: 500) { world in
            let (node, bell) = (world.node("a"), Wakeup())
            let (time, due) = (node.time, world.now + .seconds(1))
            let waiting = node.spawn { await bell.wait(until: due + .seconds(60), time: time) }
            world.schedule(at: due) { node.spawn { waiting.cancel() } }
            try world.run { waiting.isDone }
            guard world.now == due else { throw Wrong(description: "it went on until \(world.now)") }
        }
        #expect(outcome.failing == nil, "seed \(outcome.seed ?? 0): \(outcome.failure ?? "")")
    }

    /// A clock whose calls come when the test says so, also those that were called off.
    private final class DeafClock: TimeSource {
        private struct Call: ScheduledCall { func cancel() {} }

        private let calls = Mutex<[@Sendable () -> Void]>([])
        let now = World.beginning
        let wallClock = Timestamp(microseconds: 0)

        func sleep(until deadline: MonotonicInstant) async throws {}

        func call(at deadline: MonotonicInstant, _ action: @escaping @Sendable () -> Void) -> any ScheduledCall {
            calls.withLock { $0.append(action) }
            return Call()
        }

        func callAll() { for action in calls.withLock(\.self) { action() } }
    }

    @Test("the deadline of a wait that is over ends no later one, and leaves nothing behind for it")
    func lateDeadline() throws {
        let (world, bell, clock) = (World(seed: 1), Wakeup(), DeafClock())
        let (node, due) = (world.node("a"), clock.now + .seconds(1))
        bell.signal()
        let first = node.spawn { await bell.wait(until: due, time: clock) }
        try world.run { first.isDone }
        clock.callAll()
        let second = node.spawn { await bell.wait() }
        try world.run(for: .seconds(1))
        clock.callAll()
        try world.run(for: .seconds(1))
        #expect(!second.isDone)
        bell.signal()
        try world.run { second.isDone }
    }
}
