/// What is decided outside: by an operator, or by somebody who saw that the peer lives.
extension CircuitBreaker {
    /// Something else showed that the peer is back (a connection came up, a heartbeat arrived): probe now, instead of
    /// waiting for the open time to end. Never sooner than the shortest open time after opening, nor than what an
    /// immediate failure asked for, so that a peer that accepts and then fails is not hammered.
    public mutating func evidenceOfHealth(now: MonotonicInstant) {
        guard case .open(let until, let earliest) = state, earliest < until else { return }
        if earliest <= now {
            change(to: .halfOpen(successes: 0), because: .evidenceOfHealth, now: now)
        } else {
            state = .open(until: earliest, earliest: earliest)
        }
    }

    /// Rejects everything, whatever the peer does, for `timeToLive` or until ``resume(by:now:)``.
    public mutating func isolate(by owner: String, reason: String, timeToLive: Duration, now: MonotonicInstant) {
        let isolation = Isolation(owner: owner, reason: reason, until: now + timeToLive)
        change(to: .forcedOpen(isolation), because: .command(by: owner), now: now)
    }

    /// Lets everything through and judges nothing.
    public mutating func disable(by owner: String, now: MonotonicInstant) {
        change(to: .disabled, because: .command(by: owner), now: now)
    }

    /// Lets everything through, and reports when it would have opened.
    public mutating func onlyMeasure(by owner: String, now: MonotonicInstant) {
        change(to: .metricsOnly, because: .command(by: owner), now: now)
    }

    /// Ends whatever keeps calls away: open and forced open become half-open at once, disabled and metricsOnly closed.
    /// Nothing happens in the other states.
    public mutating func resume(by owner: String, now: MonotonicInstant) {
        switch state {
        case .open, .forcedOpen: change(to: .halfOpen(successes: 0), because: .command(by: owner), now: now)
        case .disabled, .metricsOnly: change(to: .closed, because: .command(by: owner), now: now)
        case .closed, .halfOpen, .recovering: break
        }
    }
}
