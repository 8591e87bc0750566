import Testing

@testable import ALDCore

/// A breaker and its model, given the same events.
struct BreakerPair {
    enum Step: Hashable, CaseIterable {
        case acquire, oldestSucceeds, newestSucceeds, oldestFails, newestFails, oldestRefused, newestIgnored
        case completedAgain, halfSecond, threeSeconds, evidence, isolate, resume, measure, disable
    }

    struct Difference: Error { let what: String }

    var breaker: CircuitBreaker
    var model: BreakerModel
    private(set) var now: Int64 = 0
    /// Every permit that the breaker gave, in that order, as in the model.
    private var permits: [CircuitBreaker.Permit] = []

    init(_ rules: CircuitBreaker.Configuration) throws {
        breaker = try CircuitBreaker(rules)
        model = BreakerModel(rules)
    }

    private var instant: MonotonicInstant { MonotonicInstant(nanoseconds: now) }

    mutating func take(_ step: Step) throws {
        switch step {
        case .acquire:
            let expected = model.acquire(now: now)
            switch breaker.acquire(now: instant, chance: 0.5) {
            case .permitted(let permit):
                guard expected else { throw Difference(what: "a permit too many") }
                permits.append(permit)
            case .rejected(let rejection):
                guard !expected else { throw Difference(what: "a permit was refused: \(rejection)") }
            }
        case .oldestSucceeds: try complete(oldest, .success)
        case .newestSucceeds: try complete(newest, .success)
        case .oldestFails: try complete(oldest, .failure)
        case .newestFails: try complete(newest, .failure)
        case .oldestRefused: try complete(oldest, .immediateFailure())
        case .newestIgnored: try complete(newest, .ignored)
        case .completedAgain: try complete(model.permits.lastIndex { $0.fate != .out }, .immediateFailure())
        case .halfSecond: pass(500_000_000)
        case .threeSeconds: pass(3_000_000_000)
        case .evidence:
            model.evidence(now: now)
            breaker.evidenceOfHealth(now: instant)
        case .isolate:
            model.command(.isolated(until: now + 2_000_000_000))
            breaker.isolate(by: "anna", reason: "test", timeToLive: .seconds(2), now: instant)
        case .resume: resume()
        case .measure:
            model.command(.metricsOnly)
            breaker.onlyMeasure(by: "anna", now: instant)
        case .disable:
            model.command(.disabled)
            breaker.disable(by: "anna", now: instant)
        }
        try compare()
    }

    private var oldest: Int? { model.permits.firstIndex { $0.fate == .out } }
    private var newest: Int? { model.permits.lastIndex { $0.fate == .out } }

    private mutating func complete(_ index: Int?, _ outcome: CircuitBreaker.Outcome) throws {
        guard let index else { return }
        let late = model.late
        try model.complete(index, outcome, now: now)
        let counted = breaker.complete(permits[index], outcome, now: instant, chance: 0.5)
        if counted != (model.late == late) { throw Difference(what: "counted: \(counted)") }
    }

    private mutating func pass(_ nanoseconds: Int64) {
        now += nanoseconds
        model.pass(to: now)
        breaker.advance(now: instant, chance: 0.5)
    }

    private mutating func resume() {
        switch model.phase {
        case .open, .isolated: model.command(.halfOpen)
        case .disabled, .metricsOnly: model.command(.closed)
        case .closed, .halfOpen, .recovering: break
        }
        breaker.resume(by: "anna", now: instant)
    }

    /// Both must be in the same state, and the laws hold.
    private func compare() throws {
        let same =
            switch (breaker.state, model.phase) {
            case (.closed, .closed), (.disabled, .disabled), (.metricsOnly, .metricsOnly), (.halfOpen, .halfOpen): true
            case (.open(let until, let earliest), .open(let expectedUntil, let expectedEarliest)):
                until.nanoseconds == expectedUntil && earliest.nanoseconds == expectedEarliest
            case (.recovering(let recovery), .recovering(let percent, let round, let healthy, let needed)):
                recovery.percent == percent && recovery.round == round && recovery.successes == healthy
                    && recovery.needed == needed
            case (.forcedOpen(let isolation), .isolated(let until)): isolation.until.nanoseconds == until
            default: false
            }
        if !same { throw Difference(what: "\(breaker.state) is not \(model.phase)") }
        try compareStatistics()
    }

    private func compareStatistics() throws {
        let found = breaker.statistics
        let pairs = [
            (found.permitted, model.permits.count), (found.rejected, model.rejected), (found.late, model.late),
            (found.successes, model.count(.success)), (found.failures, model.count(.failure)),
            (found.ignored, model.count(.ignored)), (found.expired, model.count(.expired)),
            (found.superseded, model.count(.superseded)), (breaker.callsUnderWay, model.count(.out)),
        ]
        for (index, pair) in pairs.enumerated() where pair.0 != pair.1 {
            throw Difference(what: "number \(index) of the statistics is \(pair.0), not \(pair.1)")
        }
        let accounted =
            found.successes + found.failures + found.ignored + found.expired + found.superseded + breaker.callsUnderWay
        if found.permitted != accounted { throw Difference(what: "permits are not conserved: \(found)") }
        if case .halfOpen = breaker.state, breaker.callsUnderWay > breaker.configuration.halfOpenPermits {
            throw Difference(what: "too many probes")
        }
        if let next = breaker.nextDeadline, next <= instant { throw Difference(what: "overdue at \(next)") }
        let canStick = breaker.nextDeadline == nil && breaker.rejection != nil
        if canStick { throw Difference(what: "nothing ends \(breaker.state)") }
    }
}
