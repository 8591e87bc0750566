import ALDCore

/// How long it takes to read all parameters, and what they take of memory.
struct ScanSpeed: ScenarioWork {
    var parameters: Int
    /// How a test plants a bug between whoever reads and the machine.
    var around: @Sendable (any PLC) -> any PLC = { $0 }

    func run(_ run: ScenarioRun) async throws {
        let map = try run.generatedMachine(parameters: parameters)
        for way in ControllerWay.allCases {
            try await way.with(map, seed: run.seed, pace: .inTurn) { bench in
                try await bench.withClient { plc in try await read(around(plc), way, run) }
            }
        }
        guard let memory = try await ParameterMemory.measure(upTo: map.parameters.count, run) else {
            return run.doubt("what is allocated is known on Linux with the GNU C library only")
        }
        memory.note(run)
    }

    private func read(_ plc: any PLC, _ way: ControllerWay, _ run: ScenarioRun) async throws {
        var (times, missing, scans) = (DurationHistogram(), 0, 0)
        let end = run.time.now + run.duration / 2
        // A few at least, however slow they are.
        while scans < 5 || (run.time.now < end && scans < 10_000) {
            let began = run.time.now
            let readings = try await plc.scan(deadline: run.patience).readings
            times.record(run.time.now - began)
            missing += plc.registerMap.parameters.count - readings.count { $0.value != nil }
            scans += 1
        }
        run.note("\(way.rawValue): read all", times)
        run.note("\(way.rawValue): scans", count: scans)
        run.note("\(way.rawValue): missing values", count: missing)
    }
}
