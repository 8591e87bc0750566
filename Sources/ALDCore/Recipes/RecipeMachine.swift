/// Runs one recipe on one machine: it decides what is written when, and does nothing itself.
///
/// Whoever drives it asks ``next(now:)`` what to do, does it, and says with ``happened(_:now:)`` what came of it. At
/// most one call to the controller is under way at a time.
///
/// Times are absolute. A step begins where the one before it was programmed to end, so what the calls take does not add
/// up; only when a valve closed later than ``Configuration/settling`` after its time does everything behind it move, so
/// that no purge is ever shorter than programmed.
///
/// Before a valve is opened the controller is asked whether one that it excludes is open, whoever may have opened it:
/// while the step before still lasts, if that is one that only waits.
///
/// While nothing is written the controller is asked for a sign of life from time to time, where that is in nobody's way, and
/// before the run is called completed: without a controller no recipe succeeds.
///
/// Whatever happens, a valve that this machine has asked to open is closed before it says ``Action/finish(_:)``: the
/// only exception is a shutdown whose time is up, and then ``Ending/unsecured`` names what may still be open.
public struct RecipeMachine: Sendable {
    public struct Configuration: Hashable, Sendable {
        /// How long one call to the controller may take. Defaults to 250 ms.
        public var callTimeout: Duration = .milliseconds(250)
        /// How late a valve may be confirmed closed without moving the steps behind it. Defaults to 5 ms.
        public var settling: Duration = .milliseconds(5)
        /// How long an output that cannot be reached is tried before the recipe fails.
        /// Longer than one call, so that one lost answer is not the end. A set point may take as long to read back as it was
        /// written: a controller may show it only after its next cycle. Defaults to 500 ms.
        public var patience: Duration = .milliseconds(500)
        /// A pulse that was longer than programmed by more, for whatever reason, fails the recipe when it is closed. Longer
        /// than ``patience``. Defaults to 1 s.
        public var longestOverrun: Duration = .seconds(1)
        /// Between two tries within that time. Defaults to 20 ms.
        public var retryInterval: Duration = .milliseconds(20)
        /// How long before a valve opens those that it excludes are looked at; what was seen earlier than twice as long
        /// ago is looked at again. Defaults to 50 ms.
        public var lookAhead: Duration = .milliseconds(50)
        /// After how much silence the controller is asked for a sign of life. Defaults to 1 s.
        public var probeInterval: Duration = .seconds(1)
        /// A controller that is not heard of for so long, though it was asked, is lost, and the recipe fails. Long enough for
        /// a connection to be made anew. Defaults to 5 s.
        public var longestSilence: Duration = .seconds(5)
        /// When this process itself stood still for longer, stopped or suspended, the recipe fails. Should be shorter than
        /// what is left of the service's lease when it is renewed, two thirds of it, so that no other terminal has the machine
        /// yet. Defaults to 5 s.
        public var longestStandstill: Duration = .seconds(5)
        /// Between two set points of a ramp. Defaults to 100 ms.
        public var rampInterval: Duration = .milliseconds(100)
        /// Between two rounds of tries to bring the machine into its safe state, after the first; it grows to the
        /// second. Defaults to 50 ms and 1 s.
        public var securingInterval: ClosedRange<Duration> = .milliseconds(50)...(.seconds(1))
        /// Largest difference, in the unit, between what was written and what is read back; one millionth of the value is
        /// always allowed, which is more than single precision rounds.
        public var tolerances: [ParameterID: Double] = [:]

        public init() {}

        /// - Throws: every setting that is out of its range.
        public func validate() throws(ConfigurationProblems) {
            var problems: [String] = []
            for (name, value) in [
                ("callTimeout", callTimeout), ("retryInterval", retryInterval), ("rampInterval", rampInterval),
                ("securingInterval", securingInterval.lowerBound), ("lookAhead", lookAhead),
                ("probeInterval", probeInterval), ("longestSilence", longestSilence),
                ("longestStandstill", longestStandstill),
            ] where value <= .zero {
                problems.append("\(name) is \(value); it must be longer than zero")
            }
            for (name, value) in [("settling", settling), ("patience", patience)] where value < .zero {
                problems.append("\(name) is \(value); it must not be below zero")
            }
            if longestOverrun < patience {
                problems.append("longestOverrun is \(longestOverrun); it must not be below patience, \(patience)")
            }
            // What a machine that is well may take between two questions: otherwise every recipe fails.
            let busiest =
                max(rampInterval, probeInterval, securingInterval.upperBound) + callTimeout * 2 + lookAhead * 3
            for (name, value) in [("longestSilence", longestSilence), ("longestStandstill", longestStandstill)]
            where value <= busiest {
                problems.append("\(name) is \(value); with the other settings it must be longer than \(busiest)")
            }
            if let problems = ConfigurationProblems(problems) { throw problems }
        }
    }

