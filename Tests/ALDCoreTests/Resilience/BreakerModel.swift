@testable import ALDCore

/// What a breaker has to do, told slowly: it keeps every permit and every judged call for ever and counts them anew
/// each time. Without slow calls and with waits that chance has no part in.
struct BreakerModel {
    struct IllegalUse: Error { let reason: String }

    enum Fate: Hashable { case out, success, failure, ignored, expired, superseded }

    struct Entry: Hashable {
        let deadline: Int64
        let round: Int
        var fate = Fate.out
    }

    enum Phase: Hashable {
        case closed, halfOpen, disabled, metricsOnly
        case open(until: Int64, earliest: Int64)
        case recovering(percent: Int, round: Int, healthy: Int, needed: Int)
        case isolated(until: Int64)
    }

    let rules: CircuitBreaker.Configuration
    private(set) var phase = Phase.closed
    private(set) var permits: [Entry] = []
    private(set) var rejected = 0
    private(set) var late = 0
    /// The calls judged in this phase: when, and whether they failed.
    private var judged: [(time: Int64, failed: Bool)] = []
    private var openings = 0
    private var closedAt: Int64?
    private var now: Int64 = 0

    init(_ rules: CircuitBreaker.Configuration) {
        self.rules = rules
    }

    func count(_ fate: Fate) -> Int { permits.count { $0.fate == fate } }

    /// How many calls may be under way now.
    var allowed: Int {
        switch phase {
        case .closed, .disabled, .metricsOnly: rules.maximumConcurrentCalls
        case .open, .isolated: 0
        case .halfOpen: min(rules.halfOpenPermits, rules.halfOpenSuccesses - judged.count)
        case .recovering(let percent, _, _, _): max(1, rules.maximumConcurrentCalls * percent / 100)
        }
    }

    mutating func acquire(now: Int64) -> Bool {
        pass(to: now)
        guard count(.out) < allowed else {
            rejected += 1
            return false
        }
        let round = if case .recovering(_, let round, _, _) = phase { round } else { 0 }
        permits.append(Entry(deadline: now + rules.lease.wholeNanoseconds, round: round))
        return true
    }

    /// - Throws: ``IllegalUse`` for a permit that was never given.
    mutating func complete(_ index: Int, _ outcome: CircuitBreaker.Outcome, now: Int64) throws {
        pass(to: now)
        guard permits.indices.contains(index) else { throw IllegalUse(reason: "permit \(index) was never given") }
        guard permits[index].fate == .out else {
            late += 1
            return
        }
        switch outcome {
        case .success: permits[index].fate = .success
        case .failure, .immediateFailure: permits[index].fate = .failure
        case .ignored:
            permits[index].fate = .ignored
            return
        }
        judge(outcome, round: permits[index].round)
    }

    mutating func pass(to now: Int64) {
        self.now = now
        switch phase {
        case .open(let until, _) where until <= now, .isolated(let until) where until <= now: enter(.halfOpen)
        default: break
        }
        let ended = permits.indices.filter { permits[$0].fate == .out && permits[$0].deadline <= now }
        for index in ended { permits[index].fate = .expired }
        for index in ended { judge(.failure, round: permits[index].round) }
    }

    mutating func command(_ phase: Phase) { enter(phase) }

    mutating func evidence(now: Int64) {
        self.now = now
        guard case .open(let until, let earliest) = phase, earliest < until else { return }
        if earliest <= now { enter(.halfOpen) } else { phase = .open(until: earliest, earliest: earliest) }
    }

    private mutating func judge(_ outcome: CircuitBreaker.Outcome, round: Int) {
        let isImmediate = outcome != .success && outcome != .failure
        switch phase {
        case .disabled, .open, .isolated: break
        case .closed, .metricsOnly:
            judged.append((now, outcome != .success))
            guard isImmediate || (outcome == .failure && hasEnough) else { return }
            if phase == .metricsOnly { judged = [] } else { open() }
        case .halfOpen:
            judged.append((now, outcome != .success))
            if outcome != .success {
                open()
            } else if judged.count == rules.halfOpenSuccesses {
                enter(
                    rules.ramp.map { .recovering(percent: $0.start, round: 0, healthy: 0, needed: $0.successes) }
                        ?? .closed)
            }
        case .recovering(let percent, let current, let healthy, let needed):
            guard let ramp = rules.ramp else { return }
            let next = max(ramp.successes, count(.out))
            if isImmediate { return open() }
            if round != current { return }
            if outcome == .failure {
                if percent == ramp.start { return open() }
                let lower = max(ramp.start, percent / 2)
                phase = .recovering(percent: lower, round: current + 1, healthy: 0, needed: next)
            } else if healthy + 1 < needed {
                phase = .recovering(percent: percent, round: current, healthy: healthy + 1, needed: needed)
            } else if percent + ramp.step < 100 {
                phase = .recovering(percent: percent + ramp.step, round: current, healthy: 0, needed: next)
            } else {
                enter(.closed)
            }
        }
    }

    private var hasEnough: Bool {
        if let limit = rules.consecutiveFailures, judged.suffix(limit).count(where: \.failed) == limit { return true }
        var windows: [[Bool]] = []
        if let size = rules.countWindow { windows.append(judged.suffix(size).map(\.failed)) }
        if let span = rules.timeWindow {
            let width = span.wholeNanoseconds / 10
            windows.append(judged.filter { now / width - $0.time / width < 10 }.map(\.failed))
        }
        return windows.contains { window in
            window.count >= rules.minimumCalls
                && Double(window.count { $0 }) / Double(window.count) >= rules.failureRate
        }
    }

    private mutating func open() {
        let lastSuccess = judged.last { !$0.failed }?.time
        if let closedAt, let lastSuccess, lastSuccess - closedAt >= rules.sustainedHealth.wholeNanoseconds {
            openings = 0
        }
        var wait = rules.openTime.base
        for _ in 0..<openings { wait = min(wait * 2, rules.openTime.cap) }
        openings += 1
        enter(.open(until: now + wait.wholeNanoseconds, earliest: now + rules.openTime.base.wholeNanoseconds))
    }

    private mutating func enter(_ next: Phase) {
        for index in permits.indices where permits[index].fate == .out { permits[index].fate = .superseded }
        judged = []
        closedAt = next == .closed ? now : nil
        phase = next
    }
}
