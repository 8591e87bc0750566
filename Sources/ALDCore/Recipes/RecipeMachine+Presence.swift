/// A recipe that only waits would not notice that its controller is gone. So it is asked for a sign of life whenever
/// nothing was confirmed by it for a while, and once more before a run is called completed.
///
/// The question is left out when something is to be written before its answer must be there: no output waits for it, nor
/// for a device that is busy with it.
extension RecipeMachine {
    /// Nothing is due before `end`, and then a valve is to be closed or opened, or something is to be set.
    func wait(until end: MonotonicInstant, now: MonotonicInstant) -> Action {
        let due = max(nextProbe, now)
        // What comes at `end` may first have to be looked at.
        if due + configuration.callTimeout > end - configuration.lookAhead * 2 { return .wait(until: end) }
        return waitForWord(now: now)
    }

    /// Nothing is due before `end`, nor is anything written then.
    func waitWithoutHurry(until end: MonotonicInstant, now: MonotonicInstant) -> Action {
        max(nextProbe, now) >= end ? .wait(until: end) : waitForWord(now: now)
    }

    /// Nothing is due before somebody says so.
    func waitForWord(now: MonotonicInstant) -> Action {
        now < nextProbe ? .wait(until: nextProbe) : .probe(by: now + configuration.callTimeout)
    }

    /// Whether the step behind the one under the cursor begins without a write.
    var isQuietBehind: Bool {
        switch stepBehind?.kind {
        case .wait, .purge(_, _, nil), nil: return true
        case .valve, .purge, .parameter, .loop: return false
        }
    }

    /// What the controller has confirmed, or said no to when it was to write, is a sign of life.
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

    /// Whoever drives this machine asks it at least as often as ``Configuration/validate()`` makes sure. A much longer break
    /// means that the process stood still, stopped or suspended: a pulse may have been far too long, and another terminal
    /// may have taken the machine meanwhile. So the recipe goes no further.
    mutating func noteStandstill(now: MonotonicInstant) {
        if now - seenAt > configuration.longestStandstill {
            fail("this process stood still for \(Self.seconds(now - seenAt))", now: now)
        }
        seenAt = max(seenAt, now)
    }

    static func seconds(_ duration: Duration) -> String { "\((duration.inSeconds * 10).rounded() / 10) s" }

    // MARK: At the end

    /// All steps have been done: the run is completed when the controller is still there.
    mutating func conclude(now: MonotonicInstant) -> Action? {
        if now - heardAt <= configuration.lookAhead * 2 {
            state = .ended(Ending(outcome: .completed))
            return nil
        }
        state = .running(.concluding)
        return now < notBefore ? .wait(until: notBefore) : .probe(by: now + configuration.callTimeout)
    }

    /// Without an answer it is asked again, until the silence is too long.
    mutating func concluded(_ event: Event, now: MonotonicInstant) {
        switch event {
        case .present: state = .ended(Ending(outcome: .completed))
        case .absent: notBefore = now + configuration.retryInterval
        default: break
        }
    }
}
