extension RecipeMachine {
    /// Leaves the recipe when something or somebody has asked for it: valves are closed first, then comes the rest of the
    /// safe state. A safe value may be written again without harm, so here, and only here, a write whose outcome is not
    /// known is repeated.
    mutating func beginSecuringIfDue(now: MonotonicInstant) {
        guard let outcome = stopsBecause else { return }
        switch state {
        case .running, .paused: break
        case .securing, .ended: return
        }
        let reason =
            switch outcome {
            case .completed: ""
            case .aborted(let reason), .failed(let reason): reason
            }
        noteBreak(reason, now: now)
        // The one that has been open for longest first.
        let valves = maybeOpen.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.map { SetPoint($0.key, 0) }
        let others = interlocks.safeState.filter { !valves.contains($0) }
        state = .securing(Securing(outcome: outcome, remaining: valves + others, notBefore: now))
    }

    mutating func secure(_ securing: Securing, now: MonotonicInstant) -> Action {
        if securing.remaining.isEmpty { return finish(Ending(outcome: securing.outcome)) }
        if let shutdown, now >= shutdown {
            return finish(Ending(outcome: securing.outcome, unsecured: securing.remaining))
        }
        if now < securing.notBefore { return .wait(until: min(securing.notBefore, shutdown ?? securing.notBefore)) }
        var securing = securing
        // A safe state that opens a valve waits until what that one excludes is closed, and what the recipe opened of it.
        let mayBeDone = securing.remaining.firstIndex { point in
            point.value == 0
                || interlocks.excluded(by: point.parameter).union([point.parameter]).isDisjoint(with: maybeOpen.keys)
        }
        if let mayBeDone { securing.remaining.swapAt(0, mayBeDone) }
        state = .securing(securing)
        let deadline = now + configuration.callTimeout
        return .write(securing.remaining[0], by: min(deadline, shutdown ?? deadline))
    }

    private mutating func finish(_ ending: Ending) -> Action {
        state = .ended(ending)
        return .finish(ending)
    }

    mutating func ended(_ event: Event, in securing: Securing, now: MonotonicInstant) {
        var securing = securing
        guard let point = securing.remaining.first else { return }
        switch event {
        case .written:
            securing.remaining.removeFirst()
            maybeOpen[point.parameter] = nil
            records.append(.secured(point, at: now))
        case .writeFailed(let failure):
            securing.remaining.append(securing.remaining.removeFirst())
            securing.failures += 1
            // One line per output and reason, however long it takes.
            if securing.lastFailure != failure.reason {
                records.append(.trouble(point, reason: failure.reason, at: now))
                securing.lastFailure = failure.reason
            }
            if securing.failures % securing.remaining.count == 0 {
                let rounds = securing.failures / securing.remaining.count
                let (shortest, longest) = (
                    configuration.securingInterval.lowerBound, configuration.securingInterval.upperBound
                )
                securing.notBefore = now + min(longest, shortest * (1 << min(rounds - 1, 16)))
            }
        default: break
        }
        state = .securing(securing)
    }
}
