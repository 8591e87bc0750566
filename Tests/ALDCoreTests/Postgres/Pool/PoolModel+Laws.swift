import ALDTestKit

@testable import ALDCore

extension PoolModel {
    // MARK: Every action

    mutating func perform(_ actions: [Machine.Action]) throws {
        for case .leak(let stage, _) in machine.events { stages.insert(stage) }
        machine.events = []
        for action in actions {
            switch action {
            case .connect(let id):
                try demand(!isShutDown && !isPaused, "a connect after shutdown or during a pause")
                connecting[id] = generation
            case .lease(let id, let request, _): try lease(id, request)
            case .fail(let request, let error): try fail(request, error)
            case .close(let id): try close(id)
            case .check(let id):
                try demand(open[id] != nil && leases[id] == nil && !isPaused, "checks what is not idle")
                open[id]?.isChecking = true
            case .cancelStatement(let id):
                guard let held = leases[id], let limit = held.request.limits.cancellation else {
                    throw Broken(description: "cancels for nobody")
                }
                try demand(now - held.since >= limit && !held.isCancelled, "cancels too early or twice")
                leases[id]?.isCancelled = true
            case .wakeUp(let instant):
                try demand(instant >= now && wakeUp.map { $0 > instant } ?? true, "an order replaces no later one")
                wakeUp = instant
            case .drained:
                try demand(isPaused && open.isEmpty && connecting.isEmpty && closing.isEmpty, "drained too early")
            case .finish: finishes += 1
            }
        }
        try check()
    }

    private mutating func lease(_ id: Machine.ConnectionID, _ request: Machine.RequestID) throws {
        guard let connection = open[id], !closing.contains(id) else {
            throw Broken(description: "a lease of a connection that is not open")
        }
        try demand(!isPaused, "a lease during a pause")
        try demand(!connection.isChecking, "a lease of a connection that is being checked")
        try demand(leases[id] == nil, "a connection lent to two holders")
        try demand(connection.generation == generation, "a lease of an evicted connection")
        try demand(now < connection.expires, "a lease of a connection whose life is over")
        guard let served = waiting.removeValue(forKey: request) else {
            throw Broken(description: "a lease to somebody who does not wait")
        }
        try demand(now < served.deadline, "a lease after its deadline")
        try demand(mayHave(served.lane), "a lease out of the reserve of another lane")
        for other in waiting.values where other.lane == served.lane {
            try demand(other.id.number > served.id.number, "somebody was overtaken in his lane")
        }
        for other in waiting.values where mayHave(other.lane) {
            try demand(
                other.since - other.lane.headStart >= served.since - served.lane.headStart, "a lane was starved")
        }
        leases[id] = Held(request: served, since: now)
    }

    private mutating func fail(_ request: Machine.RequestID, _ error: PostgresError) throws {
        guard let failed = waiting.removeValue(forKey: request) else {
            throw Broken(description: "failed somebody who does not wait")
        }
        try demand(now <= failed.deadline || error.code == .poolShutDown, "failed after its deadline")
        if now < failed.deadline, ![.poolShutDown, .cancelled, .poolExhausted].contains(error.code) {
            try demand(error.cause != nil, "failed early without a cause")
            let isHopeless = error.cause?.isConfigurationFault == true
            let retryAt = machine.gate.retryAt(now: now)
            try demand(isHopeless || retryAt.map { $0 >= failed.deadline } ?? false, "failed though there was hope")
            try demand(leases.isEmpty, "failed early though a connection may come back")
        }
        guard let pool = error.pool else { throw Broken(description: "a failure without the pool's state") }
        try demand(pool.statistics.leased == 0 || pool.oldestLease != nil, "nobody is named")
        if error.code == .poolExhausted, pool.reason == .exhausted {
            try demand(!mayHave(failed.lane) || !leases.isEmpty, "exhausted though nothing is lent")
        }
    }

    private mutating func close(_ id: Machine.ConnectionID) throws {
        if let held = leases[id] {
            guard let limit = held.request.limits.reclaim, now - held.since >= limit else {
                throw Broken(description: "closed under its holder")
            }
            lose(id)
        }
        try demand(open.removeValue(forKey: id) != nil, "closed twice or before it was open")
        closing.append(id)
    }

    // MARK: After every event

    private func leased(_ lane: PoolLane) -> Int { leases.values.count { $0.request.lane == lane } }
    private func reserve(_ lane: PoolLane) -> Int { configuration.reservedConnections[lane] ?? 0 }

    /// Whether one more lease leaves to every other lane what is reserved for it.
    private func mayHave(_ lane: PoolLane) -> Bool {
        let kept = PoolLane.allCases.reduce(0) { $1 == lane ? $0 : $0 + max(0, reserve($1) - leased($1)) }
        return leases.count + 1 + kept <= configuration.maximumConnections
    }

    private func check() throws {
        let statistics = machine.statistics
        let isWaiting = !waiting.isEmpty
        try demand(statistics.total <= configuration.maximumConnections, "more connections than allowed")
        try demand(statistics.connecting == connecting.count, "connecting does not add up")
        try demand(statistics.closing == closing.count, "closing does not add up")
        try demand(statistics.leased + statistics.idle + statistics.checking == open.count, "open does not add up")
        try demand(statistics.waiting == waiting.count, "waiters do not add up")
        try demand(statistics.generation == generation, "the generation is another one")
        if let broken = statistics.brokenLaw { throw Broken(description: "\(broken): \(statistics)") }
        if isWaiting, let earliest = waiting.values.map(\.deadline).min() {
            try demand(earliest > now, "a deadline was missed")
            try demand(wakeUp.map { $0 <= earliest } ?? false, "nobody will wake up for a deadline")
        }
        if isWaiting, statistics.idle > 0, !isPaused {
            try demand(!waiting.values.contains { mayHave($0.lane) }, "somebody waits beside an idle connection")
        }
        try demand(!isPaused || isShutDown || statistics.idle == 0, "an idle connection during a pause")
        for held in leases.values {
            guard let limit = held.request.limits.reclaim else { continue }
            try demand(now - held.since < limit, "a leaked connection was not taken back")
        }
    }
}

extension PoolStatistics {
    /// The first of its laws that does not hold; `nil` when all do.
    var brokenLaw: String? {
        if total != leased + idle + checking + connecting + closing { return "total" }
        if connectsStarted != connectsSucceeded + connectsFailed + connecting { return "connects" }
        if connectsSucceeded != leased + idle + checking + closing + closed { return "connections" }
        if requests != leases + timeouts + failures + cancellations + refusals + waiting { return "requests" }
        if leases != leased + use.count + reclaimed { return "leases" }
        if wait.count != leases + deadAtLease { return "waits" }
        if closes.total != closing + closed { return "closes" }
        if create.count != connectsSucceeded { return "creates" }
        for times in [wait, use, create] where times.maximum > times.total { return "times" }
        return nil
    }
}
