extension RecipeMachine {
    // MARK: What to do

    /// `nil`: the recipe has gone on.
    mutating func run(_ phase: Phase, now: MonotonicInstant) -> Action? {
        switch phase {
        case .beginning: return begin(now: now)
        case .looking(let pulse): return look(before: pulse, now: now)
        case .opening(var pulse):
            if now < notBefore { return .wait(until: notBefore) }
            if !isClear(pulse.valve, now: now) {
                state = .running(.looking(pulse))
                return look(before: pulse, now: now)
            }
            clearance = nil
            pulse.openedAt = now
            maybeOpen[pulse.valve] = maybeOpen[pulse.valve] ?? now
            state = .running(.opening(pulse))
            return .write(SetPoint(pulse.valve, 1), by: now + configuration.callTimeout)
        case .doubtfullyOpen(let pulse):
            return .readBack(pulse.valve, by: now + configuration.callTimeout)
        case .open(let pulse):
            if now < pulse.closesAt { return wait(until: pulse.closesAt, now: now) }
            notBefore = now
            return close(pulse, now: now)
        case .closing(let pulse): return close(pulse, now: now)
        case .settingFlow(let point, _, _), .setting(let point, _, _):
            if now < notBefore { return .wait(until: notBefore) }
            askedAt = now
            return .write(point, by: now + configuration.callTimeout)
        case .findingStart(let ramp):
            if now < notBefore { return .wait(until: notBefore) }
            return .readBack(ramp.target.parameter, by: now + configuration.callTimeout)
        case .ramping(let ramp): return goOn(ramp, now: now)
        case .concluding: return conclude(now: now)
        case .verifying(let point, _, _):
            if now < notBefore { return .wait(until: notBefore) }
            return .readBack(point.parameter, by: now + configuration.callTimeout)
        case .lasting(let end):
            if now < end {
                return wantsPause ? pause(remaining: end - now, now: now) : lookAhead(until: end, now: now)
            }
            noteEnd(now: now)
            self.end(at: end)
            return nil
        }
    }

    /// Begins the step under the cursor when its time has come.
    private mutating func begin(now: MonotonicInstant) -> Action? {
        guard let step = cursor.step else {
            return conclude(now: now)
        }
        if wantsPause { return pause(remaining: nil, now: now) }
        if now < anchor { return .wait(until: anchor) }
        noteBegin(step, now: now)
        notBefore = now
        switch step.kind {
        case .valve(let valve, let programmed):
            state = .running(.opening(Pulse(valve: valve, programmed: programmed, since: now)))
        case .purge(_, let duration, nil), .wait(let duration):
            state = .running(.lasting(until: anchor + duration))
        case .purge(_, let duration, let flow?):
            state = .running(.settingFlow(flow, since: now, duration: duration))
        case .parameter(let point, nil, let hold):
            state = .running(.setting(point, since: now, hold: hold))
        case .parameter(let point, let slope?, let hold):
            state = .running(.findingStart(Ramp(target: point, slope: slope, hold: hold, since: now)))
        case .loop:
            // The cursor never stands on a loop.
            fail("step \(step.id) is a loop where none can be", now: now)
        }
        return nil
    }

    /// A pulse and a ramp are finished first; whoever waits, holds or purges does so for longer.
    private mutating func pause(remaining: Duration?, now: MonotonicInstant) -> Action {
        records.append(.paused(at: now))
        state = .paused(remaining: remaining)
        return waitForWord(now: now)
    }

    private mutating func close(_ pulse: Pulse, now: MonotonicInstant) -> Action {
        if now < notBefore { return .wait(until: notBefore) }
        askedAt = now
        state = .running(.closing(pulse))
        return .write(SetPoint(pulse.valve, 0), by: now + configuration.callTimeout)
    }

    private mutating func goOn(_ ramp: Ramp, now: MonotonicInstant) -> Action? {
        if now >= ramp.arrivesAt {
            state = .running(.setting(ramp.target, since: now, hold: ramp.hold))
            return nil
        }
        let due = ramp.since + .nanoseconds(configuration.rampInterval.wholeNanoseconds * Int64(ramp.written))
        // What is late is left out: the next set point is the one that is due now.
        if now < due { return .wait(until: min(due, ramp.arrivesAt)) }
        askedAt = now
        return .write(
            SetPoint(ramp.target.parameter, ramp.value(at: now)), by: now + configuration.callTimeout)
    }

