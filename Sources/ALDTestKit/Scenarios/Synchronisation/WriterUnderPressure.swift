import ALDCore

/// A writer whose batches get larger and larger, over and over: what it has allocated must not rise from round to round.
struct WriterMemory: ScenarioWork {
    var unheeded: [RunOption: String] { [.duration: "as many rounds are compared as it takes"] }
    private static let sizes = [100, 500, 1000, 2000, 5000]
    private static let rounds = 50

    func run(_ run: ScenarioRun) async throws {
        try await withWriter(run) { rig in
            var points: [Series.Point] = []
            for round in 0..<Self.rounds {
                try await rig.append(run.scaled(Self.sizes[round % Self.sizes.count]), kind: .history)
                try await eventually("it has landed") { rig.writer.statistics.spooled == 0 }
                // Of equal rounds, so that the size of a batch does not count.
                guard round % Self.sizes.count == Self.sizes.count - 1, let heap = ProcessProbe.heapBytes else {
                    continue
                }
                run.sample("heap in use", Double(heap), .bytes)
                points.append(Series.Point(at: Double(round), value: Double(heap)))
            }
            // The first rounds fill caches and pools.
            if let slope = RobustSlope.of(Array(points.dropFirst(2))) { run.note("growth per round", slope, .bytes) }
        }
    }
}

/// A writer whose database is disturbed while it works: connections are reset, statements cancelled, sessions ended.
struct WriterDisturbance: ScenarioWork {
    var unheeded: [RunOption: String] { [.scale: "what is disturbed is one writer, at work all the time"] }

    func run(_ run: ScenarioRun) async throws {
        try await withWriter(run, isProxied: true) { rig, proxy, database in
            let sessions =
                "pid <> pg_backend_pid() AND datname = current_database() AND backend_type = 'client backend'"
            try await rig.withLoad(callers: 2, rows: 20) {
                for (name, call) in [
                    ("statements cancelled", "pg_cancel_backend"), ("sessions ended", "pg_terminate_backend"),
                ] {
                    try await run.fault(name) {
                        let end = run.time.now + run.duration / 3
                        var hits = 0
                        while run.time.now < end {
                            try await run.time.sleep(for: .milliseconds(100))
                            hits += try await TestDatabase.number(
                                "SELECT count(\(call)(pid)) FROM pg_stat_activity WHERE \(sessions)", database)
                        }
                        return hits
                    }
                }
                try await run.fault("connections reset") {
                    let end = run.time.now + run.duration / 3
                    while run.time.now < end {
                        try await run.time.sleep(for: .milliseconds(100))
                        proxy.reset()
                    }
                    return proxy.evidence.resets
                }
            }
            let healed = run.time.now
            try await rig.drain()
            run.note("recovery", run.time.now - healed)
            run.note("failed deliveries", count: rig.writer.statistics.failedAttempts)
        }
    }
}

extension ScenarioWork {
    /// Runs `body` with a writer on a database of its own; afterwards everything that was accepted must have landed, once.
    func withWriter(_ run: ScenarioRun, _ body: (WriterRig) async throws -> Void) async throws {
        try await withWriter(run, isProxied: false) { rig, _, _ in try await body(rig) }
    }

    /// - Parameter body: given the proxy before the database, too, and how to reach the database without it.
    func withWriter(
        _ run: ScenarioRun, isProxied: Bool, _ body: (WriterRig, FaultProxy, PostgresConfiguration) async throws -> Void
    ) async throws {
        try await run.host.withDatabase { database in
            try await ProxiedDatabase.run(before: database, seed: run.seed) { proxy, proxied in
                try await withTemporaryDirectory(in: run.host.directory()) { directory in
                    let options = WriterRig.Options(directory: directory, database: isProxied ? proxied : database)
                    let promises = Promises()
                    let audit = try await WriterRig.run(options, promises: promises) { rig in
                        try await body(rig, proxy, database)
                        try await rig.drain()
                        return try await rig.audit()
                    }
                    for problem in audit.problems { run.fail(problem) }
                    run.note("records", count: promises.acceptedCount)
                    run.note("lost or doubled", count: abs(promises.acceptedCount - audit.found))
                }
            }
        }
    }
}
