import ALDCore

/// The highest rate of cycles that is accepted and landed without falling behind: doubled until it is not.
struct BreakingPoint: ScenarioWork {
    /// Cycles a second of 84 parameters that are the load of a busy machine; see ``LoadEscalation``.
    static let normalRate = 20.0

    var parameters = 84
    /// How a test ends the search before it breaks.
    var highest = 10_000.0
    var unheeded: [RunOption: String] { [.scale: "the load is what is looked for"] }

    func run(_ run: ScenarioRun) async throws {
        try await withWriter(run) { rig in
            // What is done once, connecting and registering, is no load.
            try await rig.append(parameters, kind: .history)
            try await rig.drain()
            let slice = max(Duration.milliseconds(750), run.duration / 10)
            let end = run.time.now + run.duration + slice * 8
            var search = RateSearch(from: 10, upTo: highest)
            var step = search.first
            while case .drive(let rate) = step {
                let load = try await run.meteringServer(as: "\(Int(rate)) a second: server's processor") {
                    try await drive(rate, slice, run, rig)
                }
                run.sample("landed in time", load.inTime, .ratio)
                step = search.driven(isKept: load.class == .stable)
                if case .drive = step, run.time.now >= end { step = search.interrupted }
            }
            guard case .end(let best, let broken) = step else { return }
            run.note("cycles per second", best, .perSecond)
            run.note("rows per second", best * Double(parameters), .perSecond)
            run.note("breaking points reached", count: broken == nil ? 0 : 1)
            if let broken {
                run.note("not kept up", broken, .perSecond)
            } else {
                run.say("breaking point not reached: \(Int(best)) a second is what was tried, not what there is")
            }
        }
    }

    private func drive(
        _ rate: Double, _ slice: Duration, _ run: ScenarioRun, _ rig: WriterRig
    ) async throws -> LandedLoad {
        var loop = OpenLoop(rate: rate, duration: slice, clients: 8)
        loop.patience = slice / 4
        let report = try await loop.run { _, _ in try await rig.append(parameters, kind: .history) }
        run.sample("records waiting", Double(rig.writer.statistics.spooled), .count)
        try await rig.drain()
        let load = LandedLoad(report, planned: slice, landed: run.time.now)
        run.say(
            "\(Int(rate)) a second: \(Quantity.ratio.text(load.inTime)) in time, "
                + "behind by \(Quantity.seconds.text(load.behind.inSeconds)), \(report.dropped) dropped")
        return load
    }
}
