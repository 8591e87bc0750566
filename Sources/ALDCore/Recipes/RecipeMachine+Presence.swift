/// A recipe that only waits would not notice that its controller is gone. So it is asked for a sign of life whenever
/// nothing else was heard of it for a while, and once more before a run is called completed.
///
/// The question is never in the way: it is left out when something is due before its answer must be there.
extension RecipeMachine {
    /// Nothing is due before `end`.
    func wait(until end: MonotonicInstant, now: MonotonicInstant) -> Action {
        // What comes at `end` may first have to be looked at, and is not to wait for this.
        let free = end - configuration.lookAhead * 2
        let due = max(nextProbe, now)
        if due + configuration.lookAhead > free { return .wait(until: end) }
        return now < due ? .wait(until: due) : .probe(by: min(now + configuration.callTimeout, free))
    }

    /// Nothing is due before somebody says so.
    func waitForWord(now: MonotonicInstant) -> Action {
        now < nextProbe ? .wait(until: nextProbe) : .probe(by: now + configuration.callTimeout)
    }

    /// Every answer is a sign of life, also one that says no.
    mutating func noteAnswer(_ event: Event, now: MonotonicInstant) {
        nextProbe = now + configuration.probeInterval
        switch event {
        case .written, .readBack, .saw, .present, .writeFailed(.refused): heardAt = now
        case .writeFailed(.unreachable), .writeFailed(.unknownOutcome), .readBackFailed, .sawNothing, .absent: break
        case .stop, .pause, .resume, .shutDown: break
        }
        guard case .absent(let reason) = event else { return }
        if now - heardAt >= configuration.longestSilence {
            fail("the controller has not answered for \(Self.seconds(now - heardAt)): \(reason)", now: now)
        }
    }

    // MARK: When it was not heard itself

    /// Whoever drives this machine asks at least once in ``Configuration/probeInterval`` and a call's time, whatever the
    /// recipe does. A much longer break means that the process stood still, stopped or suspended: a pulse may have been far
    /// too long, and another terminal may have taken the machine meanwhile. So nothing is opened any more.
    mutating func noteStandstill(now: MonotonicInstant) {
        if now - seenAt > configuration.longestStandstill {
            fail("this process stood still for \(Self.seconds(now - seenAt))", now: now)
        }
        seenAt = max(seenAt, now)
    }

    private static func seconds(_ duration: Duration) -> String { "\((duration.inSeconds * 10).rounded() / 10) s" }

    // MARK: At the end

    /// All steps have been done since then: the run is completed when the controller is still there.
    mutating func conclude(since: MonotonicInstant, now: MonotonicInstant) -> Action {
        if now - heardAt <= configuration.lookAhead * 2 {
            state = .ended(Ending(outcome: .completed))
            return next(now: now)
        }
        state = .running(.concluding(since: since))
        return now < notBefore ? .wait(until: notBefore) : .probe(by: now + configuration.callTimeout)
    }

    mutating func concluded(since: MonotonicInstant, _ event: Event, now: MonotonicInstant) {
        switch event {
        case .present: state = .ended(Ending(outcome: .completed))
        case .absent(let reason) where now >= since + configuration.patience:
            fail("all steps are done, but the controller does not answer: \(reason)", now: now)
        case .absent: notBefore = now + configuration.retryInterval
        default: break
        }
    }
}
