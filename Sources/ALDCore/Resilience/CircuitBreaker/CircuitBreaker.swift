/// Stops calling a peer that fails, and finds out carefully when it is back. A value that decides: time and chance
/// are arguments, and what happened comes out as ``Event`` values.
///
/// ```swift
/// switch breaker.acquire(now: now, chance: chance) {
/// case .permitted(let permit): // make the call, then, whatever became of it:
///     breaker.complete(permit, .success, now: later, chance: chance)
/// case .rejected(let rejection): // spool, fall back, or tell the caller why
/// }
/// ```
///
/// Permits are leases: one that never comes back is taken for a failed call when its time is over, so half-open
/// cannot stick. Every change of state makes the permits of before void; their late results are counted, not judged.
/// It uses the words of resilience4j.
public struct CircuitBreaker: Sendable {
    /// Events kept until somebody takes them; beyond, the oldest is dropped and counted.
    public static let maximumPendingEvents = 64

    public let configuration: Configuration
    public internal(set) var state: State = .closed
    public internal(set) var statistics = Statistics()
    var leases = LeaseTable()
    var window: OutcomeWindow
    var baseline = DurationBaseline()
    var openTime: Backoff
    var consecutiveFailures = 0
    /// Since when it is closed, and the last success since.
    var closedSince: MonotonicInstant?
    var lastSuccess: MonotonicInstant?
    private var events: [Event] = []
    /// Of the configuration, converted once: dividing a `Duration` takes longer than all the rest of a call.
    private let usualLease: Int64
    let slowFloor: Double

    /// - Throws: ``ConfigurationProblems`` with everything that is wrong with the configuration.
    public init(_ configuration: Configuration = Configuration()) throws {
        try configuration.validate()
        self.init(valid: configuration)
    }

    /// A breaker with the default settings.
    public static var standard: CircuitBreaker { CircuitBreaker(valid: Configuration()) }

    init(valid configuration: Configuration) {
        self.configuration = configuration
        window = OutcomeWindow(count: configuration.countWindow, time: configuration.timeWindow)
        openTime = Backoff(configuration.openTime)
        usualLease = configuration.lease.wholeNanoseconds
        slowFloor = configuration.slowCalls?.floor.inSeconds ?? 0
    }

    /// How many calls hold a permit.
    public var callsUnderWay: Int { leases.count }

    /// The share of the full load that should be offered, 0 to 1: batch sizes and rates scale with it.
    public var allowance: Double {
        switch state {
        case .closed, .disabled, .metricsOnly: 1
        case .open, .forcedOpen: 0
        case .halfOpen: Double(configuration.ramp?.start ?? 100) / 100
        case .recovering(let recovery): Double(recovery.percent) / 100
        }
    }

    /// When ``advance(now:chance:)`` has something to do, unless something else happens before; `nil` if never.
    public var nextDeadline: MonotonicInstant? {
        switch state {
        case .open(let until, _): until
        case .forcedOpen(let isolation): isolation.until
        case .closed, .halfOpen, .recovering, .disabled, .metricsOnly: leases.count == 0 ? nil : leases.earliest
        }
    }

    /// What happened since the last time, oldest first.
    public mutating func takeEvents() -> [Event] {
        defer { events.removeAll() }
        return events
    }

    public var hasEvents: Bool { !events.isEmpty }

    /// May a call be made now?
    ///
    /// - Parameters:
    ///   - lease: how long the call may take until it counts as failed; the configured lease if `nil`.
    ///   - chance: drawn from 0..<1; decides how long it stays open, should it open now.
    public mutating func acquire(
        lease: Duration? = nil, now: MonotonicInstant, chance: Double
    ) -> Admission {
        advance(now: now, chance: chance)
        if let rejection {
            statistics.rejected += 1
            return .rejected(rejection)
        }
        statistics.permitted += 1
        let round = if case .recovering(let recovery) = state { recovery.round } else { 0 }
        let deadline = lease.map { now + max($0, .nanoseconds(1)) } ?? now.after(nanoseconds: usualLease)
        return .permitted(leases.insert(start: now, deadline: deadline, round: round))
    }

    /// Why a call would be rejected in this state; `nil` when it would be permitted.
    public var rejection: Rejection? {
        switch state {
        case .open(let until, _): return .open(until: until)
        case .forcedOpen(let isolation): return .isolated(isolation)
        case .halfOpen(let successes):
            let missing = configuration.halfOpenSuccesses - successes
            return leases.count < min(configuration.halfOpenPermits, missing) ? nil : .probing
        case .recovering(let recovery):
            return leases.count < concurrency(recovery.percent) ? nil : .ramping(percent: recovery.percent)
        case .closed, .disabled, .metricsOnly:
            return leases.count < configuration.maximumConcurrentCalls ? nil : .tooManyCalls
        }
    }

    func concurrency(_ percent: Int) -> Int {
        max(1, configuration.maximumConcurrentCalls * percent / 100)
    }

    /// A call has ended. To be called once for each permit.
    ///
    /// - Parameter chance: drawn from 0..<1; decides how long it stays open, should it open now.
    /// - Returns: whether it counted; `false` for a result that came too late.
    @discardableResult
    public mutating func complete(
        _ permit: Permit, _ outcome: Outcome, now: MonotonicInstant, chance: Double
    ) -> Bool {
        advance(now: now, chance: chance)
        guard let lease = leases.remove(permit) else {
            statistics.late += 1
            return false
        }
        switch outcome {
        case .success: statistics.successes += 1
        case .failure, .immediateFailure: statistics.failures += 1
        case .ignored:
            statistics.ignored += 1
            return true
        }
        judge(outcome, took: now.seconds(since: permit.start), round: lease.round, now: now, chance: chance)
        return true
    }

    /// Time has passed: leases, open time and isolation end. ``acquire(lease:now:chance:)`` does the same by itself; a
    /// driver with a timer calls this at ``nextDeadline``.
    public mutating func advance(now: MonotonicInstant, chance: Double) {
        switch state {
        case .open(let until, _):
            if until <= now { change(to: .halfOpen(successes: 0), because: .openTimeOver, now: now) }
        case .forcedOpen(let isolation):
            if isolation.until <= now { change(to: .halfOpen(successes: 0), because: .isolationOver, now: now) }
        case .closed, .halfOpen, .recovering, .disabled, .metricsOnly:
            for lease in leases.removeExpired(now: now) {
                statistics.expired += 1
                report(.leaseExpired(at: now))
                judge(.failure, took: 0, round: lease.round, now: now, chance: chance)
            }
        }
    }

    mutating func change(to next: State, because cause: Cause, now: MonotonicInstant) {
        report(.stateChanged(from: state.name, to: next.name, cause: cause, at: now))
        statistics.superseded += leases.count
        leases.removeAll()
        window.reset()
        consecutiveFailures = 0
        closedSince = next == .closed ? now : nil
        lastSuccess = nil
        state = next
    }

    mutating func report(_ event: Event) {
        if events.count == Self.maximumPendingEvents {
            events.removeFirst()
            statistics.droppedEvents += 1
        }
        events.append(event)
    }
}

extension MonotonicInstant {
    fileprivate func after(nanoseconds: Int64) -> MonotonicInstant {
        let (sum, overflow) = self.nanoseconds.addingReportingOverflow(nanoseconds)
        return MonotonicInstant(nanoseconds: overflow ? .max : sum)
    }

    fileprivate func seconds(since start: MonotonicInstant) -> Double {
        let (difference, overflow) = nanoseconds.subtractingReportingOverflow(start.nanoseconds)
        return overflow ? .infinity : max(Double(difference) / 1e9, 0)
    }
}