    /// The step is done; the next one begins at `instant`.
    private mutating func end(at instant: MonotonicInstant) {
        cursor.advance()
        hasLookedAhead = false
        anchor = instant
        state = .running(.beginning)
    }

    // MARK: What came of it

    mutating func ended(_ event: Event, in phase: Phase, now: MonotonicInstant) {
        switch phase {
        case .opening(let pulse): opened(pulse, event, now: now)
        case .looking(let pulse): looked(before: pulse, event, now: now)
        case .doubtfullyOpen(let pulse): looked(at: pulse, event, now: now)
        case .closing(let pulse): closed(pulse, event, now: now)
        case .settingFlow(let point, let since, let duration):
            guard wrote(point, event, since: since, now: now) else { return }
            // The purge begins when its flow is set, unless that took no time worth speaking of.
            let late = now - anchor > configuration.settling
            state = .running(.lasting(until: (late ? now : anchor) + duration))
        case .setting(let point, let since, let hold):
            switch event {
            case .writeFailed(.unknownOutcome(let reason)):
                records.append(.trouble(point, reason: reason, at: now))
                state = .running(.verifying(point, since: now, hold: hold))
            default:
                guard wrote(point, event, since: since, now: now) else { return }
                state = .running(.verifying(point, since: now, hold: hold))
            }
        case .verifying(let point, let since, let hold): verified(point, since: since, hold: hold, event, now: now)
        case .findingStart(let ramp): found(ramp, event, now: now)
        case .ramping(let ramp): stepped(ramp, event, now: now)
        case .lasting: lookedAhead(event, now: now)
        case .concluding: concluded(event, now: now)
        case .beginning, .open: break
        }
    }

    private mutating func opened(_ pulse: Pulse, _ event: Event, now: MonotonicInstant) {
        switch event {
        case .written: state = .running(.open(pulse))
        case .writeFailed(.unknownOutcome(let reason)):
            records.append(.trouble(SetPoint(pulse.valve, 1), reason: reason, at: now))
            state = .running(.doubtfullyOpen(pulse))
        case .writeFailed(.unreachable(let reason)) where now < pulse.since + configuration.patience:
            retry(SetPoint(pulse.valve, 1), reason, now: now)
        case .writeFailed(let failure):
            fail("valve \(pulse.valve) could not be opened: \(failure.reason)", now: now)
        default: break
        }
    }

    /// An ambiguous write is never repeated: either the valve is open, and the pulse goes on, or the recipe fails.
    private mutating func looked(at pulse: Pulse, _ event: Event, now: MonotonicInstant) {
        switch event {
        case .readBack(let value) where value != 0: state = .running(.open(pulse))
        case .readBack:
            fail("nobody knows whether valve \(pulse.valve) was open: it was asked to, and is not", now: now)
        case .readBackFailed(let reason):
            fail("nobody knows whether valve \(pulse.valve) was opened: \(reason)", now: now)
        default: break
        }
    }

    private mutating func closed(_ pulse: Pulse, _ event: Event, now: MonotonicInstant) {
        switch event {
        case .written:
            maybeOpen[pulse.valve] = nil
            records.append(
                .pulse(
                    pulse.valve, programmed: pulse.programmed, opened: pulse.openedAt ?? pulse.since, closed: askedAt,
                    confirmed: now))
            // Closed it is; but what it has let in is not what the recipe says.
            if askedAt - pulse.closesAt > configuration.longestOverrun {
                let overrun = Self.seconds(askedAt - pulse.closesAt)
                return fail("valve \(pulse.valve) was open for \(overrun) longer than programmed", now: now)
            }
            noteEnd(now: now)
            end(at: now - pulse.closesAt > configuration.settling ? now : pulse.closesAt)
        case .writeFailed(let failure) where now < pulse.closesAt + configuration.patience:
            // To close what is closed does no harm, so a doubt is a reason to repeat it.
            retry(SetPoint(pulse.valve, 0), failure.reason, now: now)
        case .writeFailed(let failure):
            fail("valve \(pulse.valve) could not be closed in time: \(failure.reason)", now: now)
        default: break
        }
    }

