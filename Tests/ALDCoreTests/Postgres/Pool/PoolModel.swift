import ALDTestKit

@testable import ALDCore

/// A driver of the machine that does what it is told in a random order, remembers who should have what, and throws as
/// soon as a promise is broken. The laws are in `PoolModel+Laws.swift`.
struct PoolModel {
    struct Broken: Error, CustomStringConvertible {
        let description: String
    }

    typealias Machine = PoolStateMachine

    struct Held {
        var request: Machine.Request
        var since: MonotonicInstant
        var isCancelled = false
    }

    struct Open {
        var generation: Int
        var expires: MonotonicInstant
        var isChecking = false
    }

    var random: SeededGenerator
    var machine: Machine
    let configuration: PoolConfiguration
    var now = MonotonicInstant(nanoseconds: 0)
    var wakeUp: MonotonicInstant?
    /// With the generation in which they were begun.
    var connecting: [Machine.ConnectionID: Int] = [:]
    var closing: [Machine.ConnectionID] = []
    var open: [Machine.ConnectionID: Open] = [:]
    var leases: [Machine.ConnectionID: Held] = [:]
    /// Taken back by the pool; their holders have not noticed yet.
    var lost: [(Machine.ConnectionID, Machine.RequestID)] = []
    var waiting: [Machine.RequestID: Machine.Request] = [:]
    var generation = 0
    var requests = 0
    var finishes = 0
    var isPaused = false
    var isShutDown = false
    var stages: Set<LeakStage> = []
    /// In some worlds people have seconds of patience, so that the head starts of lanes come to an end.
    let patience: Duration

