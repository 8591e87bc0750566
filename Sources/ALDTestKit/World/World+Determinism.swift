/// Whether a run can be replayed: what cannot proves nothing, whatever its seed.
extension World {
    /// Runs `body` twice and compares what has happened, job by job.
    ///
    /// - Parameter body: populates and runs the world that it is given. What it uses besides must be new each time.
    /// - Throws: what `body` throws.
    public static func isDeterministic(
        seed: UInt64, order: WorldSchedule.Order = .random, body: (World) throws -> Void
    ) rethrows -> Bool {
        try firstDifference(seed: seed, order: order, body: body) == nil
    }

    /// Where two runs of `body` part, in words; `nil`: they do not.
    ///
    /// - Parameter body: as for ``isDeterministic(seed:order:body:)``.
    /// - Throws: what `body` throws.
    public static func firstDifference(
        seed: UInt64, order: WorldSchedule.Order = .random, body: (World) throws -> Void
    ) rethrows -> String? {
        let (first, second) = (try Story(seed, order, body), try Story(seed, order, body))
        if first.digest == second.digest { return nil }
        for (line, other) in zip(first.trace, second.trace) where line != other {
            return "“\(line)” in one run is “\(other)” in the other; seed \(seed)"
        }
        return "\(first.jobs) jobs and \(first.trace.count) notes in one run, \(second.jobs) and \(second.trace.count) "
            + "in the other; seed \(seed)"
    }

    private struct Story {
        var digest: WorldDigest
        var jobs: Int
        var trace: [String]

        init(_ seed: UInt64, _ order: WorldSchedule.Order, _ body: (World) throws -> Void) rethrows {
            let world = World(seed: seed, order: order, keepsTrace: true)
            defer { world.end() }
            try body(world)
            (digest, jobs, trace) = (world.digest, world.jobs, world.trace)
        }
    }
}