    /// How a run ended.
    public struct Ending: Hashable, Sendable {
        public enum Outcome: Hashable, Sendable {
            case completed
            /// Somebody stopped it; the reason says who.
            case aborted(String)
            case failed(String)
        }

        public var outcome: Outcome
        /// Valves that may be open and outputs that may not be safe; empty but for a shutdown whose time was up.
        public var unsecured: [SetPoint] = []
    }

    public enum Action: Hashable, Sendable {
        /// Write now; the call ends by the given instant.
        case write(SetPoint, by: MonotonicInstant)
        /// Read the set point of this parameter now.
        case readBack(ParameterID, by: MonotonicInstant)
        /// Read the set points of these valves now, all of them.
        case look(at: Set<ParameterID>, by: MonotonicInstant)
        /// Ask the controller anything, to see that it is there.
        case probe(by: MonotonicInstant)
        /// Nothing is due before this instant, or before something happens.
        case wait(until: MonotonicInstant)
        /// A call is under way.
        case listen
        /// The run has ended.
        case finish(Ending)
    }

    public enum Event: Hashable, Sendable {
        /// The controller has confirmed the write.
        case written
        case writeFailed(WriteFailure)
        case readBack(Double)
        case readBackFailed(String)
        case saw([ParameterID: Double])
        case sawNothing(String)
        /// The controller has answered the probe, if only with a no.
        case present
        case absent(String)
        /// Somebody wants the run to stop at once.
        case stop(String)
        case pause
        case resume
        /// The process ends: what can be secured by then is.
        case shutDown(by: MonotonicInstant)
    }

    /// Why a write did not succeed.
    public enum WriteFailure: Hashable, Sendable {
        /// It did not reach the controller, or the controller had no time for it.
        case unreachable(String)
        /// The controller has said no.
        case refused(String)
        /// It may or may not have been executed.
        case unknownOutcome(String)

        public var reason: String {
            switch self {
            case .unreachable(let reason), .refused(let reason), .unknownOutcome(let reason): reason
            }
        }
    }

    /// What the machine is about. See the methods of `RecipeMachine+Steps` for what follows what.
    enum State: Sendable {
        /// Can transition to: running, securing, ended.
        case running(Phase)
        /// Between two steps, or with so much left of a step that only waits, until somebody says so. Can transition
        /// to: running, securing.
        case paused(remaining: Duration?)
        /// The outcome is known, and the machine is brought into its safe state. Can transition to: ended.
        case securing(Securing)
        case ended(Ending)
    }

    /// Where a step is.
    enum Phase: Sendable {
        /// The step under the cursor begins at its time.
        case beginning
        /// To be opened, until `closing` if it is open at once.
        case opening(Pulse)
        /// Something that excludes it may be open.
        case looking(Pulse)
        /// Nobody knows whether it is open.
        case doubtfullyOpen(Pulse)
        case open(Pulse)
        case closing(Pulse)
        /// The flow of a purge, before its time begins.
        case settingFlow(SetPoint, since: MonotonicInstant, duration: Duration)
        /// Where a ramp begins.
        case findingStart(Ramp)
        case ramping(Ramp)
        /// The value of a parameter step, until it is confirmed.
        case setting(SetPoint, since: MonotonicInstant, hold: Duration)
        case verifying(SetPoint, since: MonotonicInstant, hold: Duration)
        /// Nothing to do until the step ends.
        case lasting(until: MonotonicInstant)
        /// Everything is done; the controller was asked whether it is still there.
        case concluding
    }

    struct Pulse: Sendable {
        var valve: ParameterID
        var programmed: Duration
        /// When the step began.
        var since: MonotonicInstant
        /// When it was last asked to open.
        var openedAt: MonotonicInstant?
        var closesAt: MonotonicInstant { (openedAt ?? since) + programmed }
    }

    struct Ramp: Sendable {
        var target: SetPoint
        /// Units per second, above zero.
        var slope: Double
        var hold: Duration
        var since: MonotonicInstant
        var start = 0.0
        /// How many set points have been written.
        var written = 0

        /// When the set point arrives at the target.
        var arrivesAt: MonotonicInstant { since + .seconds(abs(target.value - start) / slope) }

        func value(at now: MonotonicInstant) -> Double {
            guard now < arrivesAt else { return target.value }
            let way = (now - since).inSeconds * slope
            return target.value > start ? start + way : start - way
        }
    }

    struct Securing: Sendable {
        var outcome: Ending.Outcome
        /// In the order in which they are tried.
        var remaining: [SetPoint]
        var failures = 0
        var notBefore: MonotonicInstant
        /// Said already when the time is up.
        var lastFailure: String?
    }

