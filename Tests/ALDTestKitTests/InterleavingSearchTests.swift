import ALDCore
import ALDTestKit
import Synchronization
import Testing

/// Three textbook races. An executor that runs first what came first never shows them; a search must.
@Suite("Interleaving search") struct InterleavingSearchTests {
    struct Wrong: Error, CustomStringConvertible { var description: String }

    /// The queue is drained before the last push: what comes between draining and closing is lost.
    private static func shutdownRace(_ world: World) throws {
        actor Queue {
            var items: [Int] = []
            var isOpen = true
            var taken = 0
            var refused = 0
            func push(_ item: Int) async {
                await Task.yield()
                if isOpen { items.append(item) } else { refused += 1 }
            }
            func drain() { taken += items.count; items = [] }
            func close() { isOpen = false }
            var account: (taken: Int, refused: Int) { (taken, refused) }
        }
        let (node, queue) = (world.node("a"), Queue())
        node.spawn { await queue.push(1) }
        node.spawn {
            await Task.yield()
            await queue.drain()
            await Task.yield()
            await queue.close()
        }
        try world.run(for: .seconds(1))
        let account = node.spawn { await queue.account }
        try world.run { account.isDone }
        let (taken, refused) = try account.outcome?.get() ?? (0, 0)
        if taken + refused != 1 { throw Wrong(description: "accepted, and neither taken nor refused") }
    }

    /// Looks whether there is a connection, waits, and makes one: two may do so.
    private static func reentrancy(_ world: World) throws {
        actor Pool {
            private var connection: Int?
            private(set) var dialled = 0
            func use() async {
                if connection == nil {
                    await Task.yield()
                    dialled += 1
                    connection = dialled
                }
            }
        }
        let (node, pool) = (world.node("a"), Pool())
        let time = node.time
        node.spawn {
            await pool.use()
            // As long as nobody comes between, everything is right.
            try await time.sleep(for: .seconds(1))
        }
        node.spawn {
            for _ in 0..<2 { await Task.yield() }
            await pool.use()
        }
        try world.run(for: .seconds(2))
        let dialled = node.spawn { await pool.dialled }
        try world.run { dialled.isDone }
        if try dialled.outcome?.get() != 1 { throw Wrong(description: "two connections for one") }
    }

    /// Looks, then lies down to wait: who rings in between is not heard.
    private static func lostWakeup(_ world: World) throws {
        actor Bell {
            private var isRung = false
            private var waiter: CheckedContinuation<Void, Never>?
            var hasRung: Bool { isRung }
            func wait() async { await withCheckedContinuation { waiter = $0 } }
            func ring() {
                isRung = true
                waiter?.resume()
                waiter = nil
            }
        }
        let (node, bell) = (world.node("a"), Bell())
        node.spawn {
            for _ in 0..<3 { await Task.yield() }
            await bell.ring()
        }
        let sleeper = node.spawn {
            guard await !bell.hasRung else { return }
            await Task.yield()
            await bell.wait()
        }
        guard try world.run(until: world.now + .seconds(1), isDone: { sleeper.isDone }) else {
            // Let go of the one who waits, so that nothing leaks.
            node.spawn { await bell.ring() }
            try world.run { sleeper.isDone }
            throw Wrong(description: "the bell was not heard")
        }
    }

    static let races: [(name: String, check: @Sendable (World) throws -> Void)] = [
        ("shutdown", shutdownRace), ("re-entrancy", reentrancy), ("lost wake-up", lostWakeup),
    ]

    @Test("first in, first out finds none of three planted races, random order finds all", arguments: 0..<3)
    func random(race: Int) throws {
        let check = Self.races[race].check
        for seed in 0..<20 as Range<UInt64> {
            let world = World(seed: seed, order: .firstInFirstOut)
            do {
                try check(world)
            } catch {
                Issue.record("\(Self.races[race].name) shows without any search: \(error)")
            }
        }
        let outcome = InterleavingSearch.random(from: 1, runs: 5000, check)
        let seed = try #require(outcome.seed, "\(Self.races[race].name) in \(outcome.runs) runs")
        #expect(throws: Wrong.self) { try check(World(seed: seed)) }
    }

    @Test("two deviations from the usual order show each of them, and the order found shows it again", arguments: 0..<3)
    func bounded(race: Int) throws {
        let check = Self.races[race].check
        let outcome = InterleavingSearch.bounded(seed: 1, deviations: 2, atMost: 20_000, check)
        let order = try #require(outcome.failing, "\(Self.races[race].name) in \(outcome.runs) runs")
        #expect(throws: Wrong.self) { try check(World(seed: 1, order: order)) }
    }

    @Test("what holds under every order within the bound is exhausted without a finding")
    func exhausted() {
        let outcome = InterleavingSearch.bounded(seed: 1, deviations: 2, atMost: 100_000) { world in
            let (node, sum) = (world.node("a"), Sum())
            for _ in 0..<4 { node.spawn { sum.add() } }
            try world.run(for: .seconds(1))
            if sum.value != 4 { throw Wrong(description: "lost an addition") }
        }
        #expect(outcome.isExhausted && outcome.failing == nil)
        #expect(outcome.runs > 10)
    }

    private final class Sum: Sendable {
        private let count = Mutex(0)
        var value: Int { count.withLock(\.self) }
        func add() { count.withLock { $0 += 1 } }
    }
}