    var statistics: PoolStatistics { machine.statistics }

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        configuration = Self.configuration(&random)
        patience = Int.random(in: 0..<4, using: &random) == 0 ? .seconds(5) : .milliseconds(30)
        machine = Machine(configuration: configuration, isObserved: true)
    }

    private static func configuration(_ random: inout SeededGenerator) -> PoolConfiguration {
        var result = PoolConfiguration()
        result.maximumConnections = Int.random(in: 1...5, using: &random)
        result.minimumConnections = Int.random(in: 0...result.maximumConnections, using: &random)
        var free = result.maximumConnections
        for lane in PoolLane.allCases where Bool.random(using: &random) {
            let number = Int.random(in: 0...min(2, free), using: &random)
            result.reservedConnections[lane] = number
            free -= number
        }
        // A lane must be able to get something at all.
        if free == 0 { result.reservedConnections = [:] }
        result.maximumWaiters = Int.random(in: 1...6, using: &random)
        result.maximumConcurrentConnects = Int.random(in: 1...4, using: &random)
        result.idleTimeout = .milliseconds(Int.random(in: 1...50, using: &random))
        result.keepAlive = .milliseconds(Int.random(in: 1...40, using: &random))
        result.pingAfter = .milliseconds(2)
        result.maximumLifetime = .milliseconds(Int.random(in: 5...200, using: &random))
        result.initialBackoff = .milliseconds(3)
        result.maximumBackoff = .milliseconds(20)
        result.saturationCooldown = .milliseconds(10)
        return result
    }

    mutating func run() throws {
        try perform(machine.start(now: now))
        for _ in 0..<Int.random(in: 5...35, using: &random) { try step() }
        try heal()
        try end()
    }

    private mutating func step() throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<26: try acquire()
        case 26..<31: try cancel()
        case 31..<46: try finishConnect()
        case 46..<60: try release(isClean: Int.random(in: 0..<5, using: &random) > 0)
        case 60..<64: try findDead()
        case 64..<73: try finishClose()
        case 73..<80: try finishCheck()
        case 80..<92: try pass(patience * Double.random(in: 0.001...0.6, using: &random))
        case 92..<94: try returnLate()
        case 94..<96: try evict()
        case 96..<99: try pauseOrResume()
        default: if Int.random(in: 0..<3, using: &random) == 0 { try shutDown() }
        }
    }

    // MARK: Events

    mutating func acquire(deadline: Duration? = nil, lane: PoolLane? = nil) throws {
        requests += 1
        let lane = lane ?? PoolLane.allCases.randomElement(using: &random) ?? .reader
        let wait = deadline ?? patience * Double.random(in: 0...1, using: &random)
        let limits =
            Bool.random(using: &random)
            ? LeaseLimits.none
            : LeaseLimits(warning: .milliseconds(5), cancellation: .milliseconds(10), reclaim: .milliseconds(15))
        let request = Machine.Request(
            id: .init(number: requests), holder: PoolHolder(name: "h", fileID: "f", line: requests), lane: lane,
            deadline: now + wait, since: now, limits: limits)
        waiting[request.id] = request
        try perform(machine.acquire(request, now: now))
    }

    private mutating func cancel() throws {
        guard let id = pick(waiting.keys.sorted { $0.number < $1.number }) else { return }
        try perform(machine.cancel(id, now: now))
        try demand(waiting[id] == nil, "a cancelled caller still waits")
    }

    mutating func finishConnect(succeeds: Bool? = nil) throws {
        guard let id = pick(connecting.keys.sorted()), let begunIn = connecting.removeValue(forKey: id) else { return }
        let chance = Double.random(in: 0..<1, using: &random)
        if succeeds ?? Bool.random(using: &random) {
            let share = 1 - configuration.lifetimeJitter * chance
            let expires = now + .seconds(configuration.maximumLifetime.inSeconds * share)
            open[id] = Open(generation: begunIn, expires: expires)
            try perform(machine.connected(id, chance: chance, now: now))
        } else {
            let codes: [PostgresError.Code] = [
                .authenticationFailed, .connectionFailed, .timedOut, .tooManyConnections, .notPrimary,
            ]
            let error = PostgresError(pick(codes) ?? .connectionFailed, "no")
            try perform(machine.connectFailed(id, error, chance: chance, now: now))
        }
    }

    mutating func release(isClean: Bool) throws {
        guard let id = pick(leases.keys.sorted()), let held = leases.removeValue(forKey: id) else { return }
        if !isClean, Bool.random(using: &random) {
            let before = machine.counters.generation
            let actions = machine.foundNotPrimary(id, by: held.request.id, now: now)
            generation = machine.counters.generation
            try demand(generation - before <= 1, "evicted more than once")
            leases[id] = held
            try perform(actions)
            leases[id] = nil
        }
        try perform(machine.release(id, by: held.request.id, isClean: isClean, now: now))
        let mayStay = isClean && !held.isCancelled
        try demand(mayStay || closing.contains(id), "an unclean connection was kept")
    }

    private mutating func findDead() throws {
        // Found at the hand-over, which is at once.
        guard let id = pick(leases.keys.sorted().filter { leases[$0]?.since == now }),
            let held = leases.removeValue(forKey: id)
        else { return }
        waiting[held.request.id] = held.request
        try perform(machine.foundDead(id, for: held.request, now: now))
    }

    mutating func finishClose() throws {
        guard let id = pick(closing) else { return }
        closing.removeAll { $0 == id }
        try perform(machine.closed(id, now: now))
    }

    mutating func finishCheck(isAlive: Bool? = nil) throws {
        guard let id = pick(open.keys.sorted().filter { open[$0]?.isChecking == true }) else { return }
        open[id]?.isChecking = false
        let isAlive = isAlive ?? (Int.random(in: 0..<4, using: &random) > 0)
        try perform(machine.checked(id, isAlive: isAlive, now: now))
        try demand(isAlive || closing.contains(id), "a dead connection was kept")
    }

    /// A holder notices late that his connection has been taken from him.
    mutating func returnLate() throws {
        guard !lost.isEmpty else { return }
        let (id, request) = lost.remove(at: Int.random(in: 0..<lost.count, using: &random))
        var before = machine.statistics
        let actions = machine.release(id, by: request, isClean: Bool.random(using: &random), now: now)
        try demand(actions.isEmpty, "a late return had an effect")
        before.lateReturns += 1
        try demand(before == machine.statistics, "a late return was counted as something else")
    }

    private mutating func evict() throws {
        guard !isShutDown else { return }
        generation += 1
        try perform(machine.evictAll("test", now: now))
        try demand(machine.statistics.idle == 0, "an idle connection outlived its generation")
    }

    private mutating func pauseOrResume() throws {
        isPaused.toggle()
        try perform(isPaused ? machine.pause("test", now: now) : machine.resume(now: now))
    }

    mutating func shutDown() throws {
        isShutDown = true
        let reclaims = Bool.random(using: &random)
        if reclaims { for id in leases.keys { lose(id) } }
        try perform(machine.shutDown(reclaimsLeased: reclaims, now: now))
    }

    mutating func lose(_ id: Machine.ConnectionID) {
        guard let held = leases.removeValue(forKey: id) else { return }
        lost.append((id, held.request.id))
    }

    /// Time passes as with a punctual driver: every ordered wake-up happens at its instant.
    mutating func pass(_ duration: Duration) throws {
        let end = now + duration
        while let next = wakeUp, next <= end {
            wakeUp = nil
            now = max(now, next)
            try perform(machine.advance(now: now))
        }
        now = end
        try perform([])
    }

    // MARK: The end

    /// With a healthy server and well-behaved holders everybody is served before the deadline.
    private mutating func heal() throws {
        guard !isShutDown else { return }
        if isPaused { try pauseOrResume() }
        for lane in PoolLane.allCases { try acquire(deadline: .seconds(10), lane: lane) }
        for _ in 0..<500 where !waiting.isEmpty {
            while !connecting.isEmpty { try finishConnect(succeeds: true) }
            while !closing.isEmpty { try finishClose() }
            while open.values.contains(where: \.isChecking) { try finishCheck(isAlive: true) }
            while !leases.isEmpty { try release(isClean: true) }
            try pass(.milliseconds(5))
        }
        try demand(waiting.isEmpty, "somebody waits for ever")
    }

    private mutating func end() throws {
        try shutDown()
        while !connecting.isEmpty { try finishConnect() }
        while open.values.contains(where: \.isChecking) { try finishCheck() }
        while !leases.isEmpty { try release(isClean: true) }
        while !closing.isEmpty { try finishClose() }
        while !lost.isEmpty { try returnLate() }
        try demand(waiting.isEmpty, "somebody waits after shutdown")
        try demand(machine.statistics.total == 0, "connections left after shutdown")
        try demand(finishes > 0, "the end was not announced")
    }

    private mutating func pick<Element>(_ choice: [Element]) -> Element? {
        choice.randomElement(using: &random)
    }

    func demand(_ condition: Bool, _ message: @autoclosure () -> String) throws {
        if !condition { throw Broken(description: message()) }
    }
}
