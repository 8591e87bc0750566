extension CircuitBreaker {
    public enum State: Hashable, Sendable {
        /// Everything is let through and judged. Can transition to: open, forcedOpen, disabled, metricsOnly.
        case closed
        /// Nothing is let through until then. Evidence of health may shorten it, but not before `earliest`.
        /// Can transition to: halfOpen, forcedOpen, disabled, metricsOnly.
        case open(until: MonotonicInstant, earliest: MonotonicInstant)
        /// A few probes are let through. Can transition to: recovering, closed, open, forcedOpen, disabled, metricsOnly.
        case halfOpen(successes: Int)
        /// Load comes back step by step. Can transition to: closed, open, forcedOpen, disabled, metricsOnly.
        case recovering(Recovery)
        /// Somebody closed the door. Can transition to: halfOpen (resume, or its time is over), disabled, metricsOnly.
        case forcedOpen(Isolation)
        /// Everything is let through, nothing is judged. Can transition to: closed, forcedOpen, metricsOnly.
        case disabled
        /// Everything is let through and judged, but nothing opens. Can transition to: closed, forcedOpen, disabled.
        case metricsOnly

        public var name: StateName {
            switch self {
            case .closed: .closed
            case .open: .open
            case .halfOpen: .halfOpen
            case .recovering: .recovering
            case .forcedOpen: .forcedOpen
            case .disabled: .disabled
            case .metricsOnly: .metricsOnly
            }
        }
    }

    /// The state without its data: the label of a metric.
    public enum StateName: String, Hashable, Sendable, Codable, CaseIterable {
        case closed, open
        case halfOpen = "half_open"
        case recovering
        case forcedOpen = "forced_open"
        case disabled
        case metricsOnly = "metrics_only"
    }

    /// How far the way back to full load has come.
    public struct Recovery: Hashable, Sendable {
        /// The share of the full load that is let through, in percent: below 100.
        public internal(set) var percent: Int
        /// Healthy calls since the last step.
        public internal(set) var successes = 0
        /// So many the next step takes.
        public internal(set) var needed: Int
        /// Counts the steps back: calls of an earlier round that fail too have the same cause and step back no further.
        var round = 0
    }

    /// Who keeps the breaker open by hand, why and until when.
    public struct Isolation: Hashable, Sendable {
        public let owner: String
        public let reason: String
        /// Then it becomes half-open by itself: what was isolated for an afternoon is not forgotten for a year.
        public let until: MonotonicInstant
    }

    /// Leave to make one call. It is a lease: when it is not returned in time it counts as a failed call.
    public struct Permit: Hashable, Sendable {
        let slot: Int
        let serial: UInt64
        /// When the call began: its duration counts from here.
        public let start: MonotonicInstant
        /// When the lease ends.
        public let deadline: MonotonicInstant
    }

    public enum Admission: Hashable, Sendable {
        case permitted(Permit)
        case rejected(Rejection)
    }

    /// Why a call must not be made now.
    public enum Rejection: Error, Hashable, Sendable {
        /// It failed too often; to be tried again at that time, earlier on evidence of health.
        case open(until: MonotonicInstant)
        /// As many probes as allowed are under way.
        case probing
        /// As many calls as the ramp allows are under way.
        case ramping(percent: Int)
        case isolated(Isolation)
        /// ``Configuration/maximumConcurrentCalls`` are under way.
        case tooManyCalls
    }

    /// What became of a call.
    public enum Outcome: Hashable, Sendable {
        case success
        /// It failed in a way that may pass, such as a timeout.
        case failure
        /// One of these says everything (refused, wrong password, not the primary): opens at once, for `atLeast`.
        case immediateFailure(atLeast: Duration = .zero)
        /// It says nothing about the peer: cancelled, never sent, or the fault of its input.
        case ignored
    }

    /// Why a state was left.
    public enum Cause: Hashable, Sendable {
        case consecutiveFailures(Int)
        case failureRate(Double)
        case slowCallRate(Double)
        case immediateFailure
        /// A probe failed, or its lease ran out.
        case probeFailed
        /// A call failed on the lowest step of the ramp.
        case rampFailed
        case openTimeOver
        case evidenceOfHealth
        case probesSucceeded
        case rampCompleted
        case isolationOver
        /// By hand; the name of who did it.
        case command(by: String)
    }

    /// Something to log, count or keep.
    public enum Event: Hashable, Sendable {
        case stateChanged(from: StateName, to: StateName, cause: Cause, at: MonotonicInstant)
        /// The ramp went up or down, to that percentage.
        case rampMoved(percent: Int, at: MonotonicInstant)
        /// It would have opened, were it not in metricsOnly.
        case wouldHaveOpened(cause: Cause, at: MonotonicInstant)
        case leaseExpired(at: MonotonicInstant)
    }

    /// Counters that add up: `permitted = successes + failures + ignored + expired + superseded + calls under way`.
    public struct Statistics: Hashable, Sendable {
        public internal(set) var permitted = 0
        public internal(set) var rejected = 0
        public internal(set) var successes = 0
        public internal(set) var failures = 0
        public internal(set) var ignored = 0
        /// Leases that ran out.
        public internal(set) var expired = 0
        /// Permits that a change of state made void while their call was under way.
        public internal(set) var superseded = 0
        /// Results that came too late to count: of expired, superseded or already returned permits.
        public internal(set) var late = 0
        /// Successes among them that took too long.
        public internal(set) var slow = 0
        /// Events dropped because nobody took them.
        public internal(set) var droppedEvents = 0
    }
}

extension CircuitBreaker.Rejection: CustomStringConvertible {
    /// When it is worth asking again, as far as known.
    public var retryAt: MonotonicInstant? {
        switch self {
        case .open(let until): until
        case .isolated(let isolation): isolation.until
        case .probing, .ramping, .tooManyCalls: nil
        }
    }

    public var description: String {
        switch self {
        case .open: "the circuit breaker is open after too many failures; it lets a probe through when its time is over"
        case .probing: "the circuit breaker is half-open and its probe is under way; ask again after its result"
        case .ramping(let percent):
            "the circuit breaker lets \(percent) % of the load through while the peer recovers; ask again"
        case .isolated(let isolation):
            "the circuit breaker was opened by \(isolation.owner): \(isolation.reason); resume it, or wait"
        case .tooManyCalls: "as many calls are under way as the circuit breaker allows; ask again, or allow more"
        }
    }
}
