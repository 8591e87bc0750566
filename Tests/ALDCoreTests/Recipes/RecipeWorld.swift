import ALDCore

/// A controller and a clock for a recipe machine, in virtual time: every call takes as long as it is told to, and fails
/// when it is told to. It keeps its own log of what each output was when; the recipe machine's word is never believed.
struct RecipeWorld {
    /// What becomes of one call.
    enum Answer: Hashable {
        case done
        /// It does not reach the controller.
        case lost
        /// The controller says no.
        case refused
        /// It is executed, and the answer is lost.
        case executedInDoubt
        /// It is not executed, and nobody can tell.
        case ignoredInDoubt
    }

    struct Change: Hashable {
        var parameter: ParameterID
        var value: Double
        var at: MonotonicInstant
    }

    var now = MonotonicInstant(nanoseconds: 0)
    /// How long a call takes.
    var latency = Duration.milliseconds(1)
    /// How much later than asked for a wait ends.
    var lateness = Duration.zero
    private(set) var outputs: [ParameterID: Double]
    private(set) var log: [Change] = []
    private(set) var calls = 0
    /// What happens to the calls, by their number from 0; the rest are done.
    var answers: [Int: Answer] = [:]
    /// Looks at what excludes a valve, which are no calls.
    private(set) var looks: [MonotonicInstant] = []
    /// Looks that are not answered, by their number from 0.
    var blindLooks: Set<Int> = []
    /// Read-backs, by their number from 0, that still show what was there before the last write.
    var staleReads: Set<Int> = []
    private var reads = 0
    private var before: [ParameterID: Double] = [:]
    /// When the controller was asked for a sign of life, and when it answered last, whatever it was asked.
    private(set) var probes: [MonotonicInstant] = []
    /// By a question whose answer nobody waits for any more.
    private var busyUntil = MonotonicInstant(nanoseconds: 0)
    private(set) var heardAt = MonotonicInstant(nanoseconds: 0)
    /// What somebody else writes, and when.
    var strangers: [Change] = []
    /// Answers all calls from a certain instant to another.
    var outage: (from: MonotonicInstant, to: MonotonicInstant)?
    /// What happens when, beside the calls.
    var events: [(at: MonotonicInstant, event: RecipeMachine.Event)] = []
    private(set) var records: [RecipeMachine.Record] = []
    /// Looked at after every change.
    var check: (RecipeMachine, RecipeWorld) throws -> Void = { _, _ in }

    init(outputs: [ParameterID: Double] = [:]) {
        self.outputs = outputs
    }

    struct Endless: Error, CustomStringConvertible {
        let description: String
    }

    /// Runs the machine to its end.
    mutating func run(_ machine: inout RecipeMachine, limit: Int = 200_000) throws -> RecipeMachine.Ending {
        events.sort { $0.at < $1.at }
        strangers.sort { $0.at < $1.at }
        for _ in 0..<limit {
            deliverEvents(until: now, to: &machine)
            let action = machine.next(now: now)
            try check(machine, self)
            switch action {
            case .write(let point, let deadline): write(point, by: deadline, &machine)
            case .readBack(let parameter, let deadline): read(parameter, by: deadline, &machine)
            case .look(let valves, let deadline): look(at: valves, by: deadline, &machine)
            case .probe(let deadline): probe(by: deadline, &machine)
            case .wait(let until):
                guard until > now else {
                    throw Endless(description: "asked to wait until \(until), which is not later")
                }
                if let next = events.first, next.at < until + lateness {
                    now = max(now, next.at)
                } else {
                    now = until + lateness
                }
            case .listen:
                guard let next = events.first else { throw Endless(description: "waits, and nothing will happen") }
                now = max(now, next.at)
            case .finish(let ending):
                letStrangersWrite(until: now)
                records += machine.takeRecords()
                return ending
            }
            records += machine.takeRecords()
        }
        throw Endless(description: "not finished after \(limit) actions")
    }

    private mutating func deliverEvents(until: MonotonicInstant, to machine: inout RecipeMachine) {
        while let next = events.first, next.at <= until {
            events.removeFirst()
            machine.happened(next.event, now: max(now, next.at))
        }
    }

    /// What others have written by then is there before anything else happens.
    private mutating func letStrangersWrite(until: MonotonicInstant) {
        while let next = strangers.first, next.at <= until {
            strangers.removeFirst()
            outputs[next.parameter] = next.value
            log.append(next)
        }
    }