    /// - Returns: whether the write has succeeded; otherwise it is tried again, or the recipe has failed.
    private mutating func wrote(
        _ point: SetPoint, _ event: Event, since: MonotonicInstant, now: MonotonicInstant
    ) -> Bool {
        switch event {
        case .written:
            records.append(.set(point, asked: askedAt, confirmed: now))
            return true
        case .writeFailed(.unreachable(let reason)) where now < since + configuration.patience:
            retry(point, reason, now: now)
        case .writeFailed(let failure):
            fail("parameter \(point.parameter) could not be set to \(point.value): \(failure.reason)", now: now)
        default: break
        }
        return false
    }

    private mutating func verified(
        _ point: SetPoint, since: MonotonicInstant, hold: Duration, _ event: Event, now: MonotonicInstant
    ) {
        let isTimeUp = now >= since + configuration.patience
        switch event {
        case .readBack(let actual):
            // Not "greater": what is no number never agrees.
            let agrees = abs(actual - point.value) <= tolerance(of: point)
            if !agrees, !isTimeUp {
                notBefore = now + configuration.retryInterval
                return
            }
            records.append(.verified(point, actual: actual, at: now))
            guard agrees else {
                return fail(
                    "parameter \(point.parameter) was set to \(point.value) and reads back as \(actual)", now: now)
            }
            let late = now - max(anchor, askedAt) > configuration.settling
            state = .running(.lasting(until: (late ? now : askedAt) + hold))
        case .readBackFailed(let reason) where !isTimeUp: retry(point, reason, now: now)
        case .readBackFailed(let reason):
            fail("parameter \(point.parameter) could not be read back: \(reason)", now: now)
        default: break
        }
    }

    private mutating func found(_ ramp: Ramp, _ event: Event, now: MonotonicInstant) {
        switch event {
        case .readBack(let value):
            // A register that was never set, or with its words in another order, holds any number, or none.
            guard abs(ramp.target.value - value) / ramp.slope <= RecipeRules.maximumDuration.inSeconds else {
                return fail(
                    "parameter \(ramp.target.parameter) reads as \(value), and no ramp of this slope can begin there",
                    now: now)
            }
            var ramp = ramp
            (ramp.start, ramp.since) = (value, now)
            state = .running(.ramping(ramp))
        case .readBackFailed(let reason) where now < ramp.since + configuration.patience:
            retry(ramp.target, reason, now: now)
        case .readBackFailed(let reason):
            fail("where parameter \(ramp.target.parameter) is could not be read: \(reason)", now: now)
        default: break
        }
    }

    private mutating func stepped(_ ramp: Ramp, _ event: Event, now: MonotonicInstant) {
        var ramp = ramp
        ramp.written = Int((askedAt - ramp.since).wholeNanoseconds / configuration.rampInterval.wholeNanoseconds) + 1
        state = .running(.ramping(ramp))
        switch event {
        case .written: break
        // The next set point says where to be, whether this one came through or not.
        case .writeFailed(.unreachable(let reason)), .writeFailed(.unknownOutcome(let reason)):
            records.append(.trouble(SetPoint(ramp.target.parameter, ramp.value(at: askedAt)), reason: reason, at: now))
            rampTrouble += 1
            if rampTrouble > Self.rampPatience {
                fail("the ramp of parameter \(ramp.target.parameter) does not get through: \(reason)", now: now)
            }
            return
        case .writeFailed(.refused(let reason)):
            fail("parameter \(ramp.target.parameter) could not be ramped: \(reason)", now: now)
        default: break
        }
        rampTrouble = 0
    }

    private func tolerance(of point: SetPoint) -> Double {
        max(configuration.tolerances[point.parameter] ?? 0, abs(point.value) * 1e-6)
    }

    mutating func retry(_ point: SetPoint, _ reason: String, now: MonotonicInstant) {
        records.append(.trouble(point, reason: reason, at: now))
        notBefore = now + configuration.retryInterval
    }

    mutating func fail(_ reason: String, now: MonotonicInstant) {
        stopsBecause = stopsBecause ?? .failed(reason)
    }
}
