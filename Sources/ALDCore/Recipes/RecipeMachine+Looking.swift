/// No valve is opened while one is open that it excludes, whoever opened that: a command that had begun before, another
/// program, somebody at the panel.
extension RecipeMachine {
    /// Whether it is known, from so short a time ago that it still holds, that nothing is open that excludes this valve.
    func isClear(_ valve: ParameterID, now: MonotonicInstant) -> Bool {
        if interlocks.excluded(by: valve).isEmpty { return true }
        guard let clearance, clearance.valve == valve else { return false }
        return now - clearance.at <= configuration.lookAhead * 2
    }

    func look(before pulse: Pulse, now: MonotonicInstant) -> Action {
        .look(at: interlocks.excluded(by: pulse.valve), by: now + configuration.callTimeout)
    }

    mutating func looked(before pulse: Pulse, _ event: Event, now: MonotonicInstant) {
        let excluded = interlocks.excluded(by: pulse.valve)
        switch event {
        case .saw(let values):
            if let open = excluded.sorted().first(where: { values[$0].map { $0 != 0 } ?? false }) {
                fail("valve \(pulse.valve) is not opened: valve \(open) is open, and they exclude each other", now: now)
            } else if let unread = excluded.sorted().first(where: { values[$0] == nil }) {
                sawNothing("parameter \(unread) has no answer", pulse, now: now)
            } else {
                clearance = (pulse.valve, now)
                state = .running(.opening(pulse))
            }
        case .sawNothing(let reason): sawNothing(reason, pulse, now: now)
        default: break
        }
    }

    private mutating func sawNothing(_ reason: String, _ pulse: Pulse, now: MonotonicInstant) {
        guard now < pulse.since + configuration.patience else {
            return fail("valve \(pulse.valve) is not opened: what it excludes cannot be read: \(reason)", now: now)
        }
        retry(SetPoint(pulse.valve, 1), reason, now: now)
        state = .running(.opening(pulse))
    }

    // MARK: While the step before still lasts

    /// Looks once for the step behind this one, so that the look takes no time of its own.
    mutating func lookAhead(until end: MonotonicInstant, now: MonotonicInstant) -> Action {
        if isQuietBehind { return waitWithoutHurry(until: end, now: now) }
        guard !hasLookedAhead, let valve = valveBehind else { return wait(until: end, now: now) }
        let excluded = interlocks.excluded(by: valve)
        if excluded.isEmpty { return wait(until: end, now: now) }
        let due = end - configuration.lookAhead
        if now < due { return wait(until: due, now: now) }
        hasLookedAhead = true
        return .look(at: excluded, by: now + configuration.callTimeout)
    }

    /// The valve that the step behind the one under the cursor opens.
    private var valveBehind: ParameterID? {
        if case .valve(let valve, _)? = stepBehind?.kind { return valve }
        return nil
    }

    /// The step behind the one under the cursor.
    var stepBehind: RecipeStep? {
        var behind = cursor
        behind.advance()
        return behind.step
    }

    /// Only good news counts: everything else is looked at again when the time has come.
    mutating func lookedAhead(_ event: Event, now: MonotonicInstant) {
        guard case .saw(let values) = event, let valve = valveBehind else { return }
        if interlocks.excluded(by: valve).allSatisfy({ values[$0] == 0 }) { clearance = (valve, now) }
    }
}