    private mutating func look(
        at valves: Set<ParameterID>, by deadline: MonotonicInstant, _ machine: inout RecipeMachine
    ) {
        defer { looks.append(now) }
        let isBlind = blindLooks.contains(looks.count) || outage.map { now >= $0.from && now < $0.to } ?? false
        let end = isBlind ? deadline : min(now + latency, deadline)
        letStrangersWrite(until: now + latency / 2)
        let seen = Dictionary(uniqueKeysWithValues: valves.map { ($0, outputs[$0] ?? 0) })
        deliverEvents(until: end, to: &machine)
        now = end
        if !isBlind { heardAt = now }
        machine.happened(isBlind ? .sawNothing("no answer") : .saw(seen), now: now)
    }

    private mutating func probe(by deadline: MonotonicInstant, _ machine: inout RecipeMachine) {
        probes.append(now)
        let isLost = outage.map { now >= $0.from && now < $0.to } ?? false || now + latency > deadline
        // A device does one thing after the other, whether somebody still waits for it or not.
        busyUntil = now + latency
        let end = isLost ? deadline : now + latency
        deliverEvents(until: end, to: &machine)
        now = end
        if !isLost { heardAt = now }
        machine.happened(isLost ? .absent("no answer") : .present, now: now)
    }

    private mutating func answer(by deadline: MonotonicInstant) -> (Answer, MonotonicInstant) {
        defer { calls += 1 }
        if let outage, now >= outage.from, now < outage.to { return (.lost, min(now + latency, deadline)) }
        let answer = answers[calls] ?? .done
        let isDoubt = answer == .executedInDoubt || answer == .ignoredInDoubt
        return (answer, isDoubt ? deadline : min(now + latency, deadline))
    }

    private mutating func write(_ point: SetPoint, by deadline: MonotonicInstant, _ machine: inout RecipeMachine) {
        now = max(now, min(busyUntil, deadline))
        let (answer, end) = answer(by: deadline)
        letStrangersWrite(until: now + latency / 2)
        if answer == .done || answer == .executedInDoubt {
            // Half of the time is the way there.
            before[point.parameter] = outputs[point.parameter]
            outputs[point.parameter] = point.value
            log.append(Change(parameter: point.parameter, value: point.value, at: now + latency / 2))
        }
        // What happens meanwhile is heard before the answer.
        deliverEvents(until: end, to: &machine)
        now = end
        if answer == .done || answer == .refused { heardAt = now }
        switch answer {
        case .done: machine.happened(.written, now: now)
        case .lost: machine.happened(.writeFailed(.unreachable("nobody there")), now: now)
        case .refused: machine.happened(.writeFailed(.refused("no")), now: now)
        case .executedInDoubt, .ignoredInDoubt:
            machine.happened(.writeFailed(.unknownOutcome("no answer")), now: now)
        }
    }

    private mutating func read(_ parameter: ParameterID, by deadline: MonotonicInstant, _ machine: inout RecipeMachine)
    {
        let (answer, end) = answer(by: deadline)
        deliverEvents(until: end, to: &machine)
        now = end
        defer { reads += 1 }
        if answer == .done { heardAt = now }
        switch answer {
        case .done:
            let shown = staleReads.contains(reads) ? before[parameter] : outputs[parameter]
            machine.happened(.readBack(shown ?? 0), now: now)
        default: machine.happened(.readBackFailed("no answer"), now: now)
        }
    }

    /// From when to when each valve was open, as the controller knows it; `nil`: it still is.
    func pulses(of valve: ParameterID) -> [(from: MonotonicInstant, to: MonotonicInstant?)] {
        var pulses: [(from: MonotonicInstant, to: MonotonicInstant?)] = []
        for change in log where change.parameter == valve {
            let isOpen = pulses.last.map { $0.to == nil } ?? false
            if change.value != 0, !isOpen { pulses.append((change.at, nil)) }
            if change.value == 0, isOpen { pulses[pulses.count - 1].to = change.at }
        }
        return pulses
    }

    /// How long each of them was open.
    func widths(of valve: ParameterID) -> [Duration?] {
        pulses(of: valve).map { pulse in pulse.to.map { $0 - pulse.from } }
    }
}
