extension CircuitBreaker {
    /// What outlives a process, so that one that crashes and starts again does not hammer a sick peer. Durations, not
    /// instants: the clock of the next process starts elsewhere.
    public struct Snapshot: Hashable, Sendable, Codable {
        var state: StateName
        /// Until an open or forced open state ends.
        var remaining: Duration = .zero
        /// Until evidence of health may end it.
        var earliest: Duration = .zero
        var lastOpenTime: Duration?
        var consecutiveFailures = 0
        var owner = ""
        var reason = ""
        var baseline = DurationBaseline()
    }

    /// To be kept after every change of state.
    public func snapshot(now: MonotonicInstant) -> Snapshot {
        var snapshot = Snapshot(state: state.name)
        snapshot.lastOpenTime = openTime.previous
        snapshot.consecutiveFailures = consecutiveFailures
        snapshot.baseline = baseline
        switch state {
        case .open(let until, let earliest):
            snapshot.remaining = until - now
            snapshot.earliest = earliest - now
        case .forcedOpen(let isolation):
            snapshot.remaining = isolation.until - now
            snapshot.owner = isolation.owner
            snapshot.reason = isolation.reason
        case .closed, .halfOpen, .recovering, .disabled, .metricsOnly: break
        }
        return snapshot
    }

    /// A breaker that goes on where another process left off. What was open stays open for what is left; a process
    /// that died while probing waits once more, longer, before it probes again; the ramp starts at its foot.
    ///
    /// - Parameters:
    ///   - elapsed: time since the snapshot by the wall clock; taken as none if negative, because clocks are set back.
    ///   - chance: drawn from 0..<1; decides how long it stays open, should it have to.
    /// - Throws: ``ConfigurationProblems`` for a wrong configuration and for a snapshot that cannot be.
    public init(
        _ configuration: Configuration, restoring snapshot: Snapshot, elapsed: Duration, now: MonotonicInstant,
        chance: Double
    ) throws {
        try self.init(configuration)
        if let problems = ConfigurationProblems(snapshot.problems) { throw problems }
        let start = now - max(elapsed, .zero)
        openTime.resume(from: snapshot.lastOpenTime)
        consecutiveFailures = snapshot.consecutiveFailures
        baseline = snapshot.baseline
        switch snapshot.state {
        case .closed: closedSince = now
        case .open: state = .open(until: start + snapshot.remaining, earliest: start + snapshot.earliest)
        case .halfOpen:
            let earliest = now + configuration.openTime.base
            state = .open(until: max(now + openTime.next(chance: chance), earliest), earliest: earliest)
        case .recovering:
            let ramp = configuration.ramp ?? Ramp()
            state = .recovering(Recovery(percent: ramp.start, needed: ramp.successes))
        case .forcedOpen:
            let until = start + snapshot.remaining
            state = .forcedOpen(Isolation(owner: snapshot.owner, reason: snapshot.reason, until: until))
        case .disabled: state = .disabled
        case .metricsOnly: state = .metricsOnly
        }
    }
}

extension CircuitBreaker.Snapshot {
    var problems: [String] {
        let isBaselineValid = baseline.average >= 0 && baseline.deviation >= 0 && baseline.percentile95.isFinite
        let checks = [
            (isBaselineValid && baseline.count >= 0, "baseline"), (consecutiveFailures >= 0, "consecutiveFailures"),
            (lastOpenTime.map { $0 > .zero } ?? true, "lastOpenTime"),
        ]
        return checks.filter { !$0.0 }.map {
            "the kept state of the circuit breaker has an impossible \($0.1); delete it to start with a closed breaker"
        }
    }
}
