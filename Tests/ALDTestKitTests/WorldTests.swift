import ALDCore
import Foundation
import Synchronization
import Testing

@testable import ALDTestKit

@Suite("World") struct WorldTests {
    /// Ten services that tick once a second for an hour, and one that is told to stop in between.
    private func hour(_ seed: UInt64) throws -> World {
        let world = World(seed: seed, keepsTrace: true)
        let node = world.node("services")
        let time = node.time
        for service in 0..<10 {
            node.spawn {
                while true {
                    try await time.sleep(for: .seconds(60))
                    world.note("tick \(service)")
                }
            }
        }
        try world.run(for: .seconds(3600))
        return world
    }

    @Test("the same seed gives the same run, line by line, and another seed another one")
    func replay() throws {
        let (first, again, other) = (try hour(1), try hour(1), try hour(2))
        #expect(first.trace.count == 600)
        #expect(first.trace == again.trace && first.digest == again.digest && first.jobs == again.jobs)
        #expect(first.trace != other.trace && first.digest != other.digest)
        #expect(first.now == World.beginning + .seconds(3600))
    }

    @Test("a stream of chance is not shifted by what another one draws")
    func streams() {
        let world = World(seed: 7)
        var (network, disk) = (world.stream("network"), world.stream("disk"))
        let expected = (0..<5).map { _ in network.next() }
        var again = world.stream("network")
        for number in expected {
            #expect(disk.next() != number)
            #expect(again.next() == number)
        }
    }

    @Test("a sleeper that is cancelled wakes at once and moves no time")
    func cancellation() throws {
        let world = World(seed: 1)
        let node = world.node("a")
        let time = node.time
        let task = node.spawn { try await time.sleep(for: .seconds(3600)) }
        try world.run(for: .seconds(1))
        #expect(!task.isDone)
        task.cancel()
        #expect(try world.run(until: World.beginning + .seconds(2)) { task.isDone })
        #expect(world.now == World.beginning + .seconds(1))
        #expect(throws: CancellationError.self) { try task.outcome?.get() }
    }

    @Test("what is due at one instant comes in another order with another seed, and all of it comes")
    func sameInstant() throws {
        let orders = try (0..<20 as Range<UInt64>).map { seed in
            let world = World(seed: seed, keepsTrace: true)
            let (node, due) = (world.node("a"), World.beginning + .seconds(1))
            for number in 0..<3 {
                // Ordered always in the same order.
                _ = node.time.call(at: due) { world.note("call \(number)") }
                world.schedule(at: due) { world.note("action \(number)") }
            }
            try world.run(for: .seconds(2))
            return world.trace
        }
        #expect(orders.allSatisfy { $0.sorted() == orders[0].sorted() } && orders[0].count == 6)
        #expect(Set(orders).count > 10)
    }

    @Test("a call comes at its instant, unless it was called off or its node is dead; one that stood still has it late")
    func calls() throws {
        let world = World(seed: 1, keepsTrace: true)
        let nodes = ["living", "dying", "frozen"].map { world.node($0) }
        for node in nodes {
            let call = node.time.call(at: World.beginning + .seconds(1)) { world.note("called off") }
            _ = node.time.call(at: World.beginning + .seconds(2)) { world.note(node.name) }
            call.cancel()
        }
        world.schedule(at: World.beginning + .milliseconds(1500)) {
            nodes[1].crash()
            nodes[2].freeze(for: .seconds(5))
        }
        try world.run(for: .seconds(10))
        let expected = ["1500 crash dying", "1500 freeze frozen", "2000 living", "6500 thaw frozen", "6500 frozen"]
        #expect(world.trace == expected)
        let last = nodes[0].time.call(at: world.now + .seconds(60)) {}
        last.cancel()
        #expect(try !world.run(until: world.now + .seconds(30)) { false })
        #expect(world.now == World.beginning + .seconds(10))
    }

    @Test("a node that crashes does nothing any more, cleans up nothing, and the others go on")
    func crash() throws {
        let world = World(seed: 3, keepsTrace: true)
        let (victim, other) = (world.node("victim"), world.node("other"))
        for node in [victim, other] {
            let time = node.time
            node.spawn {
                defer { world.note("cleaned up \(node.name)") }
                for _ in 0..<5 {
                    try await time.sleep(for: .seconds(1))
                    world.note("tick \(node.name)")
                }
            }
        }
        world.schedule(at: World.beginning + .milliseconds(2500)) { victim.crash() }
        try world.run(for: .seconds(10))
        #expect(world.trace.count { $0.hasSuffix("tick victim") } == 2)
        #expect(world.trace.count { $0.hasSuffix("tick other") } == 5)
        #expect(world.trace.contains { $0.hasSuffix("cleaned up other") })
        #expect(!world.trace.contains { $0.hasSuffix("cleaned up victim") })
    }

    @Test("what has crashed keeps what it had until the world ends, and nothing afterwards")
    func end() throws {
        weak var kept: WriteLog?
        do {
            let (world, log, bell) = (World(seed: 5), WriteLog(), Wakeup())
            kept = log
            let (victim, other) = (world.node("victim"), world.node("other"))
            let time = victim.time
            victim.spawn {
                try await time.sleep(for: .seconds(3600))
                _ = log.writes
            }
            victim.spawn {
                await bell.wait()
                _ = log.writes
            }
            // Rings for one who does not hear it any more.
            other.spawn {
                try await time.sleep(for: .seconds(5))
                bell.signal()
            }
            try world.run(for: .seconds(1))
            victim.crash()
            try world.run(for: .seconds(7200))
            #expect(world.end())
        }
        #expect(kept == nil)
    }

