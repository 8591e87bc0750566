import ALDCore

/// Larger and larger machines at higher and higher rates, stage by stage: each is classed by what of it is accepted and
/// landed in time.
struct LoadEscalation: ScenarioWork {
    struct Stage: Sendable {
        var parameters: Int
        /// Cycles a second.
        var rate: Double
        var name: String { "\(parameters) parameters, \(Int(rate)) a second" }
        /// What its share in time is noted as.
        var measure: String { "\(name): in time" }
    }

    static let stages = [
        Stage(parameters: 50, rate: 10), Stage(parameters: 84, rate: 20), Stage(parameters: 200, rate: 50),
        Stage(parameters: 500, rate: 100), Stage(parameters: 1000, rate: 200),
    ]
    /// Those that a machine must bear: it collects once a second, and these are ten and twenty times that.
    static let normal = stages.prefix(2)

    func run(_ run: ScenarioRun) async throws {
        try await withWriter(run) { rig in
            // What is done once, connecting and registering, is no load.
            try await rig.append(kind: .history)
            try await rig.drain()
            var classified = 0
            for (place, stage) in Self.stages.enumerated() {
                // Those that are judged are long enough that a moment without a processor is a small part of them.
                let least: Duration = Self.normal.indices.contains(place) ? .seconds(4) : .zero
                let load = try await drive(stage, for: max(least, run.duration / Self.stages.count), run, rig)
                run.note("\(stage.name): behind by", load.behind)
                run.note(stage.measure, load.inTime, .ratio)
                run.say("\(stage.name): \(load.class.rawValue)")
                classified += 1
                if load.class == .failed {
                    run.note("breaking point", Double(stage.parameters) * stage.rate, .perSecond)
                    break
                }
            }
            run.note("stages classified", count: classified)
        }
    }

    private func drive(
        _ stage: Stage, for duration: Duration, _ run: ScenarioRun, _ rig: WriterRig
    ) async throws -> LandedLoad {
        var loop = OpenLoop(rate: stage.rate, duration: duration, clients: 8)
        loop.patience = min(loop.patience, loop.duration / 4)
        let report = try await loop.run { _, _ in
            try await rig.append(run.scaled(stage.parameters), kind: .history)
        }
        run.note("\(stage.name): acceptance", report.latency)
        run.note("\(stage.name): dropped", count: report.dropped)
        try await rig.drain()
        return LandedLoad(report, planned: loop.duration, landed: run.time.now)
    }
}
