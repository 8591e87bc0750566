import ALDCore

/// Larger and larger machines at higher and higher rates, stage by stage: each is classed by what of it is accepted and
/// landed in time.
struct LoadEscalation: ScenarioWork {
    struct Stage: Hashable, Sendable {
        var parameters: Int
        /// Cycles a second.
        var rate: Double
        var name: String { "\(parameters) parameters, \(Int(rate)) a second" }
        /// What its share in time is noted as.
        var measure: String { "\(name): in time" }
        /// Rows a second.
        var load: Double { Double(parameters) * rate }
    }

    static let stages = [
        Stage(parameters: 50, rate: 10), Stage(parameters: 84, rate: 20), Stage(parameters: 200, rate: 50),
        Stage(parameters: 500, rate: 100), Stage(parameters: 1000, rate: 200),
    ]
    /// Those that a machine must bear: it collects once a second, and these are ten and twenty times that.
    static let normal = stages.prefix(2)

    /// How a test tries others.
    var stages = Self.stages

    func run(_ run: ScenarioRun) async throws {
        try await withWriter(run) { rig in
            // What is done once, connecting and registering, is no load.
            try await rig.append(kind: .history)
            try await rig.drain()
            let lengths = stages.indices.map { length(of: $0, run) }
            // As much again for what is beyond the last stage.
            let end = run.time.now + lengths.reduce(.zero, +) + run.duration
            var escalation = Escalation(stages)
            var step = escalation.first
            while case .drive(let stage, let place) = step {
                let load = try await drive(stage, for: length(of: place, run), run, rig)
                run.note("\(stage.name): behind by", load.behind)
                run.note(stage.measure, load.inTime, .ratio)
                run.say("\(stage.name): \(load.class.rawValue)")
                step = escalation.driven(load.class, hasTime: run.time.now < end)
            }
            run.note("stages classified", count: escalation.driven)
            guard case .end(let held, let broken) = step else { return }
            Self.note(run, held: held, broken: broken)
        }
    }

    static func note(_ run: ScenarioRun, held: Stage?, broken: Stage?) {
        run.note("highest load held", held?.load ?? 0, .perSecond)
        run.note("breaking points reached", count: broken == nil ? 0 : 1)
        if let broken {
            run.note("breaking point", broken.load, .perSecond)
        } else {
            let most = held.map { "\($0.name) was held" } ?? "no stage was held"
            run.say("breaking point not reached: \(most), and there was no time for more")
        }
    }

    /// Those that are judged are long enough that a moment without a processor is a small part of them.
    private func length(of place: Int, _ run: ScenarioRun) -> Duration {
        let least: Duration = Self.normal.indices.contains(place) ? .seconds(4) : .zero
        return max(least, run.duration / Self.stages.count)
    }

    private func drive(
        _ stage: Stage, for duration: Duration, _ run: ScenarioRun, _ rig: WriterRig
    ) async throws -> LandedLoad {
        var loop = OpenLoop(rate: stage.rate, duration: duration, clients: 8)
        loop.patience = min(loop.patience, loop.duration / 4)
        return try await run.meteringServer(as: "\(stage.name): server's processor") {
            let report = try await loop.run { _, _ in
                try await rig.append(run.scaled(stage.parameters), kind: .history)
            }
            run.note("\(stage.name): acceptance", report.latency)
            run.note("\(stage.name): dropped", count: report.dropped)
            try await rig.drain()
            return LandedLoad(report, planned: loop.duration, landed: run.time.now)
        }
    }
}

/// Goes from stage to stage until one fails, and beyond the last one with twice the rate each time, as long as there is
/// time.
struct Escalation: Sendable {
    enum Step: Hashable, Sendable {
        /// Drive this stage, which is the one at this place, and report.
        case drive(LoadEscalation.Stage, place: Int)
        /// The highest that was stable, `nil` for none, and the one that failed; `nil` when none did.
        case end(held: LoadEscalation.Stage?, broken: LoadEscalation.Stage?)
    }

    /// Beyond the last stage. What no writer of ours accepts on any machine is not tried.
    private static let mostDoublings = 6

    private let stages: [LoadEscalation.Stage]
    private var held: LoadEscalation.Stage?
    private var current: LoadEscalation.Stage?
    /// So many have been classed.
    private(set) var driven = 0

    init(_ stages: [LoadEscalation.Stage]) {
        self.stages = stages
        current = stages.first
    }

    var first: Step { current.map { .drive($0, place: 0) } ?? .end(held: nil, broken: nil) }

    /// - Parameter hasTime: for more than the stages that are given.
    mutating func driven(_ class: LandedLoad.Class, hasTime: Bool) -> Step {
        guard var next = current else { return .end(held: held, broken: nil) }
        driven += 1
        if `class` == .stable { held = next }
        if `class` == .failed { return .end(held: held, broken: next) }
        if driven < stages.count {
            next = stages[driven]
        } else {
            guard hasTime, driven < stages.count + Self.mostDoublings else { return .end(held: held, broken: nil) }
            next.rate *= 2
        }
        current = next
        return .drive(next, place: driven)
    }
}

extension ScenarioRun {
    /// Notes what part of a processor the host's server needs while `body` runs; nothing where it is not ours.
    func meteringServer<Result>(as name: String, _ body: () async throws -> Result) async throws -> Result {
        let cluster = await host.cluster
        let (began, before) = (time.now, ServerMeter(cluster: cluster).processorSeconds)
        let result = try await body()
        if let before, let after = ServerMeter(cluster: cluster).processorSeconds {
            note(name, (after - before) / max((time.now - began).inSeconds, 0.000_001), .ratio)
        }
        return result
    }
}
