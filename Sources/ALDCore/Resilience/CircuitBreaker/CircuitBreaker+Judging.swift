extension CircuitBreaker {
    /// What one result means in this state.
    ///
    /// - Parameter took: seconds.
    mutating func judge(
        _ outcome: Outcome, took: Double, round: Int, now: MonotonicInstant,
        chance: Double
    ) {
        if state == .disabled { return }
        let slow = outcome == .success ? learn(took) : nil
        switch state {
        case .closed, .metricsOnly:
            guard let trip = trip(outcome, slow: slow, now: now) else { return }
            open(because: trip, atLeast: outcome.atLeast, now: now, chance: chance)
        case .halfOpen(let successes):
            guard outcome == .success else {
                let cause: Cause = outcome == .failure ? .probeFailed : .immediateFailure
                return open(because: cause, atLeast: outcome.atLeast, now: now, chance: chance)
            }
            probeSucceeded(successes + 1, now: now)
        case .recovering(let recovery):
            switch outcome {
            case .success where round == recovery.round && slow != true: stepUp(recovery, now: now)
            case .success, .ignored: break
            case .failure where round != recovery.round: break
            case .failure: stepBack(recovery, now: now, chance: chance)
            case .immediateFailure:
                open(because: .immediateFailure, atLeast: outcome.atLeast, now: now, chance: chance)
            }
        case .open, .forcedOpen, .disabled:
            // Their permits are void from the first moment: nothing is under way in them.
            break
        }
    }

    /// Takes a duration into account.
    ///
    /// - Returns: whether it was slow; `nil` while nothing usual is known, or slow calls do not matter.
    private mutating func learn(_ seconds: Double) -> Bool? {
        guard let rule = configuration.slowCalls else { return nil }
        let threshold = baseline.threshold(rule, floor: slowFloor)
        guard let threshold, seconds > threshold else {
            baseline.learn(seconds)
            return threshold == nil ? nil : false
        }
        baseline.learnSlow(threshold: threshold)
        statistics.slow += 1
        return true
    }

    /// Records a result and says why the breaker should open now.
    private mutating func trip(_ outcome: Outcome, slow: Bool?, now: MonotonicInstant) -> Cause? {
        window.record(OutcomeWindow.Sample(failed: outcome != .success, slow: slow), now: now)
        if outcome == .success {
            consecutiveFailures = 0
            lastSuccess = now
        } else {
            consecutiveFailures += 1
        }
        if case .immediateFailure = outcome { return .immediateFailure }
        if let limit = configuration.consecutiveFailures, consecutiveFailures >= limit {
            return .consecutiveFailures(consecutiveFailures)
        }
        if outcome != .success, let rate = window.failureRate(minimum: configuration.minimumCalls),
            rate >= configuration.failureRate
        {
            return .failureRate(rate)
        }
        if slow == true, let rule = configuration.slowCalls,
            let rate = window.slowCallRate(minimum: rule.minimumCalls), rate >= rule.rate
        {
            return .slowCallRate(rate)
        }
        return nil
    }

    private mutating func open(
        because cause: Cause, atLeast: Duration, now: MonotonicInstant, chance: Double
    ) {
        if state == .metricsOnly {
            report(.wouldHaveOpened(cause: cause, at: now))
            window.reset()
            consecutiveFailures = 0
            return
        }
        if let closedSince, let lastSuccess, lastSuccess - closedSince >= configuration.sustainedHealth {
            openTime.reset()
        }
        let earliest = now + max(configuration.openTime.base, atLeast)
        let until = max(now + openTime.next(chance: chance), earliest)
        change(to: .open(until: until, earliest: earliest), because: cause, now: now)
    }

    private mutating func probeSucceeded(_ successes: Int, now: MonotonicInstant) {
        guard successes >= configuration.halfOpenSuccesses else {
            state = .halfOpen(successes: successes)
            return
        }
        if let ramp = configuration.ramp {
            change(
                to: .recovering(Recovery(percent: ramp.start, needed: ramp.successes)), because: .probesSucceeded,
                now: now)
        } else {
            change(to: .closed, because: .probesSucceeded, now: now)
        }
    }

    /// One step more after enough healthy calls.
    private mutating func stepUp(_ recovery: Recovery, now: MonotonicInstant) {
        var recovery = recovery
        recovery.successes += 1
        guard recovery.successes >= recovery.needed else {
            state = .recovering(recovery)
            return
        }
        recovery.successes = 0
        recovery.needed = neededForStep
        recovery.percent += configuration.ramp?.step ?? 100
        guard recovery.percent < 100 else { return change(to: .closed, because: .rampCompleted, now: now) }
        state = .recovering(recovery)
        report(.rampMoved(percent: recovery.percent, at: now))
    }

    private var neededForStep: Int { max(configuration.ramp?.successes ?? 1, leases.count) }

    /// Half of it, once for all calls that failed together; on the lowest step it opens.
    private mutating func stepBack(
        _ recovery: Recovery, now: MonotonicInstant, chance: Double
    ) {
        let start = configuration.ramp?.start ?? 100
        guard recovery.percent > start else {
            return open(because: .rampFailed, atLeast: .zero, now: now, chance: chance)
        }
        let percent = max(start, recovery.percent / 2)
        state = .recovering(Recovery(percent: percent, needed: neededForStep, round: recovery.round + 1))
        report(.rampMoved(percent: percent, at: now))
    }
}

extension CircuitBreaker.Outcome {
    var atLeast: Duration {
        if case .immediateFailure(let atLeast) = self { atLeast } else { .zero }
    }
}