    @Test("civil clocks are set for one node alone, and monotonic time does not care")
    func clocks() throws {
        let world = World(seed: 1)
        let (first, second) = (world.node("first"), world.node("second"))
        let before = first.time.wallClock
        first.setClock(ahead: .seconds(-3600))
        try world.run(for: .seconds(10))
        #expect(first.time.wallClock == before.advanced(by: .seconds(10 - 3600)))
        #expect(second.time.wallClock == before.advanced(by: .seconds(10)))
        #expect(first.time.now == second.time.now)
    }

    // MARK: It stops loudly

    @Test("what must always hold and does not stops the world at that step, and says with which seed and when")
    func invariants() throws {
        let world = World(seed: 77)
        let node = world.node("a")
        let ticks = Mutex((odd: 0, even: 0))
        let time = node.time
        node.spawn {
            while true {
                try await time.sleep(for: .seconds(1))
                ticks.withLock { $0.odd += 1 }
                // For a moment there is one more of these; then as many again.
                await Task.yield()
                ticks.withLock { $0.even += 1 }
            }
        }
        world.invariant("once a second, as many", every: .milliseconds(700)) { world.now >= World.beginning }
        world.invariant("fewer than four") { ticks.withLock { $0.odd < 4 } }
        let error = try #require(throws: WorldError.self) { try world.run(for: .seconds(60)) }
        #expect(error.reason == .violated("fewer than four"))
        #expect(error.seed == 77 && error.at == World.beginning + .seconds(4))
        #expect("\(error)".contains("violated: fewer than four; seed 77, 4.0 seconds into the run"), "\(error)")
        #expect(ticks.withLock { $0.even } == 3, "it stopped at once")
        // What was demanded of the world is not demanded of its end.
        #expect(world.end())
    }

    @Test("what need not be looked at at every step is looked at as often as was asked for")
    func invariantsNowAndThen() throws {
        let world = World(seed: 1)
        let node = world.node("a")
        let looks = Mutex([MonotonicInstant]())
        let time = node.time
        node.spawn { while true { try await time.sleep(for: .milliseconds(100)) } }
        world.invariant("anything", every: .seconds(1)) {
            looks.withLock { $0.append(world.now) }
            return true
        }
        try world.run(for: .milliseconds(3050))
        #expect(looks.withLock { $0 } == [0, 1, 2, 3].map { World.beginning + .seconds($0) })
        world.end()
    }

    @Test("a run that something outside decides is found out, and where it parts from itself")
    func determinism() throws {
        func story(_ world: World, _ outside: @escaping @Sendable () -> Int) throws {
            let node = world.node("a")
            let time = node.time
            for service in 0..<3 {
                node.spawn {
                    for round in 0..<3 {
                        try await time.sleep(for: .seconds(1))
                        world.note("round \(round) of \(service): \(round < 2 ? 0 : outside())")
                    }
                }
            }
            try world.run(for: .seconds(10))
        }
        #expect(try World.isDeterministic(seed: 5) { try story($0) { 7 } })
        let count = Mutex(0)
        let next = { @Sendable in
            count.withLock { count in
                count += 1
                return count
            }
        }
        #expect(try !World.isDeterministic(seed: 5) { try story($0, next) })
        let difference = try World.firstDifference(seed: 5) { try story($0, next) }
        #expect(difference?.contains("3000 round 2 of") == true && difference?.contains("seed 5") == true)
        // In the jobs alone.
        let jobs = try World.firstDifference(seed: 5) { world in
            let (node, more) = (world.node("a"), next())
            node.spawn { for _ in 0..<more { await Task.yield() } }
            try world.run(for: .seconds(1))
        }
        #expect(jobs?.contains("jobs and 0 notes") == true)
        #expect(throws: NeverHappened.self) {
            try World.isDeterministic(seed: 5) { _ in throw NeverHappened(description: "planted") }
        }
    }

    @Test("what waits for ever is a deadlock, and says with which seed")
    func deadlock() throws {
        let world = World(seed: 99)
        let node = world.node("a")
        let bell = Wakeup()
        let task = node.spawn { await bell.wait() }
        let error = try #require(throws: WorldError.self) { try world.run { task.isDone } }
        #expect(error.reason == .deadlock)
        #expect("\(error)".contains("seed 99"))
    }

    @Test("what runs for ever without time passing is a livelock")
    func livelock() throws {
        let world = World(seed: 1)
        let node = world.node("a")
        node.spawn { while true { await Task.yield() } }
        let error = try #require(throws: WorldError.self) { try world.run(for: .seconds(1)) }
        guard case .livelock = error.reason else { throw error }
    }

    @Test("a job that a foreign thread brings cannot be replayed, so it stops the world")
    func escape() throws {
        let world = World(seed: 1)
        let node = world.node("a")
        let bell = Wakeup()
        node.spawn { await bell.wait() }
        // The thread has rung before the world goes on, so nothing depends on how long it took to start.
        node.spawn { Self.onForeignThread { bell.signal() } }
        let error = try #require(throws: WorldError.self) { try world.run(for: .seconds(1)) }
        #expect(error.reason == .escaped)
    }

    /// Returns when a thread of its own has run `body`.
    private static func onForeignThread(_ body: @escaping @Sendable () -> Void) {
        let ended = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            body()
            ended.signal()
        }
        ended.wait()
    }
}
