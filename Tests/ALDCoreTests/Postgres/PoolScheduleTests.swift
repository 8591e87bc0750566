import ALDTestKit
import Testing

@testable import ALDCore

/// Random schedules against a reference model that throws on the first broken promise.
@Suite(.background) struct PoolScheduleTests {
    @Test(.background) func twentyThousandRandomSchedulesKeepEveryPromise() async throws {
        let first = TestSeed.draw()
        for seed in first..<(first + 20_000) {
            await TestSeed.letOthersRun(round: Int(seed - first))
            do {
                var world = PoolModel(seed: seed)
                try world.run()
            } catch {
                Issue.record("seed \(seed): \(error)")
                return
            }
        }
    }
}

/// A driver of the machine that does what it is told in a random order, and remembers who should have what.
struct PoolModel {
    struct Broken: Error, CustomStringConvertible {
        let description: String
    }

    typealias Machine = PoolStateMachine

    private var random: SeededGenerator
    private var machine: Machine
    private let maximum: Int
    private var now = MonotonicInstant(nanoseconds: 0)
    private var wakeUps: [MonotonicInstant] = []
    private var connecting: [Machine.ConnectionID] = []
    private var closing: [Machine.ConnectionID] = []
    private var open: Set<Machine.ConnectionID> = []
    private var leases: [Machine.ConnectionID: Machine.Request] = [:]
    private var waiting: [Machine.RequestID: Machine.Request] = [:]
    private var requests = 0
    private var finishes = 0
    private var isShutDown = false

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        var configuration = PoolConfiguration()
        configuration.maximumConnections = Int.random(in: 1...4, using: &random)
        configuration.minimumConnections = Int.random(in: 0...configuration.maximumConnections, using: &random)
        configuration.maximumWaiters = Int.random(in: 1...6, using: &random)
        configuration.maximumConcurrentConnects = Int.random(in: 1...3, using: &random)
        configuration.idleTimeout = .milliseconds(Int.random(in: 1...50, using: &random))
        configuration.maximumLifetime = .milliseconds(Int.random(in: 5...200, using: &random))
        configuration.initialBackoff = .milliseconds(3)
        configuration.maximumBackoff = .milliseconds(20)
        maximum = configuration.maximumConnections
        machine = Machine(configuration: configuration)
    }

    mutating func run() throws {
        try perform(machine.start(now: now))
        for _ in 0..<Int.random(in: 5...60, using: &random) { try step() }
        try heal()
        try end()
    }

    private mutating func step() throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<25: try acquire()
        case 25..<32: try cancel()
        case 32..<50: try finishConnect(succeeds: Bool.random(using: &random))
        case 50..<68: try release(isClean: Int.random(in: 0..<4, using: &random) > 0)
        case 68..<73: try findDead()
        case 73..<83: try finishClose()
        case 83..<98: try pass(.microseconds(Int.random(in: 1...20_000, using: &random)))
        default: try shutDown()
        }
    }

    // MARK: Events

    private mutating func acquire() throws {
        requests += 1
        let deadline = now + .microseconds(Int.random(in: 0...30_000, using: &random))
        let request = Machine.Request(
            id: .init(number: requests), holder: "h\(requests)", deadline: deadline, since: now)
        waiting[request.id] = request
        try perform(machine.acquire(request, now: now))
    }

    private mutating func cancel() throws {
        guard let id = waiting.keys.sorted(by: { $0.number < $1.number }).randomElement(using: &random) else { return }
        try perform(machine.cancel(id, now: now))
        try demand(waiting[id] == nil, "a cancelled caller still waits")
    }

    private mutating func finishConnect(succeeds: Bool) throws {
        guard let id = connecting.randomElement(using: &random) else { return }
        connecting.removeAll { $0 == id }
        if succeeds {
            open.insert(id)
            try perform(machine.connected(id, chance: .random(in: 0..<1, using: &random), now: now))
        } else {
            let isFatal = Int.random(in: 0..<4, using: &random) == 0
            let error = PostgresError(isFatal ? .authenticationFailed : .connectionFailed, "no")
            try perform(machine.connectFailed(id, error, chance: .random(in: 0..<1, using: &random), now: now))
        }
    }

    private mutating func release(isClean: Bool) throws {
        guard let id = leases.keys.sorted().randomElement(using: &random) else { return }
        leases[id] = nil
        try perform(machine.release(id, isClean: isClean, now: now))
    }

    private mutating func findDead() throws {
        guard let id = leases.keys.sorted().randomElement(using: &random), let request = leases[id] else { return }
        // Found at the hand-over, which is at once.
        guard request.deadline > now else { return }
        leases[id] = nil
        waiting[request.id] = request
        try perform(machine.foundDead(id, for: request, now: now))
    }

    private mutating func finishClose() throws {
        guard let id = closing.randomElement(using: &random) else { return }
        closing.removeAll { $0 == id }
        try perform(machine.closed(id, now: now))
    }

    private mutating func shutDown() throws {
        isShutDown = true
        let reclaims = Bool.random(using: &random)
        let actions = machine.shutDown(reclaimsLeased: reclaims, now: now)
        if reclaims {
            // The holders notice that their connections are gone; what they return later changes nothing.
            let gone = leases
            leases = [:]
            try perform(actions)
            for id in gone.keys.sorted() { try perform(machine.release(id, isClean: false, now: now)) }
        } else {
            try perform(actions)
        }
    }

    /// Time passes as with a punctual driver: every ordered wake-up happens at its instant.
    private mutating func pass(_ duration: Duration) throws {
        let end = now + duration
        while let next = wakeUps.min(), next <= end {
            wakeUps.removeAll { $0 == next }
            now = max(now, next)
            try perform(machine.advance(now: now))
        }
        now = end
        try perform([])
    }

    // MARK: Actions

    private mutating func perform(_ actions: [Machine.Action]) throws {
        for action in actions {
            switch action {
            case .connect(let id):
                try demand(!isShutDown, "a connect after shutdown")
                connecting.append(id)
            case .lease(let id, let request):
                try demand(open.contains(id) && !closing.contains(id), "a lease of a connection that is not open")
                try demand(leases[id] == nil, "a connection lent to two holders")
                guard let waited = waiting.removeValue(forKey: request) else {
                    throw Broken(description: "a lease to somebody who does not wait")
                }
                let earlier = waiting.keys.contains { $0.number < request.number }
                try demand(!earlier, "somebody was overtaken")
                leases[id] = waited
            case .fail(let request, let error):
                guard let waited = waiting.removeValue(forKey: request) else {
                    throw Broken(description: "failed somebody who does not wait")
                }
                try demand(now <= waited.deadline || error.code == .poolShutDown, "failed after its deadline")
            case .close(let id):
                try demand(open.remove(id) != nil, "closed twice or before it was open")
                try demand(leases[id] == nil, "closed under its holder")
                closing.append(id)
            case .wakeUp(let instant):
                try demand(wakeUps.allSatisfy { $0 > instant }, "an order does not replace a later one")
                wakeUps = [instant]
            case .finish: finishes += 1
            }
        }
        try check()
    }

    private func check() throws {
        let statistics = machine.statistics
        try demand(statistics.total <= maximum, "more connections than allowed")
        try demand(statistics.connecting == connecting.count, "connecting does not add up")
        try demand(statistics.closing == closing.count, "closing does not add up")
        try demand(statistics.leased + statistics.idle == open.count, "open does not add up")
        try demand(statistics.waiting == waiting.count, "waiters do not add up")
        try demand(
            statistics.connectsStarted
                == statistics.connectsSucceeded + statistics.connectsFailed + statistics.connecting,
            "connects do not add up")
        try demand(
            statistics.connectsSucceeded
                == statistics.leased + statistics.idle + statistics.closing + statistics.closed,
            "connections do not add up")
        try demand(
            statistics.requests == statistics.leases + statistics.timeouts + statistics.failures
                + statistics.cancellations + statistics.refusals + statistics.waiting,
            "requests do not add up: \(statistics)")
        if let earliest = waiting.values.map(\.deadline).min() {
            try demand(earliest > now, "a deadline was missed")
            try demand(wakeUps.contains { $0 <= earliest }, "nobody will wake up for a deadline")
        }
        try demand(statistics.idle == 0 || statistics.waiting == 0, "somebody waits beside an idle connection")
    }

    // MARK: The end

    /// With a healthy server and well-behaved holders everybody is served before the deadline.
    private mutating func heal() throws {
        guard !isShutDown else { return }
        requests += 1
        let last = Machine.Request(
            id: .init(number: requests), holder: "last", deadline: now + .seconds(10), since: now)
        waiting[last.id] = last
        try perform(machine.acquire(last, now: now))
        for _ in 0..<2000 where !waiting.isEmpty {
            while !connecting.isEmpty { try finishConnect(succeeds: true) }
            while !closing.isEmpty { try finishClose() }
            while !leases.isEmpty { try release(isClean: true) }
            try pass(.milliseconds(1))
        }
        try demand(waiting.isEmpty, "somebody waits for ever")
    }

    private mutating func end() throws {
        try shutDown()
        while !connecting.isEmpty { try finishConnect(succeeds: Bool.random(using: &random)) }
        while !leases.isEmpty { try release(isClean: true) }
        while !closing.isEmpty { try finishClose() }
        try demand(waiting.isEmpty, "somebody waits after shutdown")
        try demand(machine.statistics.total == 0, "connections left after shutdown")
        try demand(finishes > 0, "the end was not announced")
    }

    private func demand(_ condition: Bool, _ message: @autoclosure () -> String) throws {
        if !condition { throw Broken(description: message()) }
    }
}