    let configuration: Configuration
    let interlocks: Interlocks
    var state = State.running(.beginning)
    var cursor: RecipeCursor
    /// Where the step under the cursor is programmed to begin.
    var anchor: MonotonicInstant
    var isCallUnderWay = false
    /// Whether the next call may not be made yet, because one has failed.
    var notBefore: MonotonicInstant
    /// When the call under way, or the last one, was made.
    var askedAt: MonotonicInstant
    /// When the controller answered last, whatever it was.
    var heardAt: MonotonicInstant
    /// When this machine was asked or told something last.
    var seenAt: MonotonicInstant
    /// It is not asked for a sign of life before.
    var nextProbe: MonotonicInstant
    /// That nothing was open that excludes this valve, and when the controller said so.
    var clearance: (valve: ParameterID, at: MonotonicInstant)?
    /// Whether somebody has looked for the step behind the one that lasts.
    var hasLookedAhead = false
    /// Set points of a ramp that did not get through, one after the other.
    var rampTrouble = 0
    static let rampPatience = 3
    var stopsBecause: Ending.Outcome?
    var wantsPause = false
    var shutdown: MonotonicInstant?
    /// Valves that were asked to open and have not been confirmed closed since, each with the time of the first of it.
    public internal(set) var maybeOpen: [ParameterID: MonotonicInstant] = [:]
    public internal(set) var progress: Progress
    var records: [Record] = []

    /// - Parameters:
    ///   - recipe: one that ``RecipeRules`` finds nothing wrong with.
    ///   - start: when the first step begins.
    /// - Throws: every setting that is out of its range.
    public init(
        _ recipe: Recipe, interlocks: Interlocks, configuration: Configuration = Configuration(),
        start: MonotonicInstant
    ) throws(ConfigurationProblems) {
        try configuration.validate()
        guard let extent = recipe.extent else {
            throw ConfigurationProblems(one: "recipe \(recipe.name) has more steps than can be run")
        }
        self.configuration = configuration
        self.interlocks = interlocks
        cursor = RecipeCursor(recipe)
        anchor = start
        notBefore = start
        askedAt = start
        heardAt = start
        seenAt = start
        nextProbe = start + configuration.probeInterval
        progress = Progress(totalSteps: extent.steps)
    }

    /// Makes the machine safe after a run that ended without a word: `valves` may be open.
    ///
    /// - Throws: every setting that is out of its range.
    public init(
        securing valves: [ParameterID], interlocks: Interlocks, configuration: Configuration = Configuration(),
        now: MonotonicInstant
    ) throws(ConfigurationProblems) {
        try self.init(
            Recipe(name: "", steps: []), interlocks: interlocks, configuration: configuration, start: now)
        for valve in valves { maybeOpen[valve] = now }
        stopsBecause = .aborted("the earlier run ended without a word")
    }

    /// What to do at `now`. A call that is returned is under way until ``happened(_:now:)`` says how it ended.
    public mutating func next(now: MonotonicInstant) -> Action {
        if isCallUnderWay { return .listen }
        noteStandstill(now: now)
        // Whoever stood still has thousands of short waits behind him at once: a loop, whose stack does not grow with them.
        while true {
            guard let action = decide(now: now) else { continue }
            switch action {
            case .write, .readBack, .look, .probe: isCallUnderWay = true
            case .wait, .listen, .finish: break
            }
            return action
        }
    }

    /// `nil`: the recipe has gone on, and what to do now is asked again.
    private mutating func decide(now: MonotonicInstant) -> Action? {
        beginSecuringIfDue(now: now)
        return switch state {
        case .running(let phase): run(phase, now: now)
        case .paused: waitForWord(now: now)
        case .securing(let securing): secure(securing, now: now)
        case .ended(let ending): .finish(ending)
        }
    }

    public mutating func happened(_ event: Event, now: MonotonicInstant) {
        noteStandstill(now: now)
        switch event {
        case .written, .writeFailed, .readBack, .readBackFailed, .saw, .sawNothing, .present, .absent:
            isCallUnderWay = false
            noteAnswer(event, now: now)
            switch state {
            case .running(let phase): ended(event, in: phase, now: now)
            case .securing(let securing): ended(event, in: securing, now: now)
            case .paused, .ended: break
            }
        case .stop(let reason): stopsBecause = stopsBecause ?? .aborted(reason)
        case .shutDown(let deadline):
            stopsBecause = stopsBecause ?? .aborted("the recipe service was shut down")
            shutdown = min(deadline, shutdown ?? deadline)
        case .pause: wantsPause = true
        case .resume:
            wantsPause = false
            guard case .paused(let remaining) = state else { return }
            records.append(.resumed(at: now))
            anchor = max(anchor, now)
            state = .running(remaining.map { .lasting(until: now + $0) } ?? .beginning)
        }
    }
}
